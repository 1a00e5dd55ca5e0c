package vault

import (
	"encoding/binary"

	"strongroom/protocol/wire"
	"strongroom/vault/hal"
	"strongroom/vault/internal/ledger"
	"strongroom/vault/internal/seal"
	"strongroom/vault/internal/tree"
)

const (
	epochMillisDefault = 24 * 60 * 60 * 1000 // of fleets whose document names none
	hsmRetryMillis     = 60_000              // after the HSM refused to make or destroy an epoch's key
	sweepReadsMax      = 32                  // records on their way to be sealed again
	sweepRecordsMax    = 64                  // records looked at in one Step
)

// turn is the way from one epoch to the next:
//
//  1. The HSM makes a key, and seals a new secret by it (mint).
//  2. A checkpoint names both epochs; when it is kept, all is sealed in the
//     new one.
//  3. A walk over the tree, which leaves none out, finds each record that is
//     sealed in the old one, for the next checkpoints to seal again (sweep).
//  4. When no record, no entry that a start would read and no ticket of the
//     old one is left, a checkpoint names the new one alone (retire).
//  5. When that is kept, the HSM destroys the old key (shred). What was
//     deleted, destroyed or replaced before the new epoch began is then gone,
//     on every copy of the disk.
//
// A second key of the new epoch's number, made before 2 is over, would end the
// first one, which a checkpoint on its way may name already: minting goes on
// until then.
//
// Nothing of it is written down but the epochs that a checkpoint names: a
// start with two of them begins at 3, and one with an older key left in the
// HSM, behind it, at 5.
type turn struct {
	asked     bool    // by the operator
	minting   bool    // until a checkpoint that names the new epoch is kept
	incoming  *minted // for the next checkpoint
	sweeping  bool
	swept     bool
	at        tree.Path // the sweep's last record
	reads     int       // of the sweep, not yet answered
	again     bool      // a job that goes on with the sweep is out
	since     uint64    // when the old epoch stopped sealing: time, and the last entry in it
	lastOld   uint64
	shredding bool
	shred     bool   // keys of older epochs may be left in the HSM
	notBefore uint64 // after a refusal of the HSM
}

// between tells whether there are two epochs.
func (v *Vault) between() bool { return v.epochs.Count() > 1 }

// turnEpoch does what can be done now.
func (v *Vault) turnEpoch(asked bool) {
	t := &v.turn
	t.asked = t.asked || asked
	if t.sweeping {
		t.sweep(v)
	}
	if v.ownMillis < t.notBefore {
		return
	}
	if t.shred && !t.shredding {
		t.shredding = true
		before := v.epochs.List()[0].Number
		v.out.Jobs = append(v.out.Jobs, task(func(h hal.HAL) result {
			keys, err := shred(h, before)
			return func(v *Vault) { v.turn.shredded(v, keys, err) }
		}))
	}
	over := v.ownMillis >= v.saved.EpochMillis+v.policyEpochMillis()
	if (t.asked || over) && !t.minting && !t.shred && !v.between() {
		t.asked, t.minting = false, true
		v.out.Jobs = append(v.out.Jobs, mintJob{fleet: v.fleet.ID, number: v.epochs.Number() + 1})
	}
}

func (v *Vault) policyEpochMillis() uint64 {
	if m := v.fleet.Policy.EpochMillis; m != 0 {
		return m
	}
	return epochMillisDefault
}

// mintJob makes an epoch. A key of that number in the HSM is of a turn that
// was cut short before any checkpoint named it.
type mintJob struct {
	fleet  wire.FleetID
	number uint64
}

type minted struct {
	epoch  ledger.Epoch
	secret *seal.Key
	err    error
}

func (j mintJob) Run(h hal.HAL) Result {
	m := minted{epoch: ledger.Epoch{Number: j.number}, secret: new(seal.Key)}
	if m.err = h.DestroyEpochKey(j.number); m.err != nil {
		return m
	}
	if m.err = h.MakeEpochKey(j.number); m.err != nil {
		return m
	}
	if m.err = h.Random(m.secret[:]); m.err != nil {
		return m
	}
	m.epoch.Sealed, m.err = h.SealEpoch(j.number, epochAAD(j.fleet, j.number), m.secret[:])
	return m
}

func (m minted) enter(v *Vault) {
	if m.err != nil {
		v.turn.minting = false
		v.turn.refused(v)
		return
	}
	v.turn.incoming = &m
}

// refused keeps the old epoch for a while. The operator sees the count.
func (t *turn) refused(v *Vault) {
	t.notBefore = v.ownMillis + hsmRetryMillis
	v.out.Counts.EpochsFailed++
}

func epochAAD(fleet wire.FleetID, number uint64) []byte {
	return binary.BigEndian.AppendUint64(append([]byte("strongroom/v1/epoch"), fleet[:]...), number)
}

// sweep looks at the next records.
func (t *turn) sweep(v *Vault) {
	for n := 0; v.saving == nil && len(v.changed) < changedMax && t.reads < sweepReadsMax; n++ {
		if n == sweepRecordsMax {
			t.goOn(v)
			return
		}
		sight, p := v.tree.Next(t.at)
		switch {
		case sight == tree.Missing:
			t.reads++
			v.read(p, false, func([]byte) { t.reads-- })
			return
		case sight == tree.Absent:
			t.sweeping, t.swept = t.reads > 0, t.reads == 0
			return
		}
		t.at = p
		t.reads++
		v.holdPath(p, "", func(h *held) {
			t.reads--
			if h.epoch < v.epochs.Number() {
				v.touch(h)
			}
			v.unpin(h)
		})
	}
}

// goOn has another Step come soon, after whatever else waits for the cores.
func (t *turn) goOn(v *Vault) {
	if !t.again {
		t.again = true
		v.out.Jobs = append(v.out.Jobs, task(func(hal.HAL) result {
			return func(v *Vault) { v.turn.again = false }
		}))
	}
}

// retires tells whether nothing of the old epoch is left but what the next
// checkpoint seals again.
func (t *turn) retires(v *Vault) bool {
	return v.between() && t.swept && v.head.Index >= t.lastOld &&
		v.ownMillis > t.since+max(registerTicketMillis, v.policy.TicketMillis)
}

func (t *turn) wantsCheckpoint(v *Vault) bool { return t.incoming != nil || t.retires(v) }

// enterCheckpoint says in which epochs a checkpoint is made.
func (t *turn) enterCheckpoint(v *Vault, s *saving) {
	switch {
	case t.incoming != nil:
		s.epochs = v.epochs.With(t.incoming.epoch, t.incoming.secret)
		s.checkpoint.EpochMillis = v.ownMillis
		t.incoming = nil
	case t.retires(v):
		s.epochs = v.epochs.Newest()
	}
}

// keptCheckpoint goes over to the epochs of a checkpoint.
func (t *turn) keptCheckpoint(v *Vault, s *saving) {
	before, after := v.epochs.Count(), s.epochs.Count()
	v.epochs = s.epochs
	v.ledger.Enter(s.epochs)
	switch {
	case after > before:
		v.out.Counts.Epochs++
		t.minting = false
		t.begin(v)
	case after < before:
		t.swept, t.shred = false, true
	}
}

// begin starts the sweep.
func (t *turn) begin(v *Vault) {
	t.sweeping, t.swept, t.at = true, false, tree.Path{}
	t.since, t.lastOld = v.ownMillis, v.ledger.Head().Index
	if v.group != nil {
		v.group.freshSessions()
	}
}

// shred destroys the keys of the epochs before one. That is for ever.
func shred(h hal.HAL, before uint64) (shredded uint64, err error) {
	keys, err := h.EpochKeys()
	for _, number := range keys {
		if number >= before {
			continue
		}
		if err = h.DestroyEpochKey(number); err != nil {
			break
		}
		shredded++
	}
	return shredded, err
}

func (t *turn) shredded(v *Vault, keys uint64, err error) {
	t.shredding, t.shred = false, err != nil
	v.out.Counts.Shredded += keys
	if err != nil {
		t.refused(v)
	}
}
