package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
)

func frameOf(version, kind byte, payload []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(payload)))
	return append(append(b, version, kind), payload...)
}

func someStart() Start {
	return Start{HSM: HSM{Provider: "soft", Place: "/var/hsm", Secret: Secret("passphrase")}, Document: []byte{1}, Island: []byte{2}, Workers: 2}
}

func roundTrip[M Framed](t *testing.T, m M) {
	t.Helper()
	b, err := AppendFrame(nil, m)
	if err != nil {
		t.Fatal(err)
	}
	r := bytes.NewReader(b)
	got, err := ReadMessage[M](r)
	if err != nil || !reflect.DeepEqual(got, m) {
		t.Fatalf("%#v came back as %#v: %v", m, got, err)
	}
	if _, err := ReadFrame(r); err != io.EOF {
		t.Fatalf("after the last frame: %v", err)
	}
	// Cut anywhere, it is neither a message nor a clean end.
	for cut := 1; cut < len(b); cut++ {
		if _, err := ReadMessage[M](bytes.NewReader(b[:cut])); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("cut at %d of %d: %v", cut, len(b), err)
		}
	}
}

func TestPipeRoundTrip(t *testing.T) {
	roundTrip(t, someStart())
	roundTrip(t, Entries{})
	roundTrip(t, Want{After: 7})
	roundTrip(t, Entries{Entries: []Entry{{1, []byte("a")}, {2, []byte("b")}}})
	roundTrip(t, In{NowMillis: 5, Found: []Found{{ID: 9, Values: [][]byte{[]byte("page"), {}}}}, Kept: 3, Epoch: true})
	roundTrip(t, Out{Reads: []Read{{ID: 9, Keys: [][]byte{[]byte("k"), []byte("l")}}}})
	roundTrip(t, Out{Pages: []Page{{[]byte("k"), []byte("page")}}, Checkpoint: &Checkpoint{Serial: 3, Index: 4}})
	roundTrip(t, In{NowMillis: 1 << 50, Durable: 7, Requests: []Request{{1, []byte("sealed")}, {2, []byte{}}}})
	roundTrip(t, Ready{Walls: []string{"no new privileges"}})
	roundTrip(t, Out{Append: []Entry{{9, []byte("e")}}, Replies: []Reply{{ID: 3, Sealed: []byte("s")}, {ID: 4, Refused: CodeSealing}}, Counts: Counts{Debited: 1}})
	roundTrip(t, In{NowMillis: 1, Alerted: 9, Stopping: true})
	roundTrip(t, Out{Alerts: []SealedAlerts{{7, []byte("a")}, {9, []byte("b")}}})
	roundTrip(t, Failed{Fault: FaultSecret, Message: "hal: the passphrase or PIN is wrong"})
}

// What the node's side must refuse before anybody acts on it.
func TestPipeRefuses(t *testing.T) {
	in, err := AppendFrame(nil, In{NowMillis: 1})
	if err != nil {
		t.Fatal(err)
	}
	payload := in[frameHeaderBytes:]
	for name, b := range map[string][]byte{
		"another version":   frameOf(PipeVersion+1, byte(FrameIn), payload),
		"another kind":      frameOf(PipeVersion, byte(FrameOut), payload),
		"unknown kind":      frameOf(PipeVersion, 77, payload),
		"trailing byte":     frameOf(PipeVersion, byte(FrameIn), append(bytes.Clone(payload), 0)),
		"no payload":        frameOf(PipeVersion, byte(FrameIn), nil),
		"not CBOR":          frameOf(PipeVersion, byte(FrameIn), []byte("hello")),
		"unknown field":     frameOf(PipeVersion, byte(FrameIn), []byte{0xa2, 1, 1, 23, 1}),
		"duplicate key":     frameOf(PipeVersion, byte(FrameIn), []byte{0xa2, 1, 1, 1, 1}),
		"longer integer":    frameOf(PipeVersion, byte(FrameIn), []byte{0xa1, 1, 0x18, 1}),
		"indefinite length": frameOf(PipeVersion, byte(FrameIn), []byte{0xbf, 1, 1, 0xff}),
		"written zero":      frameOf(PipeVersion, byte(FrameIn), []byte{0xa2, 1, 1, 2, 0}),
	} {
		if _, err := ReadMessage[In](bytes.NewReader(b)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A length of 4 GiB is refused by its header: the reader behind it has
	// nothing more, and would otherwise be an unexpected end.
	if _, err := ReadFrame(bytes.NewReader([]byte{0xff, 0xff, 0xff, 0xff, PipeVersion, byte(FrameIn)})); !errors.Is(err, ErrMalformed) {
		t.Errorf("4 GiB: %v", err)
	}
}

// refuses: neither side sends it.
func refuses[M Framed](t *testing.T, name string, m M) {
	t.Helper()
	if _, err := AppendFrame(nil, m); !errors.Is(err, ErrMalformed) {
		t.Errorf("%s is sent: %v", name, err)
	}
	payload, err := encoding.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := DecodeFrame[M](Frame{m.kind(), payload}); !errors.Is(err, ErrMalformed) {
		t.Errorf("%s is taken: %v", name, err)
	}
}

func TestPipeLimits(t *testing.T) {
	with := func(change func(*Start)) Start {
		s := someStart()
		change(&s)
		return s
	}
	refuses(t, "no provider", with(func(s *Start) { s.HSM.Provider = "" }))
	refuses(t, "no place", with(func(s *Start) { s.HSM.Place = "" }))
	refuses(t, "a long device", with(func(s *Start) { s.HSM.Device = strings.Repeat("x", PlaceBytesMax+1) }))
	refuses(t, "a long place", with(func(s *Start) { s.HSM.Place = strings.Repeat("x", PlaceBytesMax+1) }))
	refuses(t, "a long secret", with(func(s *Start) { s.HSM.Secret = make(Secret, SecretBytesMax+1) }))
	refuses(t, "no document", with(func(s *Start) { s.Document = nil }))
	refuses(t, "a large document", with(func(s *Start) { s.Document = make([]byte, DocumentBytesMax+1) }))
	refuses(t, "no island", with(func(s *Start) { s.Island = nil }))
	refuses(t, "too many workers", with(func(s *Start) { s.Workers = workersMax + 1 }))
	refuses(t, "a read of nothing", Out{Reads: []Read{{ID: 1}}})
	refuses(t, "a read of too much", Out{Reads: []Read{{ID: 1, Keys: make([][]byte, ReadKeysMax+1)}}})
	refuses(t, "a key of nothing", Out{Reads: []Read{{ID: 1, Keys: [][]byte{{}}}}})
	refuses(t, "a long key", Out{Reads: []Read{{ID: 1, Keys: [][]byte{make([]byte, KeyBytesMax+1)}}}})
	refuses(t, "a page without a key", Out{Pages: []Page{{nil, []byte{1}}}})
	refuses(t, "a page of nothing", Out{Pages: []Page{{[]byte{1}, nil}}})
	refuses(t, "a large page", Out{Pages: []Page{{[]byte{1}, make([]byte, PageBytesMax+1)}}})
	refuses(t, "a checkpoint of no pages", Out{Checkpoint: &Checkpoint{Serial: 1}})
	refuses(t, "checkpoint 0", Out{Pages: []Page{{[]byte{1}, []byte{1}}}, Checkpoint: &Checkpoint{}})
	refuses(t, "an answer of nothing", In{Found: []Found{{ID: 1}}})
	refuses(t, "an answer of too much", In{Found: []Found{{ID: 1, Values: make([][]byte, ReadKeysMax+1)}}})
	refuses(t, "a large answer", In{Found: []Found{{ID: 1, Values: [][]byte{make([]byte, PageBytesMax+1)}}}})
	refuses(t, "an entry of nothing", Entries{Entries: []Entry{{1, nil}}})
	refuses(t, "entry 0", Entries{Entries: []Entry{{0, []byte{1}}}})
	refuses(t, "a gap", Entries{Entries: []Entry{{1, []byte{1}}, {3, []byte{1}}}})
	refuses(t, "a large entry", Entries{Entries: []Entry{{1, make([]byte, EntryBytesMax+1)}}})
	refuses(t, "an alert of nothing", Out{Alerts: []SealedAlerts{{1, nil}}})
	refuses(t, "an alert of no entry", Out{Alerts: []SealedAlerts{{0, []byte{1}}}})
	refuses(t, "alerts out of order", Out{Alerts: []SealedAlerts{{3, []byte{1}}, {2, []byte{1}}}})
	refuses(t, "a large alert", Out{Alerts: []SealedAlerts{{1, make([]byte, AlertBytesMax+1)}}})
	refuses(t, "too many alerts", Out{Alerts: make([]SealedAlerts, FrameItemsMax+1)})
	refuses(t, "a large request", In{Requests: []Request{{1, make([]byte, RequestBytesMax+1)}}})
	refuses(t, "too many requests", In{Requests: make([]Request, FrameItemsMax+1)})
	refuses(t, "too many walls", Ready{Walls: make([]string, WallsMax+1)})
	refuses(t, "an empty wall", Ready{Walls: []string{""}})
	refuses(t, "a gap in what is appended", Out{Append: []Entry{{4, []byte{1}}, {6, []byte{1}}}})
	refuses(t, "a reply of nothing", Out{Replies: []Reply{{ID: 1}}})
	refuses(t, "a reply of two kinds", Out{Replies: []Reply{{ID: 1, Sealed: []byte{1}, Refused: CodeSealing}}})
	refuses(t, "a large reply", Out{Replies: []Reply{{ID: 1, Sealed: make([]byte, AnswerBytesMax+1)}}})
	refuses(t, "a refusal in capitals", Out{Replies: []Reply{{ID: 1, Refused: "NO"}}})
	refuses(t, "an unknown fault", Failed{Fault: "weather"})
	refuses(t, "a long fault", Failed{Fault: FaultHSM, Message: strings.Repeat("x", FaultBytesMax+1)})
}

// More than one frame holds comes whole and in order.
func TestPipeSplits(t *testing.T) {
	in := In{Kept: 5}
	for i := range uint64(FrameItemsMax + 1) {
		in.Found = append(in.Found, Found{i, [][]byte{make([]byte, 2<<10), {}}})
	}
	for i := range uint64(2*FrameItemsMax + 1) {
		in.Requests = append(in.Requests, Request{i + 1, make([]byte, 8<<10)})
	}
	b, err := AppendIn(nil, in)
	if err != nil {
		t.Fatal(err)
	}
	next, frames, found := uint64(1), 0, 0
	for r := bytes.NewReader(b); r.Len() > 0; frames++ {
		part, err := ReadMessage[In](r)
		if err != nil {
			t.Fatal(err)
		}
		if len(part.Found) > 0 && next > 1 {
			t.Fatal("what was found behind a request")
		}
		if (part.Kept != 0) != (r.Len() == 0) {
			t.Fatalf("kept %d before all that was read before it", part.Kept)
		}
		found += len(part.Found)
		for _, q := range part.Requests {
			if q.ID != next {
				t.Fatalf("request %d came where %d belongs", q.ID, next)
			}
			next++
		}
	}
	if next != uint64(len(in.Requests)+1) || frames < 3 || found != len(in.Found) {
		t.Fatalf("%d requests of %d in %d frames", next-1, len(in.Requests), frames)
	}

	out := Out{Counts: Counts{Debited: 3}, Checkpoint: &Checkpoint{Serial: 1, Index: 2}}
	for i := range uint64(9) {
		out.Append = append(out.Append, Entry{i + 1, make([]byte, EntryBytesMax)})
		out.Replies = append(out.Replies, Reply{ID: i + 1, Sealed: []byte{1}})
	}
	for i := range uint64(FrameItemsMax + 1) {
		out.Reads = append(out.Reads, Read{i + 1, [][]byte{{1}}})
		out.Pages = append(out.Pages, Page{[]byte{1}, make([]byte, 8<<10)})
		out.Alerts = append(out.Alerts, SealedAlerts{i + 1, make([]byte, AlertBytesMax)})
	}
	if b, err = AppendOut(nil, out); err != nil {
		t.Fatal(err)
	}
	var whole Out
	for r := bytes.NewReader(b); r.Len() > 0; {
		part, err := ReadMessage[Out](r)
		if err != nil {
			t.Fatal(err)
		}
		if len(part.Append)+len(part.Alerts) > 0 && len(whole.Replies) > 0 {
			t.Fatal("an entry or an alert behind a reply")
		}
		whole.Alerts = append(whole.Alerts, part.Alerts...)
		whole.Append = append(whole.Append, part.Append...)
		whole.Replies = append(whole.Replies, part.Replies...)
		whole.Counts.Add(part.Counts)
		whole.Reads = append(whole.Reads, part.Reads...)
		whole.Pages = append(whole.Pages, part.Pages...)
		if whole.Checkpoint = part.Checkpoint; (part.Checkpoint != nil) != (r.Len() == 0) {
			t.Fatal("a checkpoint before the last of its pages")
		}
	}
	if !reflect.DeepEqual(whole, out) {
		t.Fatalf("%d entries, %d replies, counts %+v", len(whole.Append), len(whole.Replies), whole.Counts)
	}
}

func TestSecretDoesNotPrint(t *testing.T) {
	s := someStart()
	for _, form := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
		printed := fmt.Sprintf(form, s) + fmt.Sprintf(form, s.HSM) + fmt.Sprintf(form, s.HSM.Secret) + fmt.Sprintf(form, &s)
		for _, told := range []string{"passphrase", "70617373", "112 97"} {
			if strings.Contains(printed, told) {
				t.Errorf("%s printed %s", form, printed)
			}
		}
	}
}

// FuzzFrame: whatever parses has one encoding, and it is what was read.
func FuzzFrame(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		frame, err := ReadFrame(r)
		if err != nil {
			if err != io.EOF && err != io.ErrUnexpectedEOF && !errors.Is(err, ErrMalformed) {
				t.Fatalf("an error without a name: %v", err)
			}
			return
		}
		read := b[:len(b)-r.Len()]
		again(t, frame, read, DecodeFrame[Start])
		again(t, frame, read, DecodeFrame[Entries])
		again(t, frame, read, DecodeFrame[In])
		again(t, frame, read, DecodeFrame[Ready])
		again(t, frame, read, DecodeFrame[Out])
		again(t, frame, read, DecodeFrame[Failed])
	})
}

func again[M Framed](t *testing.T, f Frame, read []byte, decode func(Frame) (M, error)) {
	m, err := decode(f)
	if err != nil {
		if !errors.Is(err, ErrMalformed) {
			t.Fatalf("an error without a name: %v", err)
		}
		return
	}
	b, err := AppendFrame(nil, m)
	if err != nil || !bytes.Equal(b, read) {
		t.Fatalf("%x encodes as %x: %v", read, b, err)
	}
}
