package bundle

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"strongroom/protocol/wire"
)

// world is a founder of three custodians, two of whom must sign, with two
// islands that joined it.
type world struct {
	t         testing.TB
	founder   *Fleet
	keys      []ed25519.PrivateKey
	documents [][]byte // the founder's first
}

func newWorld(t testing.TB) *world {
	f, keys := island(t, 3, 2)
	f.Status, f.Policy.ResetMillis = bytes.Repeat([]byte{2}, wire.StatusKeyBytes), 1000
	w := &world{t: t, founder: f, keys: keys, documents: [][]byte{must(t, f.Encode)}}
	for i := range 2 {
		w.documents = append(w.documents, must(t, w.joining(byte(i+10)).Encode))
	}
	return w
}

func must[T any](t testing.TB, f func() (T, error)) T {
	t.Helper()
	v, err := f()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// joining is an island of the founder's fleet, whose keys are its own.
func (w *world) joining(n byte) *Fleet {
	f := *w.founder
	f.Founder, f.Boxes, f.Custodians, f.Quorum = PinOf(w.documents[0]), nil, nil, 0
	f.AKE, f.Channel, f.Status = []byte{n}, []byte{n}, bytes.Repeat([]byte{n}, wire.StatusKeyBytes)
	return &f
}

func (w *world) pins(which ...int) (pins []Pin) {
	h := NewHomes(w.founder.ID, PinOf(w.documents[0]), nil)
	set := uint16(0)
	for _, n := range which {
		place := must(w.t, func() (int, error) { return h.place(PinOf(w.documents[n]), nil) })
		set |= 1 << place
	}
	return h.pins(set)
}

// layout makes the next layout after these.
func (w *world) layout(before [][]byte, islands []Pin, who ...uint8) []byte {
	w.t.Helper()
	known, err := CheckLayouts(wire.Layouts{Founder: w.documents[0], Islands: w.documents[1:], Layouts: before})
	if err != nil {
		w.t.Fatal(err)
	}
	l := Layout{Fleet: w.founder.ID, Number: known.Newest() + 1, Before: known.Digest(known.Newest()), Islands: islands}
	return w.sign(l, who...)
}

func (w *world) sign(l Layout, who ...uint8) []byte {
	l.Signatures = signed(must(w.t, l.Statement), w.keys, who...)
	return must(w.t, l.Encode)
}

func (w *world) check(layouts ...[]byte) (*Layouts, error) {
	return CheckLayouts(wire.Layouts{Founder: w.documents[0], Islands: w.documents[1:], Layouts: layouts})
}

func TestLayouts(t *testing.T) {
	w := newWorld(t)
	one := w.layout(nil, w.pins(0, 1), 0, 2)
	two := w.layout([][]byte{one}, w.pins(1, 2), 1, 2)
	known, err := w.check(one, two)
	if err != nil || known.Newest() != 2 || known.Founder() != PinOf(w.documents[0]) || len(known.Pins(1)) != 2 || len(known.Pins(0)) != 1 {
		t.Fatal(known, err)
	}
	if f, found := known.Island(PinOf(w.documents[2])); !found || f.AKE[0] != 11 || !bytes.Equal(known.StatusKey(PinOf(w.documents[2])), f.Status) {
		t.Fatal(f, found)
	}
	older, err := w.check(one)
	if err != nil || !known.Follows(&older.Homes) || older.Follows(&known.Homes) {
		t.Fatal(err)
	}
	fork, err := w.check(w.layout(nil, w.pins(0, 2), 0, 1))
	if err != nil || known.Follows(&fork.Homes) {
		t.Fatal("a fork goes on", err)
	}
	alone, err := w.check()
	if err != nil || alone.Newest() != 0 || alone.Home("a") != alone.Founder() || len(alone.OlderHomes(0, "a")) != 0 || alone.Digest(0) != alone.Founder() {
		t.Fatal("layout 0", err)
	}
	kept, err := DecodeHomes(must(t, known.Encode))
	if err != nil || !kept.Follows(&known.Homes) || !known.Follows(kept) || kept.Home("a") != known.Home("a") {
		t.Fatal(kept, err)
	}
}

// TestLayoutsRefused: the bad cases, each refused.
func TestLayoutsRefused(t *testing.T) {
	w := newWorld(t)
	one := w.layout(nil, w.pins(0, 1), 0, 2)
	pin := PinOf(w.documents[0])
	good := Layout{Fleet: w.founder.ID, Number: 1, Before: pin, Islands: w.pins(0, 1)}
	but := func(change func(*Layout)) [][]byte {
		l := good
		change(&l)
		return [][]byte{w.sign(l, 0, 2)}
	}
	unsigned := good
	for name, layouts := range map[string][][]byte{
		"by one of two":             {w.sign(good, 1)},
		"by one twice":              {w.sign(good, 1, 1)},
		"by nobody":                 {must(t, unsigned.Encode)},
		"of another fleet":          but(func(l *Layout) { l.Fleet[0] ^= 1 }),
		"number 0":                  but(func(l *Layout) { l.Number = 0 }),
		"a gap":                     but(func(l *Layout) { l.Number = 2 }),
		"the same again":            {one, one},
		"another of a lower number": {one, w.layout(nil, w.pins(0, 2), 0, 2)},
		"after another history":     {one, w.layout([][]byte{w.layout(nil, w.pins(0, 2), 0, 2)}, w.pins(0, 1), 0, 2)},
		"no island":                 but(func(l *Layout) { l.Islands = nil }),
		"an island twice":           but(func(l *Layout) { l.Islands = []Pin{pin, pin} }),
		"islands out of order":      but(func(l *Layout) { l.Islands = []Pin{l.Islands[1], l.Islands[0]} }),
		"an island nobody knows":    but(func(l *Layout) { l.Islands = []Pin{{1}} }),
		"no layout":                 {{0xa0}},
	} {
		if _, err := w.check(layouts...); !errors.Is(err, ErrLayout) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, change := range map[string]func(*Fleet){
		"another founder": func(f *Fleet) { f.Founder[0] ^= 1 }, "no founder": func(f *Fleet) { f.Founder = Pin{} },
		"another id": func(f *Fleet) { f.ID[1] ^= 1 }, "another suite": func(f *Fleet) { f.Suite++ }, "another KEM": func(f *Fleet) { f.KEM++ },
		"fewer guesses": func(f *Fleet) { f.Policy.Attempts = 9 }, "other waits": func(f *Fleet) { f.Policy.WaitsMillis = []uint64{0, 1} },
		"an issuer more": func(f *Fleet) { f.Issuers = f.Issuers[:1] }, "another issuer's key": func(f *Fleet) {
			f.Issuers = []Issuer{{"a", EdDSA, bytes.Repeat([]byte{1}, 32)}, f.Issuers[1]}
		},
		"another alert key": func(f *Fleet) { f.Alert = []byte{1} }, "no status key": func(f *Fleet) { f.Status = nil },
	} {
		f := w.joining(10)
		change(f)
		_, err := CheckLayouts(wire.Layouts{Founder: w.documents[0], Islands: [][]byte{must(t, f.Encode)}})
		if !errors.Is(err, ErrLayout) {
			t.Errorf("an island with %s: %v", name, err)
		}
	}
	for name, change := range map[string]func(*Fleet){
		"no custodians":   func(f *Fleet) { f.Boxes, f.Custodians, f.Quorum = nil, nil, 0 },
		"a founder":       func(f *Fleet) { f.Founder = Pin{1} },
		"no status key":   func(f *Fleet) { f.Status = nil },
		"no reset delay":  func(f *Fleet) { f.Policy.ResetMillis = 0 },
		"another founder": func(f *Fleet) { f.AKE = []byte("other") },
	} {
		w := newWorld(t)
		change(w.founder)
		_, err := CheckLayouts(wire.Layouts{Founder: must(t, w.founder.Encode), Islands: w.documents[1:], Layouts: [][]byte{one}})
		if !errors.Is(err, ErrLayout) {
			t.Errorf("a founder with %s: %v", name, err)
		}
	}
	many := newWorld(t)
	var pins []Pin
	for i := range wire.IslandsMax + 1 {
		many.documents = append(many.documents, must(t, many.joining(byte(i+20)).Encode))
		pins = append(pins, PinOf(many.documents[i+3]))
	}
	_, err := CheckLayouts(wire.Layouts{Founder: many.documents[0], Islands: many.documents[3:]})
	if !errors.Is(err, ErrLayout) {
		t.Errorf("%d islands: %v", len(pins), err)
	}
}

// TestFlippedLayout flips every bit of a layout.
func TestFlippedLayout(t *testing.T) {
	w := newWorld(t)
	b := w.layout(nil, w.pins(0, 1), 0, 2)
	refusesEveryChange(t, b, func(b []byte) error { _, err := w.check(b); return err }, ErrLayout)
	known, err := w.check(b)
	if err != nil {
		t.Fatal(err)
	}
	kept := must(t, known.Encode)
	for i := range kept {
		if _, err := DecodeHomes(kept[:i]); !errors.Is(err, ErrLayout) {
			t.Fatalf("kept, cut at %d: %v", i, err)
		}
	}
}

// The vectors were written by another program.
func TestLayoutVectors(t *testing.T) {
	h := NewHomes(wire.FleetID{1}, Pin(bytes.Repeat([]byte{3}, 32)), nil)
	h.Islands = append(h.Islands, Home{Pin: Pin(bytes.Repeat([]byte{1}, 32))}, Home{Pin: Pin(bytes.Repeat([]byte{2}, 32))})
	h.Sets = []byte{0, 0b011, 0, 0b110}
	statement := must(t, Layout{Fleet: h.Fleet, Number: 1, Before: h.Digest(0), Islands: h.Pins(1)}.Statement)
	vector, err := os.ReadFile("testdata/statement-layout.txt")
	if err != nil || strings.TrimSpace(string(vector)) != hex.EncodeToString(statement) {
		t.Errorf("%x, %v", statement, err)
	}
	digest := h.Digest(2)
	if got := hex.EncodeToString(digest[:]); got != "832495942974aa79b83aa64b4be2695cabecc8e99761728f6e8b5a698f4da35b" {
		t.Error("digest", got)
	}
	lines, err := os.ReadFile("testdata/homes.txt")
	if err != nil || bytes.Count(lines, []byte("\n")) < 20 {
		t.Fatal("no vectors", err)
	}
	for line := range strings.Lines(string(lines)) {
		var account string
		var in [3]int
		if _, err := fmt.Sscan(line, &account, &in[0], &in[1], &in[2]); err != nil {
			t.Fatal(err)
		}
		for n := range in {
			if got := h.HomeIn(uint64(n), account); got != h.Islands[in[n]].Pin {
				t.Errorf("%s in layout %d: %x", account, n, got)
			}
		}
		var older []Pin
		for _, n := range []int{1, 0} {
			if p := h.Islands[in[n]].Pin; in[n] != in[2] && (n == 1 || in[0] != in[1]) {
				older = append(older, p)
			}
		}
		if got := h.OlderHomes(h.Newest(), account); fmt.Sprint(got) != fmt.Sprint(older) {
			t.Errorf("%s's older homes: %v, want %v", account, got, older)
		}
	}
}

// A new island takes its share from each, and nothing moves between others.
func TestNewIslandTakesItsShare(t *testing.T) {
	h := NewHomes(wire.FleetID{1}, Pin{1}, nil)
	for i := range 4 {
		h.Islands = append(h.Islands, Home{Pin: Pin{byte(i + 2)}})
		h.Sets = append(h.Sets, 0, 1<<(i+2)-1)
		moved := 0
		const accounts = 2000
		for a := range accounts {
			account := fmt.Sprint("account ", a)
			before, after := h.HomeIn(h.Newest()-1, account), h.Home(account)
			if before != after {
				moved++
				if after != h.Islands[i+1].Pin {
					t.Fatalf("%s moved between old islands", account)
				}
			}
		}
		if want := accounts / (i + 2); moved < want*8/10 || moved > want*12/10 {
			t.Errorf("island %d took %d of %d", i+2, moved, accounts)
		}
	}
}

func FuzzDecodeLayout(f *testing.F) {
	w := newWorld(f)
	b := w.layout(nil, w.pins(0, 1), 0, 2)
	f.Add(b)
	f.Add(b[:len(b)-1])
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := DecodeLayout(b)
		if err != nil {
			if !errors.Is(err, ErrLayout) {
				t.Fatal(err)
			}
			return
		}
		if again, err := l.Encode(); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x, %v", again, err)
		}
	})
}

func FuzzDecodeHomes(f *testing.F) {
	w := newWorld(f)
	known, err := w.check(w.layout(nil, w.pins(0, 1), 0, 2))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(must(f, known.Encode))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := DecodeHomes(b)
		if err != nil {
			if !errors.Is(err, ErrLayout) {
				t.Fatal(err)
			}
			return
		}
		if again, err := h.Encode(); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x, %v", again, err)
		}
		_, _ = h.Home("a"), h.OlderHomes(h.Newest(), "a")
	})
}
