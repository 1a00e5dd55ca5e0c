package record

import (
	"bytes"
	"reflect"
	"testing"

	"strongroom/protocol/wire"
)

// fullest is a record with every field set: TestStored fails where one is
// forgotten.
func fullest() Record {
	keys := Keys{
		Wrapped: []byte{1}, Opaque: bytes.Repeat([]byte{2}, wire.OpaqueBytesMax), SealedKey: bytes.Repeat([]byte{3}, wire.SealedKeyBytesMax),
		Owner: [32]byte{4}, Stretch: wire.Stretch{Time: 1, MemoryKiB: 2, Threads: 3}, Seed: [32]byte{5},
	}
	old := gen(9)
	r := Record{
		State: wire.StateLive, Generation: gen(1), Keys: &keys, Slot: 1 << 40, Forgiven: 1<<40 - 3, KE1: [32]byte{6},
		DebitedMillis: 1 << 41, OpenUntilMillis: 1 << 42, WrongBefore: 7, Past: 8, Root: [32]byte{9}, Resets: 10, Changes: 11,
		Pending: &Pending{DueMillis: 12, Register: &Register{Generation: gen(2), Keys: keys, Replaces: &old, Proven: true, Changes: 13, Reset: true, NowMillis: 14}},
		Opened:  3, ArrivingMillis: 15, Departed: &Departed{
			To: pin(1), Layout: 16, Generation: gen(3), Before: wire.StateLive, Signed: true, Owner: [32]byte{17}, Left: gen(4), AtMillis: 18,
		},
	}
	for i := range wire.HistoryMax {
		r.History = append(r.History, wire.Event{Kind: wire.EventAttempts, Number: uint64(i) + 1, Count: 9, FirstMillis: 1 << 41, LastMillis: 1 << 42})
		r.Events++
	}
	for i := range wire.MarksMax {
		r.Marks = append(r.Marks, wire.MarkReport{Device: [16]byte{byte(i)}, Sequence: 1 << 60, Head: [32]byte{byte(i)}})
	}
	return r
}

func TestStored(t *testing.T) {
	account := string(bytes.Repeat([]byte("a"), wire.AccountBytesMax))
	full := fullest()
	for i := range reflect.TypeFor[Record]().NumField() {
		if reflect.ValueOf(full).Field(i).IsZero() {
			t.Fatalf("%s is not set: what becomes of it is not tried", reflect.TypeFor[Record]().Field(i).Name)
		}
	}
	for name, r := range map[string]Record{"full": full, "zero": {}, "tombstone": full.bury(wire.StateDestroyed)} {
		b, err := r.Encode(account)
		if err != nil {
			t.Fatal(name, err)
		}
		name2, again, err := Decode(b)
		if err != nil || name2 != account || !reflect.DeepEqual(again, r) {
			t.Fatalf("%s: %v\n%+v\n%+v", name, err, r, again)
		}
		for cut := range b {
			if _, _, err := Decode(b[:cut]); err == nil {
				t.Fatalf("%s: cut to %d bytes it is taken", name, cut)
			}
		}
		t.Logf("%s: %d bytes", name, len(b))
	}
}

func FuzzDecode(f *testing.F) {
	b, err := fullest().Encode("anna")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		account, r, err := Decode(b)
		if err != nil {
			return
		}
		if again, err := r.Encode(account); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x becomes %x, %v", b, again, err)
		}
	})
}
