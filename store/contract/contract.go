// Package contract is the one contract of store.Store, as checks that any
// program can run: the tests of every provider through storetest, and
// `strongroom store check` on a person's own storage.
package contract

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"strongroom/store"
)

const (
	raceWriters  = 8
	raceBytes    = 300_000
	mixedWorkers = 8
)

// Scale is how much a run of the contract does.
type Scale struct {
	Objects    int // of the long listing
	LargeBytes int // of the largest object
	Rounds     int // of each race
	Operations int // of each worker in the mix
}

// Scales of the contract.
var (
	// Whole lists more than two pages of S3 (1,000 objects each).
	Whole = Scale{Objects: 2100, LargeBytes: 16 << 20, Rounds: 20, Operations: 60}
	// Short is the same checks, for a storage that is far away or slow.
	Short = Scale{Objects: 60, LargeBytes: 8 << 20, Rounds: 4, Operations: 12}
)

// Check is one part of the contract.
type Check struct {
	Name    string // one word
	Promise string // what holds when it passes, for a person
	run     func(*Trial, store.Store)
}

// Checks is the whole contract.
var Checks = []Check{
	{"PutGet", "what was put comes back byte for byte, empty to large", checkPutGet},
	{"PutIfAbsent", "a second put of a name changes nothing and is refused", checkPutIfAbsent},
	{"PutRace", "of many who put one name at once one whole object stands there", checkPutRace},
	{"CallerKeepsItsBytes", "what the caller does with its bytes later changes nothing", checkCallerKeepsItsBytes},
	{"Range", "any part of an object can be read", checkRange},
	{"NotFound", "what is not there is said so", checkNotFound},
	{"Delete", "what is deleted is gone, alone, and its name is free", checkDelete},
	{"Names", "every name that is used is kept as it is, every other refused", checkNames},
	{"TooLarge", "an object over the limit is refused before it is sent", checkTooLarge},
	{"List", "a prefix lists what begins with it, with its size, at once", checkList},
	{"ListMany", "a long listing misses nothing and doubles nothing", checkListMany},
	{"ListStops", "a listing can be left, and walked again", checkListStops},
	{"Cancelled", "a call that was cancelled does nothing", checkCancelled},
	{"CancelledMidway", "a put that is cancelled on its way leaves all or nothing", checkCancelledMidway},
	{"Mixed", "eight workers at once, and nobody sees another's work undone", checkMixed},
	{"Location", "its address can be told", checkLocation},
}

// Bytes gives n bytes that depend on seed and repeat nowhere near.
func Bytes(seed uint64, n int) []byte {
	data := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24), 1})
	_, _ = r.Read(data)
	return data
}

func checkPutGet(t *Trial, s store.Store) {
	ctx := t.Context()
	for i, size := range []int{0, 1, 4095, 1 << 20, 5<<20 + 1, t.scale.LargeBytes} {
		name := fmt.Sprintf("sizes/object-%d", i)
		data := Bytes(uint64(i), size)
		must(t, s.Put(ctx, name, data))
		wantObject(t, s, name, data)
	}
}

func checkPutIfAbsent(t *Trial, s store.Store) {
	ctx := t.Context()
	first := Bytes(1, 1000)
	must(t, s.Put(ctx, "a/one", first))
	wantError(t, "second Put", s.Put(ctx, "a/one", Bytes(2, 2000)), store.ErrExists)
	wantError(t, "Put of the same bytes", s.Put(ctx, "a/one", first), store.ErrExists)
	wantObject(t, s, "a/one", first)

	must(t, s.Put(ctx, "a/empty", nil))
	wantError(t, "Put over an empty object", s.Put(ctx, "a/empty", first), store.ErrExists)
	wantObject(t, s, "a/empty", nil)
}

func checkRange(t *Trial, s store.Store) {
	data := Bytes(3, 1000)
	must(t, s.Put(t.Context(), "range", data))
	must(t, s.Put(t.Context(), "range-empty", nil))
	for _, c := range []struct {
		name           string
		offset, length int64
		want           []byte
	}{
		{"range", 0, -1, data},
		{"range", 0, 1000, data},
		{"range", 0, 1, data[:1]},
		{"range", 999, 1, data[999:]},
		{"range", 10, 20, data[10:30]},
		{"range", 400, -1, data[400:]},
		{"range", 990, 100, data[990:]},
		{"range", 0, 1 << 62, data},
		{"range", 0, 0, nil},
		{"range", 500, 0, nil},
		{"range", 1000, -1, nil},
		{"range", 1000, 5, nil},
		{"range", 5000, 5, nil},
		{"range", 5000, -1, nil},
		{"range", 1 << 62, 1 << 62, nil},
		{"range-empty", 0, -1, nil},
		{"range-empty", 0, 10, nil},
		{"range-empty", 7, 10, nil},
	} {
		got, err := s.Get(t.Context(), c.name, c.offset, c.length)
		if err != nil || !bytes.Equal(got, c.want) {
			t.Errorf("Get(%s, %d, %d): %d bytes, %v; want %d bytes", c.name, c.offset, c.length, len(got), err, len(c.want))
		}
	}
	for _, c := range [][2]int64{{-1, 5}, {0, -2}, {-5, -1}} {
		_, err := s.Get(t.Context(), "range", c[0], c[1])
		wantError(t, fmt.Sprint("Get of range ", c), err, store.ErrRange)
	}
}

func checkNotFound(t *Trial, s store.Store) {
	ctx := t.Context()
	must(t, s.Put(ctx, "there/it-is", []byte("x")))
	for _, name := range []string{"nowhere", "there", "there/it", "there/it-is/below", "there/it-is-not"} {
		_, err := s.Get(ctx, name, 0, -1)
		wantError(t, "Get "+name, err, store.ErrNotFound)
		_, err = s.Get(ctx, name, 0, 0)
		wantError(t, "empty Get "+name, err, store.ErrNotFound)
		_, err = s.Size(ctx, name)
		wantError(t, "Size "+name, err, store.ErrNotFound)
	}
}

func checkDelete(t *Trial, s store.Store) {
	ctx := t.Context()
	must(t, s.Delete(ctx, "never/was"))
	must(t, s.Put(ctx, "d/one", []byte("1")))
	must(t, s.Put(ctx, "d/one-more", []byte("2")))
	must(t, s.Delete(ctx, "d/one"))
	must(t, s.Delete(ctx, "d/one"))
	_, err := s.Get(ctx, "d/one", 0, -1)
	wantError(t, "Get after Delete", err, store.ErrNotFound)
	wantObject(t, s, "d/one-more", []byte("2"))
	must(t, s.Put(ctx, "d/one", []byte("again")))
	wantObject(t, s, "d/one", []byte("again"))
}

func checkLocation(t *Trial, s store.Store) {
	if s.Location() == "" {
		t.Error("Location is empty: people could not tell where their backup is")
	}
}

func checkCancelled(t *Trial, s store.Store) {
	must(t, s.Put(t.Context(), "c/there", []byte("x")))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantError(t, "Put", s.Put(ctx, "c/new", []byte("y")), context.Canceled)
	_, err := s.Get(ctx, "c/there", 0, -1)
	wantError(t, "Get", err, context.Canceled)
	_, err = s.Size(ctx, "c/there")
	wantError(t, "Size", err, context.Canceled)
	wantError(t, "Delete", s.Delete(ctx, "c/there"), context.Canceled)
	_, err = listed(ctx, s, "c/")
	wantError(t, "List", err, context.Canceled)

	wantObject(t, s, "c/there", []byte("x"))
	_, err = s.Size(t.Context(), "c/new")
	wantError(t, "Size of what was cancelled", err, store.ErrNotFound)
}

func must(t *Trial, err error) {

	if err != nil {
		t.Fatal(err)
	}
}

func wantError(t *Trial, what string, err, want error) {

	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

func wantObject(t *Trial, s store.Store, name string, want []byte) {

	got, err := s.Get(t.Context(), name, 0, -1)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("Get %s: %d bytes, %v; want other %d bytes", name, len(got), err, len(want))
	}
	size, err := s.Size(t.Context(), name)
	if err != nil || size != int64(len(want)) {
		t.Errorf("Size %s: %d, %v; want %d", name, size, err, len(want))
	}
}
