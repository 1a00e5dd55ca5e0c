package ledger

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"strongroom/protocol/wire"
	"strongroom/vault/internal/seal"
	"strongroom/vault/internal/tree"
)

const entries = 12

var fleet = wire.FleetID{1, 2, 3}

// epochOf is epoch 1 under a secret.
func epochOf(key *seal.Key) Epochs { return Epochs{}.With(Epoch{Number: 1}, key) }

func written(t *testing.T, key *seal.Key, fleet wire.FleetID) []wire.Entry {
	t.Helper()
	l := New(fleet, Genesis(fleet), epochOf(key), nil)
	var log []wire.Entry
	for i := range entries {
		e, err := l.Append(rand.Reader, fmt.Appendf(nil, "entry %d", i+1))
		if err != nil {
			t.Fatal(err)
		}
		log = append(log, e)
	}
	return log
}

// read replays a log and tells how many entries were accepted.
func read(key *seal.Key, fleet wire.FleetID, log []wire.Entry) (int, error) {
	l := New(fleet, Genesis(fleet), epochOf(key), key)
	for i, e := range log {
		p, err := l.Replay(e)
		if err != nil {
			return i, err
		}
		if want := fmt.Sprintf("entry %d", i+1); string(p) != want {
			return i, fmt.Errorf("entry %d reads %q", i+1, p)
		}
	}
	return len(log), nil
}

func TestReplay(t *testing.T) {
	key := &seal.Key{7}
	log := written(t, key, fleet)
	if n, err := read(key, fleet, log); n != entries || err != nil {
		t.Fatal(n, err)
	}
	for _, e := range log {
		if bytes.Contains(e.Bytes, []byte("entry")) {
			t.Fatal("plaintext in the log")
		}
	}
}

func TestEveryFlippedByteStopsTheReplay(t *testing.T) {
	key := &seal.Key{7}
	log := written(t, key, fleet)
	flips := 0
	for i := range log {
		for at := range log[i].Bytes {
			bad := slices.Clone(log)
			bad[i].Bytes = bytes.Clone(bad[i].Bytes)
			bad[i].Bytes[at] ^= 1
			if n, err := read(key, fleet, bad); n != i || !errors.Is(err, ErrEntry) {
				t.Fatalf("byte %d of entry %d: %d entries accepted, %v", at, i+1, n, err)
			}
			flips++
		}
	}
	if flips < entries*seal.Overhead {
		t.Fatalf("only %d bytes flipped", flips)
	}
}

func TestHostileLogs(t *testing.T) {
	key := &seal.Key{7}
	log := written(t, key, fleet)
	twin := written(t, key, fleet) // the same box wrote another history once
	for name, c := range map[string]struct {
		log      []wire.Entry
		accepted int
	}{
		"one dropped":           {slices.Concat(log[:3], log[4:]), 3},
		"one dropped, renamed":  {renumbered(slices.Concat(log[:3], log[4:])), 3},
		"two swapped":           {renumbered(slices.Concat(log[:3], log[4:5], log[3:4], log[5:])), 3},
		"one replayed":          {renumbered(slices.Concat(log[:3], log[2:])), 3},
		"one of another past":   {slices.Concat(log[:3], twin[3:]), 3},
		"oversized":             {[]wire.Entry{{Index: 1, Bytes: make([]byte, EntryBytesMax+1)}}, 0},
		"empty":                 {[]wire.Entry{{Index: 1}}, 0},
		"another fleet's":       {written(t, key, wire.FleetID{9}), 0},
		"sealed by another key": {written(t, &seal.Key{8}, fleet), 0},
	} {
		if n, err := read(key, fleet, c.log); n != c.accepted || !errors.Is(err, ErrEntry) {
			t.Errorf("%s: %d accepted, %v", name, n, err)
		}
	}
}

func renumbered(log []wire.Entry) []wire.Entry {
	out := slices.Clone(log)
	for i := range out {
		out[i].Index = uint64(i + 1)
	}
	return out
}

func TestAnchor(t *testing.T) {
	a := Anchor{Head: Head{Index: 1<<40 + 3, Hash: [32]byte{5}}, Boot: Boot{6}}
	b := a.Encode(fleet)
	if got, err := ParseAnchor(fleet, b); err != nil || got != a {
		t.Fatal(got, err)
	}
	first := append([]byte{1}, b[1:len(b)-len(a.Boot)]...)
	if got, err := ParseAnchor(fleet, first); err != nil || got != (Anchor{Head: a.Head, First: true}) {
		t.Fatal(got, err)
	}
	for name, bad := range map[string][]byte{
		"empty": nil, "short": b[:len(b)-1], "long": append(bytes.Clone(b), 0), "version": append([]byte{3}, b[1:]...),
		"of First light, with a boot": append([]byte{1}, b[1:]...), "without a boot": b[:len(first)],
	} {
		if _, err := ParseAnchor(fleet, bad); !errors.Is(err, ErrAnchor) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ParseAnchor(wire.FleetID{9}, b); !errors.Is(err, ErrAnchor) {
		t.Errorf("another fleet: %v", err)
	}
}

// Entries of First light open under the island's key, and only there.
func TestFirstLightEntries(t *testing.T) {
	key := &seal.Key{7}
	at := Genesis(fleet)
	sealed, err := seal.Seal(rand.Reader, key, New(fleet, at, Epochs{}, nil).label(), at.Hash[:], []byte("entry 1"))
	if err != nil {
		t.Fatal(err)
	}
	old := []wire.Entry{{Index: 1, Bytes: append([]byte{entryVersionFirst}, sealed...)}}
	if n, err := read(key, fleet, old); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if n, err := read(&seal.Key{8}, fleet, old); n != 0 || !errors.Is(err, ErrEntry) {
		t.Fatal(n, err)
	}
}

// A log goes through its epochs, and ends where one is missing.
func TestLogThroughEpochs(t *testing.T) {
	one, two, three := epochOf(&seal.Key{1}), Epochs{}, Epochs{}
	two = one.With(Epoch{Number: 2}, &seal.Key{2})
	three = two.Newest().With(Epoch{Number: 3}, &seal.Key{3})
	l := New(fleet, Genesis(fleet), one, nil)
	var log []wire.Entry
	for i := range entries {
		switch i {
		case 4:
			l.Enter(two)
		case 8:
			l.Enter(three)
		}
		e, err := l.Append(rand.Reader, fmt.Appendf(nil, "entry %d", i+1))
		if err != nil {
			t.Fatal(err)
		}
		log = append(log, e)
	}
	all := two.With(Epoch{Number: 3}, &seal.Key{3})
	for name, c := range map[string]struct {
		epochs   Epochs
		accepted int
	}{"all": {all, entries}, "without the last": {two, 8}, "the last alone": {all.Newest(), 0}} {
		l := New(fleet, Genesis(fleet), c.epochs, nil)
		n := 0
		var err error
		for ; n < len(log) && err == nil; n++ {
			if _, err = l.Replay(log[n]); err != nil {
				n--
			}
		}
		if n != c.accepted || (err == nil) != (n == entries) || err != nil && !errors.Is(err, ErrEpoch) {
			t.Errorf("%s: %d accepted, %v", name, n, err)
		}
	}
	if s := fmt.Sprintf("%v %+v %#v", all, all, all); s != "ledger.Epochs(hidden) ledger.Epochs(hidden) ledger.Epochs(hidden)" {
		t.Error(s)
	}
}

func TestCheckpoint(t *testing.T) {
	e := epochOf(&seal.Key{1}).With(Epoch{Number: 2, Sealed: []byte("by the HSM")}, &seal.Key{2})
	c := Checkpoint{
		Serial: 7, Head: Head{1 << 40, [32]byte{3}}, Root: tree.Root{Hash: [32]byte{4}, Leaves: 5}, EpochMillis: 6,
		Due: []Due{{tree.Path{1}, 2}, {tree.Path{3}, 1 << 50}},
	}
	b, err := c.Seal(rand.Reader, fleet, e)
	if err != nil {
		t.Fatal(err)
	}
	list, err := ListEpochs(b)
	if err != nil || len(list) != 2 || list[1].Number != 2 || string(list[1].Sealed) != "by the HSM" {
		t.Fatal(list, err)
	}
	if got, err := OpenCheckpoint(fleet, e, b); err != nil || !reflect.DeepEqual(got, c) {
		t.Fatal(got, err)
	}
	if _, err := OpenCheckpoint(wire.FleetID{9}, e, b); !errors.Is(err, ErrCheckpoint) {
		t.Errorf("another fleet: %v", err)
	}
	if _, err := OpenCheckpoint(fleet, epochOf(&seal.Key{1}), b); !errors.Is(err, ErrShredded) {
		t.Errorf("without its epoch: %v", err)
	}
	for at := range b {
		bad := bytes.Clone(b)
		bad[at] ^= 1
		if _, err := OpenCheckpoint(fleet, e, bad); !errors.Is(err, ErrCheckpoint) && !errors.Is(err, ErrShredded) {
			t.Fatalf("byte %d flipped: %v", at, err)
		}
		if _, err := OpenCheckpoint(fleet, e, b[:at]); !errors.Is(err, ErrCheckpoint) {
			t.Fatalf("cut at %d: %v", at, err)
		}
	}
}
