package channel

import (
	"bytes"
	"crypto/hpke"
	"crypto/rand"
	"errors"
	"testing"

	"strongroom/protocol/wire"
)

// talk is one whole conversation with all that passed.
type talk struct {
	key                      hpke.PrivateKey
	e, e2                    *Exchange
	p, p2                    *Peer
	first, answer            []byte
	second, answer2          []byte
	firstPlain, secondTicket []byte
}

func newTalk(t testing.TB, key hpke.PrivateKey, ticket string) *talk {
	t.Helper()
	c := &talk{key: key, firstPlain: []byte("first"), secondTicket: []byte(ticket)}
	try := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	c.first, c.e, err = SealFirst(key.PublicKey(), fleet, c.firstPlain)
	try(err)
	_, c.p, err = OpenFirst(key, fleet, c.first)
	try(err)
	c.answer, err = c.p.SealAnswer(rand.Reader, []byte("answer"))
	try(err)
	c.second, c.e2, err = c.e.SealSecond(c.secondTicket, []byte("second"))
	try(err)
	_, c.p2, err = c.openSecond(c.second)
	try(err)
	c.answer2, err = c.p2.SealAnswer(nil, []byte("answer 2"))
	try(err)
	return c
}

func (c *talk) openSecond(sealed []byte) ([]byte, *Peer, error) {
	ticket, body, err := SplitSecond(sealed)
	if err != nil {
		return nil, nil, err
	}
	return OpenSecond(c.p.SecondSecret(), body, ticket)
}

var named = []error{ErrVersion, ErrKind, ErrFrame, ErrOpen}

func refused(err error) bool {
	for _, n := range named {
		if errors.Is(err, n) {
			return true
		}
	}
	return false
}

// Every flipped byte and every cut of every frame is refused by name.
func TestEveryByte(t *testing.T) {
	c := newTalk(t, newKey(t, hpke.MLKEM768P256()), "ticket")
	for name, f := range map[string]struct {
		frame []byte
		open  func([]byte) error
	}{
		"first":    {c.first, func(b []byte) error { _, _, err := OpenFirst(c.key, fleet, b); return err }},
		"answer":   {c.answer, func(b []byte) error { _, err := c.e.OpenAnswer(b); return err }},
		"second":   {c.second, func(b []byte) error { _, _, err := c.openSecond(b); return err }},
		"answer 2": {c.answer2, func(b []byte) error { _, err := c.e2.OpenAnswer(b); return err }},
	} {
		if err := f.open(f.frame); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		step := 1
		if raceEnabled {
			step = 97
		}
		for i := 0; i < len(f.frame); i += step {
			bad := bytes.Clone(f.frame)
			bad[i] ^= 1 << (i % 8)
			want := ErrOpen
			switch {
			case i == 0:
				want = ErrVersion
			case i == 1:
				want = ErrKind
			case name == "second" && i < 4:
				want = nil // the ticket's length: any name
			}
			if err := f.open(bad); !refused(err) || want != nil && !errors.Is(err, want) {
				t.Fatalf("%s, byte %d: %v", name, i, err)
			}
			if err := f.open(f.frame[:i]); !errors.Is(err, ErrFrame) {
				t.Fatalf("%s, cut at %d: %v", name, i, err)
			}
		}
		if err := f.open(append(bytes.Clone(f.frame), 0)); !errors.Is(err, ErrFrame) {
			t.Fatalf("%s, longer: %v", name, err)
		}
	}
}

// Frames of one conversation in the place of another's.
func TestSwaps(t *testing.T) {
	key := newKey(t, hpke.MLKEM768P256())
	a, b := newTalk(t, key, "ticket a"), newTalk(t, key, "ticket b")
	ticketA, bodyA, _ := SplitSecond(a.second)
	ticketB, _, _ := SplitSecond(b.second)
	again, _, err := a.e.SealSecond(a.secondTicket, []byte("second"))
	if err != nil || bytes.Equal(again, a.second) {
		t.Fatal("two second trips under one salt", err)
	}
	answer := func(e *Exchange, sealed []byte) error { _, err := e.OpenAnswer(sealed); return err }
	second := func(p *Peer, body, ticket []byte) error {
		_, _, err := OpenSecond(p.SecondSecret(), body, ticket)
		return err
	}
	first := func(k hpke.PrivateKey, f wire.FleetID, sealed []byte) error {
		_, _, err := OpenFirst(k, f, sealed)
		return err
	}
	for name, c := range map[string]struct{ got, want error }{
		"another exchange's answer":      {answer(a.e, b.answer), ErrOpen},
		"the second's answer to first":   {answer(a.e, a.answer2), ErrOpen},
		"the first's answer to second":   {answer(a.e2, a.answer), ErrOpen},
		"a request as its own answer":    {answer(a.e, a.first), ErrKind},
		"the body with another's ticket": {second(a.p, bodyA, ticketB), ErrOpen},
		"another exchange's secret":      {second(b.p, bodyA, ticketA), ErrOpen},
		"the wrong fleet":                {first(key, wire.FleetID{9}, a.first), ErrOpen},
		"the wrong key":                  {first(newKey(t, hpke.MLKEM768P256()), fleet, a.first), ErrOpen},
		"a second as a first":            {first(key, fleet, a.second), ErrKind},
		"another KEM's key":              {first(newKey(t, hpke.MLKEM768X25519()), fleet, a.first), ErrOpen},
		"a KEM that is none of ours":     {first(newKey(t, hpke.MLKEM1024P384()), fleet, a.first), ErrKey},
	} {
		if !errors.Is(c.got, c.want) {
			t.Errorf("%s: %v, want %v", name, c.got, c.want)
		}
	}
	if _, err := ParsePublicKey(hpke.MLKEM768().ID(), key.PublicKey().Bytes()); !errors.Is(err, ErrKey) {
		t.Errorf("a KEM without a curve: %v", err)
	}
	if _, err := ParsePublicKey(hpke.MLKEM768P256().ID(), key.PublicKey().Bytes()[1:]); !errors.Is(err, ErrKey) {
		t.Errorf("a short key: %v", err)
	}
}

// The longest messages that wire allows fit, and all frames have one length.
func TestLengths(t *testing.T) {
	stretch := wire.Stretch{Time: 1 << 31, MemoryKiB: 1 << 31, Threads: 255}
	status := &wire.StatusReport{
		State: wire.StateLive, Slot: 1 << 63, Left: 10, Limit: 10, Wrong: 1 << 31, WrongBefore: 1 << 31, DestroyAtMillis: 1 << 63,
		WaitUntilMillis: 1 << 63, WrongEver: 1 << 31, LifetimeLimit: 1 << 31, Resets: 1 << 31,
		Pending: &wire.Pending{AtMillis: 1 << 63, Generation: new(wire.Generation)}, Marks: make([]wire.MarkReport, wire.MarksMax),
	}
	for i := range uint64(wire.HistoryMax) {
		status.History = append(status.History, wire.Event{Kind: wire.EventDestroyed, Number: 1<<63 + i, Count: 1 << 31, FirstMillis: 1 << 63, LastMillis: 1 << 63})
	}
	for i := range status.Marks {
		status.Marks[i].Sequence = 1 << 63
	}
	token, opaque, ticket := string(bytes.Repeat([]byte("t"), wire.TokenBytesMax)), make([]byte, wire.OpaqueBytesMax), make([]byte, wire.TicketBytesMax)
	encode := func(v any) []byte {
		t.Helper()
		b, err := wire.Encode(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	e := newTalk(t, newKey(t, hpke.MLKEM768P256()), "ticket")
	for _, f := range []wire.First{
		{Status: &wire.StatusRequest{}}, {RegisterStart: &wire.RegisterStart{Request: opaque}},
		{RecoverStart: &wire.RecoverStart{Slot: 1 << 63, KE1: opaque}}, {Watch: &wire.Watch{After: 1 << 63}}, {Delete: &wire.Delete{Signature: make([]byte, 64)}},
	} {
		for _, tok := range []string{"t", token} {
			f.Version, f.Token = wire.Version, tok
			if b, _, err := SealFirst(e.key.PublicKey(), fleet, encode(f)); err != nil || len(b) != RequestFrameBytes {
				t.Errorf("%d bytes, %v", len(b), err)
			}
		}
	}
	for _, s := range []wire.Second{{RecoverFinish: &wire.RecoverFinish{KE3: opaque}}, {RegisterFinish: &wire.RegisterFinish{
		Record: opaque, SealedKey: make([]byte, wire.SealedKeyBytesMax), Stretch: stretch, Replaces: new(wire.Generation), Signature: make([]byte, 64),
	}}} {
		for _, tick := range [][]byte{{1}, ticket} {
			s.Version = wire.Version
			if b, _, err := e.e.SealSecond(tick, encode(s)); err != nil || len(b) != RequestFrameBytes {
				t.Errorf("%d bytes, %v", len(b), err)
			}
		}
	}
	for _, a := range []wire.Answer{
		{Refused: wire.CodeExhausted}, {Status: status}, {Status: status, Attestation: &wire.Attestation{AtMillis: 1 << 63, Signature: make([]byte, 64)}}, {RegisterStart: &wire.RegisterStartAnswer{Response: opaque, Ticket: ticket}, Status: status},
		{RecoverStart: &wire.RecoverStartAnswer{KE2: opaque, Stretch: stretch, Ticket: ticket}, Status: status},
		{RecoverFinish: &wire.RecoverFinishAnswer{SealedKey: make([]byte, wire.SealedKeyBytesMax+tagBytes)}, Status: status},
	} {
		a.Version = wire.Version
		for _, p := range []*Peer{e.p, e.p2} {
			if b, err := p.SealAnswer(nil, encode(a)); err != nil || len(b) != AnswerFrameBytes {
				t.Errorf("%d bytes, %v", len(b), err)
			}
		}
	}
	if _, _, err := SealFirst(e.key.PublicKey(), fleet, make([]byte, RequestFrameBytes)); !errors.Is(err, ErrTooLong) {
		t.Error(err)
	}
	if _, err := e.p.SealAnswer(nil, make([]byte, AnswerFrameBytes)); !errors.Is(err, ErrTooLong) {
		t.Error(err)
	}
	if _, _, err := e.e.SealSecond(make([]byte, wire.TicketBytesMax+1), nil); !errors.Is(err, ErrTooLong) {
		t.Error(err)
	}
	if RequestFrameBytes > wire.RequestBytesMax || AnswerFrameBytes > wire.AnswerBytesMax {
		t.Error("frames over wire's limits")
	}
}

// Padding that holds anything, or a length past its end, is refused even
// though it was sealed by the right key.
func TestPadding(t *testing.T) {
	good, err := pad(nil, []byte("m"), 64)
	if err != nil {
		t.Fatal(err)
	}
	for i := 3; i < len(good); i++ {
		bad := bytes.Clone(good)
		bad[i] = 1
		if _, err := unpad(bad); !errors.Is(err, ErrFrame) {
			t.Fatalf("byte %d: %v", i, err)
		}
	}
	for _, bad := range [][]byte{nil, {0}, {0, 1}, {0xff, 0xff, 0}} {
		if _, err := unpad(bad); !errors.Is(err, ErrFrame) {
			t.Fatalf("%x: %v", bad, err)
		}
	}
}

// All that a session's seal is bound to.
func TestSession(t *testing.T) {
	key, plain, g := make([]byte, 32), []byte("sealed key"), wire.Generation{1}
	sealed, err := SealUnderSession(key, fleet, "alice", g, 7, plain)
	if err != nil || len(sealed) != len(plain)+tagBytes {
		t.Fatal(err)
	}
	if again, _ := SealUnderSession(key, fleet, "alice", g, 7, plain); !bytes.Equal(again, sealed) {
		t.Fatal("a retry gives other bytes")
	}
	open := func(key []byte, f wire.FleetID, account string, g wire.Generation, slot uint64, sealed []byte) error {
		_, err := OpenUnderSession(key, f, account, g, slot, sealed)
		return err
	}
	if err := open(key, fleet, "alice", g, 7, sealed); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"key":        open(append([]byte{1}, key[1:]...), fleet, "alice", g, 7, sealed),
		"fleet":      open(key, wire.FleetID{9}, "alice", g, 7, sealed),
		"account":    open(key, fleet, "alicf", g, 7, sealed),
		"generation": open(key, fleet, "alice", wire.Generation{2}, 7, sealed),
		"slot":       open(key, fleet, "alice", g, 8, sealed),
		"cut":        open(key, fleet, "alice", g, 7, sealed[:len(sealed)-1]),
		"empty":      open(key, fleet, "alice", g, 7, nil),
	} {
		if !errors.Is(err, ErrOpen) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
