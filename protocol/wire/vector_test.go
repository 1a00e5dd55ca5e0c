package wire

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

type vector struct {
	Kind, Name, Reason, Account string
	Bytes                       string
}

func (v vector) raw(t testing.TB) []byte {
	t.Helper()
	b, err := hex.DecodeString(v.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// vectors are written by another program that shares no code with the codec.
func vectors(t testing.TB) (v struct{ Good, Bad, Statements []vector }) {
	t.Helper()
	b, err := os.ReadFile("../../spec/vectors/wire.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Good) < 38 || len(v.Bad) < 147 || len(v.Statements) != 7 {
		t.Fatalf("only %d good, %d bad vectors", len(v.Good), len(v.Bad))
	}
	return v
}

// parse decodes and encodes again.
func parse(kind string, b []byte) ([]byte, error) {
	var m any
	var err error
	switch kind {
	case "first":
		m, err = DecodeFirst(b)
	case "second":
		m, err = DecodeSecond(b)
	case "answer":
		m, err = DecodeAnswer(b)
	case "alerts":
		m, err = DecodeAlerts(b)
	case "statement":
		m, err = DecodeStatusStatement(b)
	default:
		return nil, errors.New("no such kind: " + kind)
	}
	if err != nil {
		return nil, err
	}
	return Encode(m)
}

func TestGoodVectors(t *testing.T) {
	for _, v := range vectors(t).Good {
		b := v.raw(t)
		if again, err := parse(v.Kind, b); err != nil || !bytes.Equal(again, b) {
			t.Errorf("%s, %s: %x, %v", v.Kind, v.Name, again, err)
		}
	}
}

func TestBadVectors(t *testing.T) {
	for _, v := range vectors(t).Bad {
		_, err := parse(v.Kind, v.raw(t))
		var m *Malformed
		if !errors.As(err, &m) || !errors.Is(err, ErrMalformed) || m.Reason != Reason(v.Reason) {
			t.Errorf("%s, %s: %v, want %s", v.Kind, v.Name, err, v.Reason)
		}
	}
}

// Every cut of every good message is refused, and every flipped bit either is
// refused or says something else in its own one encoding.
func TestEveryCutAndFlip(t *testing.T) {
	for _, v := range vectors(t).Good {
		b := v.raw(t)
		for i := range b {
			if _, err := parse(v.Kind, b[:i]); !errors.Is(err, ErrMalformed) {
				t.Fatalf("%s, %s, cut at %d: %v", v.Kind, v.Name, i, err)
			}
			flipped := bytes.Clone(b)
			flipped[i] ^= 1 << (i % 8)
			again, err := parse(v.Kind, flipped)
			if err == nil && !bytes.Equal(again, flipped) || err != nil && !errors.Is(err, ErrMalformed) {
				t.Fatalf("%s, %s, flip at %d: %v", v.Kind, v.Name, i, err)
			}
		}
	}
}

func finish() *RegisterFinish {
	f := &RegisterFinish{
		Record: []byte("record"), SealedKey: []byte("sealed key"),
		Stretch: Stretch{Time: 3, MemoryKiB: 65536, Threads: 4}, Replaces: new(Generation),
	}
	sequence(f.Transcript[:], 1)
	sequence(f.Owner[:], 33)
	sequence(f.Replaces[:], 32)
	return f
}

func sequence(b []byte, from byte) {
	for i := range b {
		b[i] = from + byte(i)
	}
}

const evening = 1_793_714_520_000 // 3 November 2026, 14:02 UTC

func someReport() StatusReport {
	r := StatusReport{
		State: StateLive, Slot: 4, Left: 8, Limit: 10, Wrong: 2, History: []Event{
			{EventRegistered, 1, 1, evening - 1000, evening - 1000},
			{EventAttempts, 3, 2, evening, evening + 180_000},
			{EventRecovered, 5, 1, evening + 602_000, evening + 602_000},
		},
	}
	sequence(r.Generation[:], 16)
	return r
}

func someDeparture() Depart {
	d := Depart{Layout: 2, Signature: make([]byte, SignatureBytes)} // which is left out
	sequence(d.To[:], 80)
	sequence(d.Generation[:], 32)
	return d
}

func someReceipt(account string) (r Receipt, p Passage) {
	past := Past{Marks: []MarkReport{{Sequence: 7}}, History: someReport().History}
	past.History[1] = Event{EventAttempts, 3, 2, evening, evening + 180_000}
	past.History[2] = Event{EventDeparted, 4, 1, evening + 602_000, evening + 602_000}
	sequence(past.Marks[0].Device[:], 48)
	sequence(past.Marks[0].Head[:], 64)
	r = Receipt{
		Layout: 2, Before: StateLive, Opened: 1, Signed: true, Slot: 4, Wrong: 2, Resets: 1, Changes: 5, Events: 4,
		PastHash: past.Hash(), Past: &past, Signature: make([]byte, SignatureBytes),
	}
	sequence(r.From[:], 112)
	sequence(r.Root[:], 144)
	p = Passage{Account: account}
	sequence(p.Fleet[:], 0)
	sequence(p.To[:], 80)
	sequence(p.Generation[:], 32)
	sequence(p.Digest[:], 176)
	return r, p
}

func TestStatementVectors(t *testing.T) {
	var fleet FleetID
	var g Generation
	sequence(fleet[:], 0)
	sequence(g[:], 16)
	for _, v := range vectors(t).Statements {
		got := DeleteStatement(fleet, v.Account, g)
		if v.Name == "replace" {
			signed := finish()
			signed.Signature = make([]byte, SignatureBytes) // is left out
			got = signed.Statement(fleet, v.Account, g)
		}
		if v.Name == "mark" {
			m := Mark{Generation: g, Sequence: 7, Signature: make([]byte, SignatureBytes)}
			sequence(m.Device[:], 48)
			sequence(m.Head[:], 64)
			got = m.Statement(fleet, v.Account)
		}
		if v.Name == "cancel" {
			c := Cancel{Generation: g, AtMillis: 1_700_000_000_000, Signature: make([]byte, SignatureBytes)}
			got = c.Statement(fleet, v.Account)
		}
		if v.Name == "depart" {
			d := someDeparture()
			got = d.Statement(fleet, v.Account, g)
		}
		if v.Name == "receipt" {
			r, p := someReceipt(v.Account)
			got = r.Statement(p)
		}
		if v.Name == "status" {
			r := someReport()
			var err error
			if got, err = r.Statement(fleet, v.Account, evening); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(got, v.raw(t)) {
			t.Errorf("%s: %x", v.Name, got)
		}
		text, err := cbor.Diagnose(got)
		if err != nil {
			t.Fatal(err)
		}
		golden, err := os.ReadFile("testdata/statement-" + v.Name + ".txt")
		if err != nil || string(golden) != text+"\n" {
			t.Errorf("%s reads\n%s\nwant\n%s %v", v.Name, text, golden, err)
		}
	}
}

// Whatever changes in what is signed changes the statement.
func TestStatementBindsEverything(t *testing.T) {
	seen := map[string]string{}
	add := func(name string, b []byte) {
		if other, ok := seen[string(b)]; ok {
			t.Errorf("%s and %s are one statement", name, other)
		}
		seen[string(b)] = name
	}
	change := map[string]func(*RegisterFinish){
		"nothing":    func(*RegisterFinish) {},
		"transcript": func(f *RegisterFinish) { f.Transcript[0] ^= 1 },
		"record":     func(f *RegisterFinish) { f.Record = []byte("recorD") },
		"sealed key": func(f *RegisterFinish) { f.SealedKey = []byte("x") },
		"owner":      func(f *RegisterFinish) { f.Owner[31] ^= 1 },
		"time":       func(f *RegisterFinish) { f.Stretch.Time++ },
		"memory":     func(f *RegisterFinish) { f.Stretch.MemoryKiB++ },
		"threads":    func(f *RegisterFinish) { f.Stretch.Threads++ },
		"replaces":   func(f *RegisterFinish) { f.Replaces[0] ^= 1 },
		"reset":      func(f *RegisterFinish) { f.Reset = true },
		"none":       func(f *RegisterFinish) { f.Replaces = nil },
	}
	for name, c := range change {
		f := finish()
		c(f)
		add(name, f.Statement(FleetID{1}, "a", Generation{1}))
	}
	f := finish()
	add("fleet", f.Statement(FleetID{2}, "a", Generation{1}))
	add("account", f.Statement(FleetID{1}, "b", Generation{1}))
	add("generation", f.Statement(FleetID{1}, "a", Generation{2}))
	add("delete", DeleteStatement(FleetID{1}, "a", Generation{1}))
	add("delete, fleet", DeleteStatement(FleetID{2}, "a", Generation{1}))
	add("delete, account", DeleteStatement(FleetID{1}, "b", Generation{1}))
	for name, c := range map[string]func(*Mark){
		"mark": func(*Mark) {}, "mark, device": func(m *Mark) { m.Device[15] ^= 1 }, "mark, sequence": func(m *Mark) { m.Sequence++ },
		"mark, head": func(m *Mark) { m.Head[31] ^= 1 }, "mark, generation": func(m *Mark) { m.Generation[0] ^= 1 },
	} {
		m := Mark{Generation: Generation{1}, Sequence: 1}
		c(&m)
		add(name, m.Statement(FleetID{1}, "a"))
	}
	add("cancel", (&Cancel{Generation{1}, 1, nil}).Statement(FleetID{1}, "a"))
	add("cancel, at", (&Cancel{Generation{1}, 2, nil}).Statement(FleetID{1}, "a"))
	add("cancel, generation", (&Cancel{Generation{2}, 1, nil}).Statement(FleetID{1}, "a"))
	add("cancel, fleet", (&Cancel{Generation{1}, 1, nil}).Statement(FleetID{2}, "a"))
	add("cancel, account", (&Cancel{Generation{1}, 1, nil}).Statement(FleetID{1}, "b"))
	for name, c := range map[string]func(*StatusReport){
		"status": func(*StatusReport) {}, "status, state": func(r *StatusReport) { r.State = StateExhausted }, "status, slot": func(r *StatusReport) { r.Slot++ },
		"status, left": func(r *StatusReport) { r.Left-- }, "status, history": func(r *StatusReport) { r.History[1].Count++ },
		"status, time": func(r *StatusReport) { r.History[1].LastMillis++ }, "status, generation": func(r *StatusReport) { r.Generation[0] ^= 1 },
	} {
		r := someReport()
		c(&r)
		add(name, must(r.Statement(FleetID{1}, "a", evening)))
	}
	r := someReport()
	add("status, fleet", must(r.Statement(FleetID{2}, "a", evening)))
	add("status, account", must(r.Statement(FleetID{1}, "b", evening)))
	add("status, at", must(r.Statement(FleetID{1}, "a", evening+1)))
	add("mark, fleet", (&Mark{Generation: Generation{1}, Sequence: 1}).Statement(FleetID{2}, "a"))
	add("mark, account", (&Mark{Generation: Generation{1}, Sequence: 1}).Statement(FleetID{1}, "b"))
	for name, c := range map[string]func(*Depart){
		"depart": func(*Depart) {}, "depart, to": func(d *Depart) { d.To[31] ^= 1 }, "depart, layout": func(d *Depart) { d.Layout++ },
		"depart, there": func(d *Depart) { d.Generation[0] ^= 1 },
	} {
		d := someDeparture()
		c(&d)
		add(name, d.Statement(FleetID{1}, "a", Generation{1}))
	}
	d := someDeparture()
	add("depart, generation", d.Statement(FleetID{1}, "a", Generation{2}))
	add("depart, account", d.Statement(FleetID{1}, "b", Generation{1}))
	add("depart, fleet", d.Statement(FleetID{2}, "a", Generation{1}))
	for name, c := range map[string]func(*Receipt, *Passage){
		"receipt": func(*Receipt, *Passage) {}, "receipt, from": func(r *Receipt, _ *Passage) { r.From[0] ^= 1 },
		"receipt, layout": func(r *Receipt, _ *Passage) { r.Layout++ }, "receipt, before": func(r *Receipt, _ *Passage) { r.Before = StateNone },
		"receipt, opened": func(r *Receipt, _ *Passage) { r.Opened = 0 }, "receipt, signed": func(r *Receipt, _ *Passage) { r.Signed = false },
		"receipt, slot": func(r *Receipt, _ *Passage) { r.Slot++ }, "receipt, wrong": func(r *Receipt, _ *Passage) { r.Wrong-- },
		"receipt, root": func(r *Receipt, _ *Passage) { r.Root[31] ^= 1 }, "receipt, resets": func(r *Receipt, _ *Passage) { r.Resets++ },
		"receipt, changes": func(r *Receipt, _ *Passage) { r.Changes++ }, "receipt, events": func(r *Receipt, _ *Passage) { r.Events++ },
		"receipt, past":  func(r *Receipt, _ *Passage) { r.PastHash = (&Past{Marks: r.Past.Marks}).Hash() },
		"receipt, fleet": func(_ *Receipt, p *Passage) { p.Fleet[0] ^= 1 }, "receipt, account": func(_ *Receipt, p *Passage) { p.Account = "b" },
		"receipt, to": func(_ *Receipt, p *Passage) { p.To[0] ^= 1 }, "receipt, there": func(_ *Receipt, p *Passage) { p.Generation[0] ^= 1 },
		"receipt, digest": func(_ *Receipt, p *Passage) { p.Digest[0] ^= 1 },
	} {
		r, p := someReceipt("a")
		c(&r, &p)
		add(name, r.Statement(p))
	}
	add("delete, generation", DeleteStatement(FleetID{1}, "a", Generation{2}))
}

func fuzz(f *testing.F, kind string) {
	v := vectors(f)
	for _, one := range append(v.Good, v.Bad...) {
		if one.Kind == kind {
			f.Add(one.raw(f))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		again, err := parse(kind, b)
		if err == nil && !bytes.Equal(again, b) || err != nil && !errors.Is(err, ErrMalformed) {
			t.Fatalf("%x, %v", again, err)
		}
	})
}

func FuzzDecodeFirst(f *testing.F)     { fuzz(f, "first") }
func FuzzDecodeSecond(f *testing.F)    { fuzz(f, "second") }
func FuzzDecodeAnswer(f *testing.F)    { fuzz(f, "answer") }
func FuzzDecodeAlerts(f *testing.F)    { fuzz(f, "alerts") }
func FuzzDecodeStatement(f *testing.F) { fuzz(f, "statement") }
