package ledger

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"testing"

	"strongroom/protocol/wire"
	"strongroom/vault/internal/seal"
)

const entries = 12

var fleet = wire.FleetID{1, 2, 3}

func written(t *testing.T, key *seal.Key, fleet wire.FleetID) []wire.Entry {
	t.Helper()
	l := New(fleet, key)
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
	l := New(fleet, key)
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
	h := Head{Index: 1<<40 + 3, Hash: [32]byte{5}}
	b := Anchor(fleet, h)
	if got, err := ParseAnchor(fleet, b); err != nil || got != h {
		t.Fatal(got, err)
	}
	for name, bad := range map[string][]byte{
		"empty": nil, "short": b[:len(b)-1], "long": append(bytes.Clone(b), 0), "version": append([]byte{2}, b[1:]...),
	} {
		if _, err := ParseAnchor(fleet, bad); !errors.Is(err, ErrAnchor) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ParseAnchor(wire.FleetID{9}, b); !errors.Is(err, ErrAnchor) {
		t.Errorf("another fleet: %v", err)
	}
}
