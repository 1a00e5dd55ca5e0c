package vault

import (
	"errors"
	"fmt"
	"io"

	"strongroom/protocol/wire"
	"strongroom/vault/hal"
	"strongroom/vault/internal/ledger"
	"strongroom/vault/internal/record"
	"strongroom/vault/internal/tree"
)

// ErrNoCheckpoint stops a box at its start: the anchor says that there was one.
var ErrNoCheckpoint = errors.New("vault: the records' checkpoint is not there, and entries that were acknowledged are missing with it")

// restore brings the box to where it stopped: the checkpoint, then the log
// after it, up to the HSM's anchor and past it.
//
// The attacks that it stops:
//  1. An older checkpoint, or log, or both, put back: they do not reach the anchor.
//  2. The checkpoint taken away, so that all begins anew: only a vault that
//     never acknowledged anything, or one of First light, has none.
//  3. Pages of one day, checkpoint of another: found at the first look at each.
//  4. A second box beside this one: the older of the two finds the HSM's
//     memory taken and says nothing more.
func (v *Vault) restore(h hal.HAL, disk wire.Disk) error {
	memory, err := h.ReadMemory()
	if err != nil {
		return err
	}
	anchor, err := ledger.ParseAnchor(v.fleet.ID, memory)
	if err != nil {
		return err
	}
	if err := v.restoreCheckpoint(h, disk, anchor); err != nil {
		return err
	}
	if _, err := io.ReadFull(v.rand, v.boot[:]); err != nil {
		return err
	}
	if v.group != nil {
		err = v.group.restore(v, disk, anchor)
	} else {
		err = v.replay(h, disk, anchor)
	}
	if err != nil {
		return err
	}
	if v.saved.Serial == 0 { // a start without one would be refused once the anchor has moved
		v.beginSave()
		if err := v.settle(h, disk); err != nil {
			return err
		}
	}
	v.turn.shred = true // what a turn that was cut short left in the HSM
	if v.between() {
		v.turn.begin(v)
	}
	head := v.anchored
	if v.group != nil && !v.group.resumes {
		// The attack that it stops: put an old journal back, and start twice. What
		// the first start did not reach, the second may not have forgotten.
		head = anchor.Head
	}
	return h.WriteMemory(ledger.Anchor{Head: head, Boot: v.boot}.Encode(v.fleet.ID))
}

func (v *Vault) restoreCheckpoint(h hal.HAL, disk wire.Disk, anchor ledger.Anchor) error {
	values, err := disk.Read([][]byte{checkpointKey()})
	if err != nil {
		return err
	}
	v.saved.Head = ledger.Genesis(v.fleet.ID)
	switch {
	case len(values) != 1:
		return errAnswer
	case len(values[0]) > 0:
		err = v.openCheckpoint(h, values[0])
	case anchor.First || anchor.Head == v.saved.Head || v.group != nil: // a box that lost its disk joins anew
		err = v.firstEpoch(h)
	default:
		err = fmt.Errorf("%w: the anchor stands at entry %d", ErrNoCheckpoint, anchor.Head.Index)
	}
	if err != nil {
		return err
	}
	// First light's anchor may stand before the checkpoint that its migration
	// made: a start wrote that after it had reached the anchor.
	if anchor.Head.Index < v.saved.Head.Index && !anchor.First && v.group == nil {
		return fmt.Errorf("%w: the HSM's memory stands at entry %d, the checkpoint at %d: the memory was put back", ledger.ErrRollback, anchor.Head.Index, v.saved.Head.Index)
	}
	if v.group == nil {
		if err := v.layouts.restore(v.saved.Homes); err != nil {
			return err
		}
	}
	v.head = v.saved.Head
	v.ledger = ledger.New(v.fleet.ID, v.head, v.epochs, &v.island.Secret)
	v.tree = tree.New(v.saved.Root)
	return nil
}

func (v *Vault) openCheckpoint(h hal.HAL, page []byte) error {
	list, err := ledger.ListEpochs(page)
	if err != nil {
		return err
	}
	for _, e := range list {
		opened, err := h.OpenEpoch(e.Number, epochAAD(v.fleet.ID, e.Number), e.Sealed)
		if errors.Is(err, hal.ErrNoKey) {
			return fmt.Errorf("%w: epoch %d", ledger.ErrShredded, e.Number)
		}
		if err != nil {
			return fmt.Errorf("%w: epoch %d: %w", ledger.ErrCheckpoint, e.Number, err)
		}
		secret, err := ledger.OpenSecret(opened)
		if err != nil {
			return err
		}
		v.epochs = v.epochs.With(e, secret)
	}
	if v.saved, err = ledger.OpenCheckpoint(v.fleet.ID, v.epochs, page); err != nil {
		return err
	}
	for _, d := range v.saved.Due {
		v.due[d.Path] = d.Millis
		v.soonest = min(v.soonest, d.Millis)
	}
	return nil
}

// firstEpoch makes epoch 1, for a vault that never had a checkpoint.
func (v *Vault) firstEpoch(h hal.HAL) error {
	m := mintJob{fleet: v.fleet.ID, number: 1}.Run(h).(minted)
	if m.err != nil {
		return m.err
	}
	v.epochs = v.epochs.With(m.epoch, m.secret)
	return nil
}

// replay applies the log after the checkpoint and compares it with the anchor.
func (v *Vault) replay(h hal.HAL, disk wire.Disk, anchor ledger.Anchor) error {
	reached := v.head == anchor.Head || anchor.First && anchor.Head.Index < v.head.Index
	for {
		entries, err := disk.Entries(v.head.Index)
		if err != nil {
			return err
		}
		if len(entries) == 0 {
			break
		}
		commands, met, err := v.decode(entries, anchor)
		if err != nil {
			return err
		}
		reached = reached || met
		if err := v.redo(h, disk, commands); err != nil {
			return err
		}
		// A checkpoint past the anchor would be one that nothing vouches for.
		if len(v.changed) >= changedMax && v.head.Index <= anchor.Head.Index && v.alerts.settled() {
			v.beginSave()
			if err := v.settle(h, disk); err != nil {
				return err
			}
		}
	}
	if !reached {
		return fmt.Errorf("%w: it ends at entry %d, the anchor stands at %d", ledger.ErrRollback, v.head.Index, anchor.Head.Index)
	}
	v.durable, v.anchored, v.out = v.head.Index, v.head, Output{}
	return nil
}

// decode opens entries, and tells whether one of them is the anchor's.
func (v *Vault) decode(entries []wire.Entry, anchor ledger.Anchor) (commands []record.Command, met bool, err error) {
	for _, e := range entries {
		plaintext, err := v.ledger.Replay(e)
		if err != nil {
			return nil, false, err
		}
		c, err := record.DecodeCommand(plaintext)
		if err != nil {
			return nil, false, fmt.Errorf("%w: entry %d", err, e.Index)
		}
		commands = append(commands, c)
		met = met || v.ledger.Head() == anchor.Head
	}
	return commands, met, nil
}

// redo applies committed commands: first their records are all fetched.
func (v *Vault) redo(h hal.HAL, disk wire.Disk, commands []record.Command) error {
	records := make([]*held, len(commands))
	for i, c := range commands {
		if len(c.Homes) == 0 {
			v.hold(c.Account, func(h *held) { records[i] = h })
		}
	}
	if err := v.settle(h, disk); err != nil {
		return err
	}
	for i, c := range commands {
		if len(c.Homes) > 0 {
			v.layouts.learn(v, c.Homes)
			continue
		}
		v.apply(v.head.Index+1+uint64(i), records[i], &c)
		v.unpin(records[i])
	}
	v.head = v.ledger.Head()
	v.shrink()
	return nil
}

// settle does at once, while the box opens, what its output asks for: until
// nothing is left to do.
func (v *Vault) settle(h hal.HAL, disk wire.Disk) error {
	for {
		out := v.out
		v.out = Output{}
		if out.Fatal != nil {
			return out.Fatal
		}
		if len(out.Reads)+len(out.Jobs) == 0 && out.Checkpoint == nil {
			return nil
		}
		for _, r := range out.Reads {
			values, err := disk.Read(r.Keys)
			if err != nil {
				return err
			}
			v.found(wire.Found{ID: r.ID, Values: values})
		}
		if out.Checkpoint != nil {
			if err := disk.Keep(out.Pages, *out.Checkpoint); err != nil {
				return err
			}
			v.kept(out.Checkpoint.Serial)
		}
		for _, j := range out.Jobs {
			j.Run(h).enter(v)
		}
	}
}
