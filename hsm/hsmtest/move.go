package hsmtest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"testing"

	"strongroom/vault/hal"
)

// RunMover runs the contract of moving keys.
func RunMover(t *testing.T, m Maker) {
	t.Run("moved", func(t *testing.T) { arrived(t, m) })
	t.Run("copied", func(t *testing.T) { copied(t, m) })
	t.Run("flipped", func(t *testing.T) { flippedMoves(t, m) })
	t.Run("locked", func(t *testing.T) { locked(t, m) })
	t.Run("refused", func(t *testing.T) { refusedMoves(t, m) })
}

// moving is an HSM in the middle of a ceremony: an identity of its own, then
// keys that move.
func moving(t *testing.T, m Maker) hal.Mover {
	t.Helper()
	h := waiting(t, m)
	if err := h.MakeMovable(); err != nil {
		t.Fatal(err)
	}
	must(h.MakeKey("ake", hal.P256))(t)
	must(h.MakeKey("channel", hal.P256))(t)
	must(h.MakeSigningKey("status"))(t)
	return h
}

// waiting is one that keys will be moved into.
func waiting(t *testing.T, m Maker) hal.Mover {
	t.Helper()
	h := m.New(t).(hal.Mover)
	must(h.MakeSigningKey("box"))(t)
	return h
}

func reopened(t *testing.T, m Maker, h hal.Mover) hal.Mover { return m.Reopen(t, h).(hal.Mover) }

var withKeys = []byte("the island's secret")

func arrived(t *testing.T, m Maker) {
	from, to := moving(t, m), waiting(t, m)
	before, _, err := from.MakeOPRFKey(hal.P256)
	if err != nil {
		t.Fatal(err)
	}
	public := must(to.MakeTransferKey())(t)
	to = reopened(t, m, to) // a ceremony may take days
	luggage := must(from.Export(public, withKeys))(t)
	if bytes.Contains(luggage, withKeys) {
		t.Fatal("the secret is in the clear")
	}
	if got := must(to.Import(luggage))(t); !bytes.Equal(got, withKeys) {
		t.Fatalf("another secret came: %q", got)
	}
	oneIsland(t, from, to, before)
	from, to = reopened(t, m, from), reopened(t, m, to)
	if err := from.Lock(); err != nil {
		t.Fatal(err)
	}
	oneIsland(t, from, to, before)
	oneIsland(t, reopened(t, m, from), reopened(t, m, to), before)
}

// oneIsland: whatever an island asks of the one, the other answers too, and each is
// still itself.
func oneIsland(t *testing.T, a, b hal.HAL, wrapped []byte) {
	t.Helper()
	point := algebraOf(hal.P256).random(t)
	later, _, err := b.MakeOPRFKey(hal.P256)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range [][]byte{wrapped, later} {
		if !bytes.Equal(must(a.MultiplyWrapped(hal.P256, w, point))(t), must(b.MultiplyWrapped(hal.P256, w, point))(t)) {
			t.Fatal("a wrapped key is not the same in both")
		}
	}
	for _, name := range []string{"ake", "channel"} {
		if !bytes.Equal(must(a.PublicKey(name))(t), must(b.PublicKey(name))(t)) ||
			!bytes.Equal(must(a.Multiply(name, point))(t), must(b.Multiply(name, point))(t)) {
			t.Fatalf("%s is not the same in both", name)
		}
	}
	digest := sha256.Sum256(point)
	if !verifies(must(a.PublicKey("status"))(t), digest, must(b.Sign("status", digest))(t)) {
		t.Fatal("a status of the one does not verify with the key of the other")
	}
	if bytes.Equal(must(a.PublicKey("box"))(t), must(b.PublicKey("box"))(t)) {
		t.Fatal("two boxes have one identity")
	}
	if verifies(must(a.PublicKey("box"))(t), digest, must(b.Sign("box", digest))(t)) {
		t.Fatal("one box signs as the other")
	}
	sealed := must(a.Seal(nil, point))(t)
	if _, err := b.Open(nil, sealed); !errors.Is(err, hal.ErrSealed) {
		t.Fatalf("the key of Seal moved too: %v", err)
	}
}

func copied(t *testing.T, m Maker) {
	from, to := moving(t, m), waiting(t, m)
	wrapped, _, err := from.MakeOPRFKey(hal.P256)
	if err != nil {
		t.Fatal(err)
	}
	luggage, key, err := from.Copy(withKeys)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(luggage, withKeys) || key == [hal.CopyKeyBytes]byte{} {
		t.Fatal("a copy in the clear, or without a key")
	}
	if again, other, err := from.Copy(withKeys); err != nil || key == other || bytes.Equal(again, luggage) {
		t.Fatalf("two copies are one: %v", err)
	}
	wrong := key
	wrong[0] ^= 1
	if _, err := to.ImportCopy(luggage, wrong); !errors.Is(err, hal.ErrMoved) {
		t.Fatalf("a wrong key: %v", err)
	}
	for i := range luggage {
		luggage[i] ^= 1
		if _, err := to.ImportCopy(luggage, key); !errors.Is(err, hal.ErrMoved) {
			t.Fatalf("byte %d flipped: %v", i, err)
		}
		luggage[i] ^= 1
	}
	if got := must(to.ImportCopy(luggage, key))(t); !bytes.Equal(got, withKeys) {
		t.Fatalf("another secret came: %q", got)
	}
	oneIsland(t, from, to, wrapped)
}

func flippedMoves(t *testing.T, m Maker) {
	from, to := moving(t, m), waiting(t, m)
	public := must(to.MakeTransferKey())(t)
	luggage := must(from.Export(public, withKeys))(t)
	refuse := func(what string, i int, b []byte) {
		t.Helper()
		if _, err := to.Import(b); !errors.Is(err, hal.ErrMoved) {
			t.Fatalf("%s %d of %d: %v", what, i, len(luggage), err)
		}
	}
	for i := range luggage {
		flipped := bytes.Clone(luggage)
		flipped[i] ^= 1
		refuse("flipped at", i, flipped)
	}
	refuse("empty", 0, nil)
	refuse("cut", 1, luggage[:len(luggage)-1])
	refuse("longer", 1, append(bytes.Clone(luggage), 0))
	refuse("of another", 0, must(from.Export(must(waiting(t, m).MakeTransferKey())(t), withKeys))(t))
	if got := must(to.Import(luggage))(t); !bytes.Equal(got, withKeys) { // nothing of the above had stayed
		t.Fatalf("another secret came: %q", got)
	}
}

// locked: what came in, or was locked, leaves no more, whoever asks.
func locked(t *testing.T, m Maker) {
	from, to, third := moving(t, m), waiting(t, m), waiting(t, m)
	public := must(third.MakeTransferKey())(t)
	must(to.Import(must(from.Export(must(to.MakeTransferKey())(t), withKeys))(t)))(t)
	if err := from.Lock(); err != nil {
		t.Fatal(err)
	}
	stays := func(name string, h hal.Mover) {
		t.Helper()
		if _, err := h.Export(public, nil); !errors.Is(err, hal.ErrLocked) {
			t.Errorf("%s: exported: %v", name, err)
		}
		if _, _, err := h.Copy(nil); !errors.Is(err, hal.ErrLocked) {
			t.Errorf("%s: copied: %v", name, err)
		}
	}
	again := func(name string, h hal.Mover) {
		t.Helper()
		stays(name, h)
		if err := h.MakeMovable(); !errors.Is(err, hal.ErrLocked) {
			t.Errorf("%s: movable again: %v", name, err)
		}
		if err := h.Lock(); err != nil {
			t.Errorf("%s: locked again: %v", name, err)
		}
		stays(name, h)
	}
	again("the first", from)
	again("the first, opened again", reopened(t, m, from))
	again("who was moved into", to)
	again("who was moved into, opened again", reopened(t, m, to))
	stays("who is empty", third)
	alone := waiting(t, m)
	must(alone.MakeKey("ake", hal.P256))(t)
	again("an island of one", alone)
}

func refusedMoves(t *testing.T, m Maker) {
	from, to := moving(t, m), waiting(t, m)
	for name, key := range map[string][]byte{"nothing": nil, "short": {1, 2, 3}, "another form": bytes.Repeat([]byte{7}, 600)} {
		if _, err := from.Export(key, nil); !errors.Is(err, hal.ErrMoved) {
			t.Errorf("to %s: %v", name, err)
		}
	}
	old := must(to.MakeTransferKey())(t)
	public := must(to.MakeTransferKey())(t)
	if _, err := to.Import(must(from.Export(old, nil))(t)); !errors.Is(err, hal.ErrMoved) {
		t.Errorf("to the transfer key before: %v", err)
	}
	luggage := must(from.Export(public, nil))(t)
	if got := must(to.Import(luggage))(t); len(got) != 0 {
		t.Errorf("a secret came from nowhere: %q", got)
	}
	if _, err := to.Import(luggage); !errors.Is(err, hal.ErrMoved) && !errors.Is(err, hal.ErrLocked) {
		t.Errorf("a second time: %v", err)
	}
	named := waiting(t, m)
	must(named.MakeSigningKey("status"))(t)
	if _, err := named.Import(must(from.Export(must(named.MakeTransferKey())(t), nil))(t)); !errors.Is(err, hal.ErrKeyExists) {
		t.Errorf("over a key of the same name: %v", err)
	}
	if _, err := named.PublicKey("ake"); !errors.Is(err, hal.ErrNoKey) {
		t.Errorf("half of it came: %v", err)
	}
	used := moving(t, m)
	transfer, err := used.MakeTransferKey()
	if err == nil {
		_, err = used.Import(must(from.Export(transfer, nil))(t))
	}
	if !errors.Is(err, hal.ErrLocked) && !errors.Is(err, hal.ErrKeyExists) {
		t.Errorf("into an HSM that has an island's keys: %v", err)
	}
	if err := from.Close(); err != nil {
		t.Fatal(err)
	}
	_, e1 := from.Export(public, nil)
	_, e2 := from.Import(luggage)
	_, _, e3 := from.Copy(nil)
	_, e4 := from.MakeTransferKey()
	for i, err := range []error{e1, e2, e3, e4, from.MakeMovable(), from.Lock()} {
		if !errors.Is(err, hal.ErrGone) {
			t.Errorf("call %d after Close: %v", i+1, err)
		}
	}
}
