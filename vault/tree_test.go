package vault_test

import (
	"bytes"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"testing"

	"strongroom/protocol/opaque"
	"strongroom/protocol/wire"
	"strongroom/test/disk"
	"strongroom/vault"
	"strongroom/vault/hal"
	"strongroom/vault/internal/ledger"
	"strongroom/vault/internal/tree"
)

// saves has the box make a checkpoint of what happened.
func (r *rig) saves() {
	r.Helper()
	before := r.Kept.Serial
	r.now += 61_000
	r.turn()
	if r.Kept.Serial == before {
		r.Fatal("no checkpoint after a minute")
	}
}

// inspect starts the box from a disk and asks for the status of accounts: the
// first error that stops it, nil when it serves them all.
func (r *rig) inspect(d *disk.Disk, accounts []string) (states []wire.State, err error) {
	r.Helper()
	whole := r.Disk
	r.Disk = d
	defer func() { r.Disk = whole }()
	if err := r.start(); err != nil {
		return nil, err
	}
	for _, account := range accounts {
		sealed, exchange := r.sealFirst(wire.First{Token: r.vaultToken(account), Status: &wire.StatusRequest{}})
		in := vault.Input{In: wire.In{NowMillis: r.now, Requests: []wire.Request{{ID: 1, Sealed: sealed}}}}
		for answered := false; !answered; {
			o := r.vault.Step(in)
			if o.Fatal != nil {
				return states, o.Fatal
			}
			in = vault.Input{In: wire.In{NowMillis: r.now}}
			d.Serve(o.Out, &in.In)
			for _, j := range o.Jobs {
				in.Done = append(in.Done, j.Run(r.hal))
			}
			for _, reply := range o.Replies {
				a, _ := r.open(&reply, exchange)
				states, answered = append(states, a.Status.State), true
			}
		}
	}
	return states, nil
}

// crowd is a rig with some accounts in its tree, the fifth destroyed.
func crowd(t *testing.T, n int) (*rig, []string) {
	t.Helper()
	r := newRig(t, opaque.P256SHA256)
	var accounts []string
	for i := range n {
		accounts = append(accounts, fmt.Sprintf("account %d", i))
		r.register(accounts[i], right, "K")
	}
	for range 10 {
		r.recover(accounts[min(4, n-1)], "wrong")
	}
	r.saves()
	return r, accounts
}

// TestDiskIsProven: every page flipped, cut, taken away, put in another's
// place, or put back from a day before stops the box, and the error names it.
func TestDiskIsProven(t *testing.T) {
	r, accounts := crowd(t, 24)
	older := r.Disk.Copy()
	r.now += 200_000
	r.turn() // the record is destroyed
	for _, a := range accounts {
		r.recover(a, "wrong")
	}
	r.saves()
	if _, err := r.inspect(r.Disk.Copy(), accounts); err != nil {
		t.Fatal(err)
	}
	rng := mathrand.New(mathrand.NewPCG(1, 1))
	var keys []string
	for k := range r.Pages {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	tried := map[byte]int{}
	refused := func(what, key string, d *disk.Disk) {
		t.Helper()
		tried[key[0]]++
		_, err := r.inspect(d, accounts)
		named := errors.Is(err, tree.ErrPage) || errors.Is(err, vault.ErrRecord)
		if key[0] == 'c' {
			named = errors.Is(err, ledger.ErrCheckpoint) || errors.Is(err, ledger.ErrShredded) || errors.Is(err, vault.ErrNoCheckpoint) || errors.Is(err, ledger.ErrRollback)
		} else if named {
			named = bytes.Contains([]byte(err.Error()), fmt.Appendf(nil, "%x", key[1:]))
		}
		if !named {
			t.Fatalf("%s page %c %x: %v", what, key[0], key[1:], err)
		}
	}
	for i, key := range keys {
		page := r.Pages[key]
		change := func(what string, b []byte) {
			d := r.Disk.Copy()
			d.Pages[key] = b
			refused(what, key, d)
		}
		flipped := bytes.Clone(page)
		flipped[rng.IntN(len(page))] ^= 1 << rng.IntN(8)
		change("flipped", flipped)
		change("cut", page[:rng.IntN(len(page))])
		change("missing", nil)
		if next := keys[(i+1)%len(keys)]; next[0] == key[0] {
			change("swapped", r.Pages[next])
		}
		if old := older.Pages[key]; key[0] != 'c' && old != nil && !bytes.Equal(old, page) {
			change("older", old)
		}
	}
	if tried['n'] < 3 || tried['r'] < 100 || tried['c'] != 3 {
		t.Fatalf("too little was tried: %v", tried)
	}
}

// TestOlderDisk: the whole disk of a day before, and mixtures of the two days,
// bring no guess back.
func TestOlderDisk(t *testing.T) {
	r, accounts := crowd(t, 8)
	older := r.Disk.Copy()
	r.now += 200_000
	r.turn() // the record is destroyed
	r.recover(accounts[0], "wrong")
	r.saves()
	newer := r.Disk
	if _, err := r.inspect(older.Copy(), accounts); !errors.Is(err, ledger.ErrRollback) {
		t.Fatalf("yesterday's disk: %v", err)
	}
	mixed := newer.Copy()
	mixed.Pages["c"] = older.Pages["c"] // with today's log it goes forward again, over pages that are not its own
	if _, err := r.inspect(mixed, accounts); !errors.Is(err, tree.ErrPage) && !errors.Is(err, vault.ErrRecord) {
		t.Fatalf("yesterday's checkpoint over today's pages: %v", err)
	}
	mixed = older.Copy()
	mixed.Written = newer.Written // yesterday's pages, and the whole log: that is honest
	states, err := r.inspect(mixed, accounts)
	if err != nil || states[4] != wire.StateDestroyed {
		t.Fatalf("yesterday's pages and the whole log: %v %v", states, err)
	}
	mixed = newer.Copy()
	delete(mixed.Pages, "c")
	if _, err := r.inspect(mixed, accounts); !errors.Is(err, vault.ErrNoCheckpoint) {
		t.Fatalf("no checkpoint: %v", err)
	}
}

// TestOlderMemory: an HSM whose memory was put back opens nothing, though the
// disk is today's.
func TestOlderMemory(t *testing.T) {
	r, accounts := crowd(t, 3)
	before, err := r.hal.ReadMemory()
	must(t, err)
	for range 3 {
		r.recover(accounts[0], "wrong")
	}
	r.saves()
	must(t, r.hal.WriteMemory(before))
	if err := r.start(); !errors.Is(err, ledger.ErrRollback) {
		t.Fatal(err)
	}
}

// TestSecondBox: of two boxes over one HSM, each with a copy of the log, the
// older one stops at its next entry, before it answers.
func TestSecondBox(t *testing.T) {
	r := newRig(t, opaque.P256SHA256)
	r.register(alice, right, "K1")
	first, shared := r.vault, &takenMemory{HAL: r.hal}
	twin := r.Disk.Copy()
	at := r.attempt(alice, "wrong")
	sealed := r.sealedRecoverStart(at)
	if _, err := r.inspect(twin, []string{alice}); err != nil {
		t.Fatal(err)
	}
	shared.taken = true
	evaluations := r.hal.Evaluations()
	in := vault.Input{In: wire.In{NowMillis: r.now, Requests: []wire.Request{{ID: 9, Sealed: sealed}}}}
	for range 20 {
		o := first.Step(in)
		if o.Fatal != nil {
			if !errors.Is(o.Fatal, hal.ErrTaken) || r.hal.Evaluations() != evaluations {
				t.Fatalf("%v, %d evaluations", o.Fatal, r.hal.Evaluations()-evaluations)
			}
			return
		}
		if len(o.Replies) > 0 {
			t.Fatal("the older box answered")
		}
		in = vault.Input{In: wire.In{NowMillis: r.now}}
		r.Serve(o.Out, &in.In)
		r.Written = append(r.Written, o.Append...)
		in.Durable = uint64(len(r.Written))
		for _, j := range append(o.Jobs, o.Anchor) {
			if j != nil {
				in.Done = append(in.Done, j.Run(shared))
			}
		}
	}
	t.Fatal("it neither stopped nor answered")
}

// takenMemory is an HSM's memory as its older holder finds it.
type takenMemory struct {
	hal.HAL
	taken bool
}

func (m *takenMemory) WriteMemory(p []byte) error {
	if m.taken {
		return hal.ErrTaken
	}
	return m.HAL.WriteMemory(p)
}
