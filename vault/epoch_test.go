package vault_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"strongroom/protocol/bundle"
	"strongroom/protocol/opaque"
	"strongroom/protocol/wire"
	"strongroom/test/disk"
	"strongroom/vault"
	"strongroom/vault/hal"
	"strongroom/vault/internal/ledger"
)

// epochs are those whose keys the HSM has.
func (r *rig) epochs() []uint64 {
	r.Helper()
	keys, err := r.hal.EpochKeys()
	must(r.TB, err)
	return keys
}

// rotates has the box go over to a new epoch: asked for, then after the wait
// for the old one's tickets.
func (r *rig) rotates() {
	r.Helper()
	before := slices.Max(r.epochs())
	r.turnEpoch()
	if keys := r.epochs(); !slices.Equal(keys, []uint64{before, before + 1}) {
		r.Fatalf("after epoch %d was asked to end the HSM has the keys of %v", before, keys)
	}
	r.now += 601_000
	r.turn()
	if keys := r.epochs(); !slices.Equal(keys, []uint64{before + 1}) {
		r.Fatalf("epoch %d is over, and the HSM has the keys of %v", before, keys)
	}
}

// TestShredded is P18 at the box: what was deleted, destroyed or replaced is
// gone when the epoch is over, for whoever has yesterday's disk and today's
// HSM. What lives, lives on.
func TestShredded(t *testing.T) {
	r, accounts := crowd(t, 12)
	yesterday := r.Disk.Copy()
	gens := map[string]wire.Generation{}
	for _, a := range accounts {
		gens[a] = r.status(a).Generation
	}
	r.delete(accounts[0], gens[accounts[0]], "K", "")
	old := gens[accounts[1]]
	g := r.prepare(accounts[1], "another password", "K", &old)
	g.sign(r, accounts[1], "K")
	if _, code := r.finish(g); code != "" {
		t.Fatal(code)
	}
	r.now += 200_000
	r.turn() // the fifth is destroyed
	evaluations := r.hal.Evaluations()
	r.rotates()
	if r.hal.Evaluations() != evaluations {
		t.Fatal("an epoch's end evaluates nothing")
	}
	for name, d := range map[string]*disk.Disk{"the disk": yesterday, "its pages": mixed(r.Disk, yesterday, true), "its log": mixed(r.Disk, yesterday, false)} {
		_, err := r.inspect(d, accounts)
		if name == "its log" && err == nil {
			continue // the log of yesterday is not read at all
		}
		if !errors.Is(err, ledger.ErrShredded) {
			t.Errorf("%s of yesterday: %v", name, err)
		}
	}
	// All that stands on yesterday's disk is sealed in an epoch whose key is
	// gone: not one page, not one entry, opens.
	for key, page := range yesterday.Pages {
		if key[0] == 'r' && (page[0] != 2 || !bytes.Equal(page[1:9], []byte{0, 0, 0, 0, 0, 0, 0, 1})) {
			t.Fatalf("a record sealed in epoch %x", page[1:9])
		}
	}
	for _, e := range yesterday.Written {
		if !bytes.Equal(e.Bytes[1:9], []byte{0, 0, 0, 0, 0, 0, 0, 1}) {
			t.Fatalf("an entry sealed in epoch %x", e.Bytes[1:9])
		}
	}
	if _, err := r.hal.OpenEpoch(1, nil, make([]byte, 64)); !errors.Is(err, hal.ErrNoKey) {
		t.Fatalf("epoch 1 in the HSM: %v", err)
	}
	must(t, r.start())
	for i, a := range accounts {
		want := map[int]wire.State{0: wire.StateDeleted, 4: wire.StateDestroyed}[i]
		if s := r.status(a); want != 0 && s.State != want || want == 0 && s.State != wire.StateLive {
			t.Errorf("%s: %+v", a, s)
		}
	}
	if k, code := r.recover(accounts[1], "another password"); k != "sealed:K" {
		t.Errorf("%q %q", k, code)
	}
	if k, code := r.recover(accounts[7], right); k != "sealed:K" {
		t.Errorf("%q %q", k, code)
	}
}

func mixed(today, yesterday *disk.Disk, pages bool) *disk.Disk {
	d := today.Copy()
	if pages {
		d.Pages = yesterday.Copy().Pages
	} else {
		d.Written = yesterday.Copy().Written
	}
	return d
}

// TestEpochsUnderWork: records change, boxes die and start again while an
// epoch ends, at every place where one can; nothing is lost, and the turn
// comes to its end.
func TestEpochsUnderWork(t *testing.T) {
	const places = 20
	died := 0
	for dieAt := 1; dieAt <= places; dieAt++ {
		r := newRig(t, opaque.P256SHA256)
		r.register(alice, right, "K1")
		r.register("bob@example", right, "K2")
		r.recover(alice, "wrong")
		before := slices.Max(r.epochs())
		r.dieAt = dieAt
		r.turnEpoch()
		r.now += 601_000
		if !r.died {
			r.turn()
		}
		if r.died {
			died++
		}
		r.dieAt, r.died = 0, false
		must(t, r.start())
		for range 3 {
			r.now += 601_000
			r.turn()
		}
		r.turnEpoch()
		r.now += 601_000
		r.turn()
		r.now += 601_000
		r.turn()
		keys := r.epochs()
		if len(keys) != 1 || keys[0] <= before {
			t.Fatalf("died at %d: the HSM has the keys of %v, before it was %d", dieAt, keys, before)
		}
		must(t, r.start())
		if s := r.status(alice); s.Wrong != 1 || s.State != wire.StateLive {
			t.Fatalf("died at %d: %+v", dieAt, s)
		}
		if k, code := r.recover("bob@example", right); k != "sealed:K2" {
			t.Fatalf("died at %d: %q %q", dieAt, k, code)
		}
	}
	if died < 12 {
		t.Fatalf("only %d boxes died within a turn", died)
	}
}

// turnEpoch is turn for an operator who asks for a new epoch.
func (r *rig) turnEpoch() {
	r.Helper()
	r.asksEpoch = true
	r.turn()
}

// TestLateEntryKeepsTheEpoch: an entry that was sealed in the old epoch, and
// whose fsync is late by a day, is still read after a restart.
func TestLateEntryKeepsTheEpoch(t *testing.T) {
	r := newRig(t, opaque.P256SHA256)
	r.register(alice, right, "K1")
	at := r.attempt(alice, "wrong")
	sealed := r.sealedRecoverStart(at)
	r.asksEpoch = true
	in := vault.Input{In: wire.In{NowMillis: r.now, Epoch: true, Requests: []wire.Request{{ID: 9, Sealed: sealed}}}}
	durable, answered := uint64(len(r.Written)), false
	steps := func(n int) {
		for range n {
			in.NowMillis, in.Alerted, in.Durable = r.now, 1<<40, durable
			o := r.vault.Step(in)
			must(t, o.Fatal)
			in = vault.Input{}
			r.Serve(o.Out, &in.In)
			r.Written = append(r.Written, o.Append...)
			answered = answered || len(o.Replies) > 0
			for _, j := range append(o.Jobs, o.Anchor) {
				if j != nil {
					in.Done = append(in.Done, j.Run(r.hal))
				}
			}
		}
	}
	steps(12)
	if len(r.Written) != int(durable)+1 || answered || len(r.epochs()) != 2 {
		t.Fatalf("%d entries, answered %v, epochs %v", len(r.Written), answered, r.epochs())
	}
	r.now += 24 * 3_600_000
	steps(12)
	durable = uint64(len(r.Written)) // at last
	steps(6)
	if !answered {
		t.Fatal("no answer")
	}
	must(t, r.start())
	if s := r.status(alice); s.Wrong != 1 {
		t.Fatalf("%+v", s)
	}
}

// refusingEpochs is an HSM that makes no epoch key.
type refusingEpochs struct {
	hal.HAL
	refuse bool
}

func (h *refusingEpochs) MakeEpochKey(n uint64) error {
	if h.refuse {
		return hal.ErrFull
	}
	return h.HAL.MakeEpochKey(n)
}

// TestFullHSMKeepsTheEpoch: an HSM without room for an epoch's key stops
// nothing; it is asked again later.
func TestFullHSMKeepsTheEpoch(t *testing.T) {
	r := newRigUnder(t, opaque.P256SHA256, bundle.Policy{Attempts: 10, TicketMillis: 120_000, EpochMillis: 3_600_000})
	r.register(alice, right, "K1")
	h := &refusingEpochs{HAL: r.hal, refuse: true}
	var counts wire.Counts
	step := func() {
		var in vault.Input
		for range 12 {
			in.NowMillis, in.Alerted = r.now, 1<<40
			in.Durable = uint64(len(r.Written))
			o := r.vault.Step(in)
			must(t, o.Fatal)
			counts.Add(o.Counts)
			in = vault.Input{}
			r.Serve(o.Out, &in.In)
			r.Written = append(r.Written, o.Append...)
			for _, j := range append(o.Jobs, o.Anchor) {
				if j != nil {
					in.Done = append(in.Done, j.Run(h))
				}
			}
		}
	}
	r.now += 3_600_001
	step()
	step()
	if counts.EpochsFailed != 1 || counts.Epochs != 0 {
		t.Fatalf("%+v", counts)
	}
	if k, _ := r.recover(alice, right); k != "sealed:K1" {
		t.Fatal("it does not serve")
	}
	h.refuse = false
	r.now += 61_000
	step()
	r.now += 601_000
	step()
	if keys := r.epochs(); counts.Epochs != 1 || counts.Shredded != 1 || fmt.Sprint(keys) != "[2]" {
		t.Fatalf("%+v, keys of %v", counts, keys)
	}
}
