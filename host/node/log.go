package node

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"strongroom/protocol/wire"
)

// segmentBytesMax is the size at which the next batch begins a new segment:
// what Drop can give back at a time.
const segmentBytesMax = 4 << 20

// What Entries gives at a time.
const (
	entriesMax      = 1000
	entriesBytesMax = 1 << 20
)

// Errors of a log.
var (
	// ErrDamaged: entries or pages that had been durable are broken or
	// missing. Put log and records back, together, from where their bytes are
	// whole.
	ErrDamaged = errors.New("node: what was durable is damaged")

	// ErrFull: the disk has no room. Nothing that was acknowledged is lost;
	// make room and start again.
	ErrFull = errors.New("node: no room on the disk for the log")

	// ErrStopped: an earlier write failed, so nothing is written any more.
	ErrStopped = errors.New("node: the log stopped after a failed write")

	// ErrDropped: the log begins later. What it lacks, the checkpoint has; the
	// two folders are not of one day.
	ErrDropped = errors.New("node: entries of the log are not there any more")

	// ErrOrder: an entry does not follow the last one, or breaks a limit.
	ErrOrder = errors.New("node: the entry does not follow the log")
)

func damaged(name string, offset int64, what string) error {
	return fmt.Errorf("%w: %s at byte %d: %s", ErrDamaged, name, offset, what)
}

// Log is the append-only log of sealed entries in a folder. One process may
// have it open at a time; the caller sees to that.
type Log struct {
	disk            disk
	segmentBytesMax int64

	mu       sync.Mutex // guards what follows
	segments []segment  // all of them, the last one is written to
	file     file       // the last segment, nil before the first append
	failed   error      // what stopped the log
	onSync   func(time.Duration)
}

// OpenLog opens the log in a folder that exists, empty or not. It cuts what a
// crash left of a batch that was never durable, and makes the last batch
// durable once more. Errors: ErrDamaged, ErrFull, or the system's.
func OpenLog(path string) (*Log, error) {
	return openLog(folder{path}, segmentBytesMax)
}

func openLog(d disk, segmentBytes int64) (*Log, error) {
	names, err := d.list()
	if err != nil {
		return nil, fmt.Errorf("node: reading the log's folder: %w", err)
	}
	l := &Log{disk: d, segmentBytesMax: segmentBytes}
	for i, name := range names {
		if err := l.openSegment(name, i == len(names)-1); err != nil {
			if l.file != nil {
				l.file.Close()
			}
			return nil, err
		}
	}
	return l, nil
}

// openSegment checks one segment; the last one is mended and kept open.
func (l *Log) openSegment(name string, isLast bool) error {
	f, err := l.disk.open(name)
	if err != nil {
		return fmt.Errorf("node: opening %s: %w", name, err)
	}
	b, err := readAll(f)
	if err != nil {
		f.Close()
		return fmt.Errorf("node: reading %s: %w", name, err)
	}
	t, err := scanSegment(name, b, nil)
	switch {
	case err != nil:
	case len(l.segments) > 0 && t.first != l.last()+1:
		err = damaged(name, 0, fmt.Sprintf("a segment is missing: entry %d should follow, this one begins with %d", l.last()+1, t.first))
	case !isLast && (t.torn || t.last < t.first):
		err = damaged(name, t.bytes, "it is cut short, and later segments exist")
	}
	if err != nil || !isLast {
		f.Close()
	} else {
		l.file = f
		err = l.mend(b, t)
		t.bytes = max(t.bytes, segmentHeaderBytes)
	}
	if err == nil {
		l.segments = append(l.segments, t.segment)
	}
	return err
}

// mend brings the last segment into the state that the next append needs.
//
// The last batch may have been written while its fsync failed or never ran.
// What the page cache shows is then not what the disk holds, and a second
// fsync of clean pages proves nothing (the kernel reports a failed write-back
// once). So its bytes are written again before they count as durable.
func (l *Log) mend(b []byte, t tail) error {
	if t.torn {
		// A rotten bit in a batch that was durable looks like a torn one. If the
		// box then misses entries, somebody will want to see these bytes.
		if err := l.disk.put(t.name+tornSuffix, b[t.bytes:]); err != nil {
			return outOfRoom(err)
		}
		if err := l.file.Truncate(t.bytes); err != nil {
			return outOfRoom(err)
		}
	}
	again, at := b[min(t.suspect, t.bytes):t.bytes], t.suspect
	if t.bytes == 0 {
		again, at = segmentHeader(t.first), 0
	}
	if _, err := l.file.WriteAt(again, at); err != nil {
		return outOfRoom(err)
	}
	if err := l.file.Sync(); err != nil {
		return outOfRoom(err)
	}
	return outOfRoom(l.disk.syncFolder()) // the crash may have come before begin's
}

// Last is the index of the last entry, 0 when there is none. It is durable.
func (l *Log) Last() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last()
}

func (l *Log) last() uint64 {
	if len(l.segments) == 0 {
		return 0
	}
	return l.segments[len(l.segments)-1].last
}

// Bytes is the size of the log on the disk.
func (l *Log) Bytes() (bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.segments {
		bytes += s.bytes
	}
	return bytes
}

// OnSync has every fsync of an append measured. Call it before Append.
func (l *Log) OnSync(observe func(time.Duration)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.onSync = observe
}

// Append writes entries, which must follow the last one without a gap, and
// returns nil when they are durable. After any failed write or fsync the log
// stops for good: what is on the disk is then not known, and only opening it
// again tells. Errors: ErrOrder (nothing was written), ErrFull, ErrStopped.
func (l *Log) Append(entries []wire.Entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed != nil {
		return fmt.Errorf("%w: %w", ErrStopped, l.failed)
	}
	if len(entries) == 0 {
		return nil
	}
	batch, err := l.batch(entries)
	if err != nil {
		return err
	}
	if err := l.write(entries[0].Index, batch); err != nil {
		l.failed = outOfRoom(err)
		return l.failed
	}
	s := &l.segments[len(l.segments)-1]
	s.bytes += int64(len(batch))
	s.last = entries[len(entries)-1].Index
	return nil
}

// batch is the frames of entries.
func (l *Log) batch(entries []wire.Entry) ([]byte, error) {
	var b []byte
	durable := l.last()
	if len(l.segments) == 0 { // it begins where the checkpoint ends
		durable = entries[0].Index - 1
	}
	for i, e := range entries {
		if e.Index != durable+1+uint64(i) {
			return nil, fmt.Errorf("%w: it is %d, after %d", ErrOrder, e.Index, durable+uint64(i))
		}
		if len(e.Bytes) == 0 || len(e.Bytes) > EntryBytesMax {
			return nil, fmt.Errorf("%w: entry %d has %d bytes, 1 to %d are taken", ErrOrder, e.Index, len(e.Bytes), EntryBytesMax)
		}
		b = appendFrame(b, e, durable)
	}
	return b, nil
}

func (l *Log) write(first uint64, batch []byte) error {
	if l.file == nil || l.segments[len(l.segments)-1].bytes >= l.segmentBytesMax {
		if err := l.begin(first); err != nil {
			return err
		}
	}
	end := l.segments[len(l.segments)-1].bytes
	if _, err := l.file.WriteAt(batch, end); err != nil {
		return err
	}
	start := time.Now()
	if err := l.file.Sync(); err != nil {
		return err
	}
	if l.onSync != nil {
		l.onSync(time.Since(start))
	}
	return nil
}

// begin makes a new segment. Its header and its name are durable before the
// first frame is written.
func (l *Log) begin(first uint64) error {
	f, err := l.disk.create(segmentName(first))
	if err != nil {
		return err
	}
	if l.file != nil {
		l.file.Close()
	}
	l.file = f
	if _, err := f.WriteAt(segmentHeader(first), 0); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := l.disk.syncFolder(); err != nil {
		return err
	}
	l.segments = append(l.segments, segment{name: segmentName(first), first: first, last: first - 1, bytes: segmentHeaderBytes})
	return nil
}

// Entries gives some of the entries after an index, in order; none where the
// log ends. An index before what Drop has left is ErrDropped.
func (l *Log) Entries(after uint64) (entries []wire.Entry, err error) {
	l.mu.Lock()
	segments := append([]segment(nil), l.segments...)
	l.mu.Unlock()
	if len(segments) > 0 && after+1 < segments[0].first {
		return nil, fmt.Errorf("%w: entry %d is asked for, entry %d is the first", ErrDropped, after+1, segments[0].first)
	}
	for _, s := range segments {
		if s.last <= after {
			continue
		}
		bytes := 0
		_, err := l.replay(s, func(e wire.Entry, _ error) bool {
			if e.Index > after {
				entries, bytes = append(entries, e), bytes+len(e.Bytes)
			}
			return len(entries) < entriesMax && bytes < entriesBytesMax
		})
		return entries, err
	}
	return nil, nil
}

// Drop removes what no start needs: segments whose entries all stand before or
// at an index. The last segment stays.
func (l *Log) Drop(index uint64) error {
	l.mu.Lock()
	n := 0
	for n < len(l.segments)-1 && l.segments[n].last <= index {
		n++
	}
	dropped := l.segments[:n]
	l.segments = append([]segment(nil), l.segments[n:]...)
	l.mu.Unlock()
	for _, s := range dropped { // the oldest first: a crash leaves no gap
		if err := l.disk.remove(s.name); err != nil {
			return fmt.Errorf("node: dropping %s: %w", s.name, err)
		}
	}
	if n == 0 {
		return nil
	}
	return l.disk.syncFolder()
}

// replay yields the entries of one segment and says whether to go on.
func (l *Log) replay(s segment, yield func(wire.Entry, error) bool) (on bool, err error) {
	f, err := l.disk.open(s.name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	b, err := readAll(f)
	if err != nil {
		return false, err
	}
	if int64(len(b)) < s.bytes {
		return false, damaged(s.name, int64(len(b)), "it was cut short while in use")
	}
	on = true
	t, err := scanSegment(s.name, b[:s.bytes], func(f frame) bool {
		on = yield(f.entry, nil)
		return on
	})
	if err == nil && on && t.last != s.last {
		err = damaged(s.name, t.bytes, "it was changed while in use")
	}
	return on, err
}

// Close closes the log. Appends after it fail.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed == nil {
		l.failed = os.ErrClosed
	}
	if l.file == nil {
		return nil
	}
	f := l.file
	l.file = nil
	return f.Close()
}

func readAll(f file) ([]byte, error) {
	bytes, err := f.Size()
	if err != nil {
		return nil, err
	}
	b := make([]byte, bytes)
	if bytes == 0 {
		return b, nil
	}
	n, err := f.ReadAt(b, 0)
	if n == len(b) {
		return b, nil
	}
	return nil, err
}

// outOfRoom names the errors that mean a full disk, quota or file limit.
func outOfRoom(err error) error {
	for _, full := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG} {
		if errors.Is(err, full) {
			return fmt.Errorf("%w: %w", ErrFull, err)
		}
	}
	return err
}
