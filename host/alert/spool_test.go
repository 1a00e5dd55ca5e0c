package alert

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"strongroom/protocol/wire"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, dir string, bytesMax int64) *Spool {
	t.Helper()
	s, err := Open(Config{Dir: dir, BytesMax: bytesMax})
	must(t, err)
	t.Cleanup(s.Close)
	return s
}

// message is what the test puts in as number n.
func message(n uint64) wire.SealedAlerts {
	return wire.SealedAlerts{Index: 10 * n, Sealed: fmt.Appendf(nil, "sealed %d %s", n, bytes.Repeat([]byte("x"), int(n%300)))}
}

func put(s *Spool, from, to uint64) {
	var batch []wire.SealedAlerts
	for n := from; n <= to; n++ {
		batch = append(batch, message(n))
	}
	s.Put(batch)
}

// reads checks that the reader gives the messages from to, and nothing after.
func reads(t *testing.T, r *Reader, from, to uint64) {
	t.Helper()
	for n := from; n <= to; n++ {
		m, found, err := r.Next()
		must(t, err)
		want := message(n)
		if !found || m.Number != n || m.Index != want.Index || !bytes.Equal(m.Sealed, want.Sealed) {
			t.Fatalf("message %d: found %v, %d", n, found, m.Number)
		}
	}
	if m, found, err := r.Next(); found || err != nil {
		t.Fatalf("after %d comes %d, %v", to, m.Number, err)
	}
}

func TestSpool(t *testing.T) {
	dir := t.TempDir()
	r := NewReader(dir, 0)
	reads(t, r, 1, 0)
	s := open(t, dir, 0)
	grown := s.Grown()
	put(s, 1, 3)
	s.Flush()
	<-grown
	reads(t, r, 1, 3)
	if s.Mark() != 30 || s.Last() != 3 || s.Lost() != 0 {
		t.Fatal(s.Mark(), s.Last(), s.Lost())
	}
	put(s, 4, 4)
	s.Close()
	s = open(t, dir, 0)
	if s.Mark() != 40 || s.Last() != 4 {
		t.Fatal(s.Mark(), s.Last())
	}
	put(s, 5, 6)
	s.Flush()
	reads(t, r, 4, 6)
	reads(t, NewReader(dir, 2), 3, 6)
	s.Close()
	put(s, 7, 7)
	s.Flush() // does not hang
	if s.Lost() != 1 {
		t.Fatalf("%d lost after its end", s.Lost())
	}
}

// Whatever a crash leaves of the last batch, all before it is there, and what
// comes after it too.
func TestTornEnd(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 0)
	put(s, 1, 2)
	s.Flush()
	before := s.Bytes()
	put(s, 3, 3)
	s.Close()
	whole, err := os.ReadFile(filepath.Join(dir, segmentName(1)))
	must(t, err)
	for cut := before; cut < int64(len(whole)); cut++ {
		dir := t.TempDir()
		torn := bytes.Clone(whole[:cut])
		if cut%2 == 0 { // the pages came, their bytes did not
			torn = append(torn, make([]byte, int64(len(whole))-cut)...)
		}
		must(t, os.WriteFile(filepath.Join(dir, segmentName(1)), torn, 0o600))
		reads(t, NewReader(dir, 0), 1, 2)
		s := open(t, dir, 0)
		if s.Mark() != 20 || s.Last() != 2 {
			t.Fatalf("cut at %d: mark %d", cut, s.Mark())
		}
		put(s, 3, 3)
		s.Flush()
		reads(t, NewReader(dir, 0), 1, 3)
		s.Close()
	}
}

// The spool stays within its bounds; a reader that is too slow counts what it
// missed, and a segment that was begun and not written loses no mark.
func TestBounds(t *testing.T) {
	dir := t.TempDir()
	const most = 3 * segmentBytesMax
	s := open(t, dir, most)
	slow := NewReader(dir, 0)
	n := uint64(0)
	big := make([]byte, wire.AlertBytesMax)
	for range 8 * segmentBytesMax / (500 * len(big)) {
		var batch []wire.SealedAlerts
		for range 500 {
			n++
			batch = append(batch, wire.SealedAlerts{Index: n, Sealed: big})
		}
		s.Put(batch)
		s.Flush()
		if got := s.Bytes(); got > most+500*int64(len(big)) {
			t.Fatalf("%d bytes", got)
		}
	}
	got := uint64(0)
	for {
		_, found, err := slow.Next()
		must(t, err)
		if !found {
			break
		}
		got++
	}
	if slow.Missed() == 0 || got == 0 || got+slow.Missed() != n {
		t.Fatalf("read %d, missed %d of %d", got, slow.Missed(), n)
	}
	s.Close()
	must(t, os.WriteFile(filepath.Join(dir, segmentName(n+1)), nil, 0o600))
	if s = open(t, dir, most); s.Mark() != n || s.Last() != n {
		t.Fatalf("mark %d, last %d, want %d", s.Mark(), s.Last(), n)
	}
}

// A disk that refuses costs what it refused, is counted, and what comes after
// is written as before.
func TestDiskFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	must(t, os.Mkdir(dir, 0o700))
	s := open(t, dir, 0)
	must(t, os.Remove(dir))
	put(s, 1, 5)
	s.Flush()
	if s.Lost() != 5 || s.Mark() != 0 {
		t.Fatalf("lost %d, mark %d", s.Lost(), s.Mark())
	}
	must(t, os.Mkdir(dir, 0o700))
	put(s, 1, 5)
	s.Flush()
	if s.Lost() != 5 || s.Mark() != 50 {
		t.Fatalf("lost %d, mark %d", s.Lost(), s.Mark())
	}
	reads(t, NewReader(dir, 0), 1, 5)
}

// More than the queue holds is lost and counted; Put never waits.
func TestPutNeverWaits(t *testing.T) {
	s := open(t, t.TempDir(), 0)
	s.mu.Lock() // the writer stands still
	taken := queuedMax - len(s.queue)
	s.mu.Unlock()
	put(s, 1, uint64(taken)+100)
	s.Flush()
	if s.Lost() != 100 || s.Last() != queuedMax {
		t.Fatalf("lost %d, wrote %d", s.Lost(), s.Last())
	}
}

// A reader in step with a writer, at random: nothing twice, nothing out of
// order, nothing lost.
func TestReaderBesideWriter(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 0)
	rng := rand.New(rand.NewPCG(5, 5))
	const all = 3000
	go func() {
		for n := uint64(1); n <= all; {
			to := min(n+rng.Uint64N(20), all)
			put(s, n, to)
			n = to + 1
			s.Flush()
		}
	}()
	r := NewReader(dir, 0)
	for n := uint64(1); n <= all; {
		grown := s.Grown()
		m, found, err := r.Next()
		must(t, err)
		if !found {
			if s.Last() < n {
				<-grown
			}
			continue
		}
		if m.Number != n || !bytes.Equal(m.Sealed, message(n).Sealed) {
			t.Fatalf("message %d where %d belongs", m.Number, n)
		}
		n++
	}
}

func FuzzParse(f *testing.F) {
	f.Add(frame(nil, Message{1, 2, []byte("sealed")}))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, length, ok := parse(b)
		if ok && !bytes.Equal(frame(nil, m), b[:length]) {
			t.Fatalf("%x", b[:length])
		}
	})
}
