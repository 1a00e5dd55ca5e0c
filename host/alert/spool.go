// Package alert keeps a box's sealed alerts on the disk until somebody read
// them. It can not open them: they are sealed to the operator. A thief of it
// can lose them, and no more.
package alert

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"strongroom/protocol/wire"
)

// Limits of a spool, unless Config says otherwise.
const (
	BytesMax        = 64 << 20 // on the disk; then the oldest segment goes
	segmentBytesMax = 4 << 20  // at which the next batch begins a new segment
	queuedMax       = 4096     // messages that wait for the disk
)

// ErrSpool: the folder of the spool can not be used.
var ErrSpool = errors.New("alert: the spool can not be used")

// Config composes a spool.
type Config struct {
	Dir      string // exists; nobody else writes into it
	BytesMax int64  // 0: the package's
	Log      *slog.Logger
}

// Spool is a bounded, durable queue of sealed alerts. Put never waits: what
// the disk can not take is lost, counted and said in the log, and never holds
// the vault up.
type Spool struct {
	dir      string
	bytesMax int64
	log      *slog.Logger

	mu       sync.Mutex // guards what follows
	queue    []wire.SealedAlerts
	queued   bool          // the writer has work: queue, or a batch on its way
	idle     *sync.Cond    // no longer queued, or stopped
	stopped  bool          // nothing is written any more
	segments []segment     // all of them, the last one is written to
	file     *os.File      // the last segment, nil before the first batch
	grown    chan struct{} // closed and made anew when the spool grows
	lostAt   uint64        // Lost when the log last told it

	mark   atomic.Uint64 // wire.In.Alerted
	last   atomic.Uint64 // number of the newest message
	lost   atomic.Uint64
	wake   chan struct{}
	closed chan struct{}
	ended  chan struct{}
	once   sync.Once
}

// segment is one file of the spool.
type segment struct {
	first uint64 // number of its first message
	bytes int64
}

// Open opens the spool of a folder and cuts what a crash left unfinished.
func Open(c Config) (*Spool, error) {
	if c.BytesMax == 0 {
		c.BytesMax = BytesMax
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	s := &Spool{
		dir: c.Dir, bytesMax: c.BytesMax, log: c.Log, grown: make(chan struct{}),
		wake: make(chan struct{}, 1), closed: make(chan struct{}), ended: make(chan struct{}),
	}
	s.idle = sync.NewCond(&s.mu)
	if err := s.open(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSpool, err)
	}
	go s.write()
	return s, nil
}

func (s *Spool) open() error {
	firsts, err := segmentsOf(s.dir)
	if err != nil {
		return err
	}
	for i, first := range firsts {
		info, err := os.Stat(filepath.Join(s.dir, segmentName(first)))
		if err != nil {
			return err
		}
		s.segments = append(s.segments, segment{first, info.Size()})
		s.last.Store(first - 1)
		if i < len(firsts)-1 {
			continue
		}
		if s.file, err = os.OpenFile(filepath.Join(s.dir, segmentName(first)), os.O_RDWR, 0); err != nil {
			return err
		}
		if err := s.mend(); err != nil {
			return err
		}
	}
	// A segment that was begun and never written tells no mark: the one
	// before it does.
	for i := len(firsts) - 2; i >= 0 && s.mark.Load() == 0; i-- {
		b, err := os.ReadFile(filepath.Join(s.dir, segmentName(firsts[i])))
		if err != nil {
			return err
		}
		s.scan(b)
	}
	return nil
}

// mend reads the newest segment and cuts its torn end.
func (s *Spool) mend() error {
	b, err := os.ReadFile(s.file.Name())
	if err != nil {
		return err
	}
	whole := s.scan(b)
	newest := &s.segments[len(s.segments)-1]
	newest.bytes = whole
	if whole == int64(len(b)) {
		return nil
	}
	return errors.Join(s.file.Truncate(whole), s.file.Sync())
}

// scan takes number and mark of what is whole, and says how long that is.
func (s *Spool) scan(b []byte) (whole int64) {
	for {
		m, length, ok := parse(b[whole:])
		if !ok {
			return whole
		}
		s.last.Store(max(s.last.Load(), m.Number))
		s.mark.Store(max(s.mark.Load(), m.Index))
		whole += int64(length)
	}
}

// Put takes messages in. It never waits for the disk.
func (s *Spool) Put(alerts []wire.SealedAlerts) {
	s.mu.Lock()
	defer s.mu.Unlock()
	room := max(queuedMax-len(s.queue), 0)
	if s.stopped {
		room = 0
	}
	if len(alerts) > room {
		s.lose(len(alerts)-room, "the disk is too slow for them")
		alerts = alerts[:room]
	}
	if len(alerts) == 0 {
		return
	}
	s.queue = append(s.queue, alerts...)
	s.queued = true
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// lose counts what is gone. One line tells of many.
func (s *Spool) lose(messages int, why string) {
	lost := s.lost.Add(uint64(messages))
	if s.lostAt == 0 || lost >= 2*s.lostAt {
		s.lostAt = lost
		s.log.Error("alerts of accounts were lost", "messages", lost, "why", why)
	}
}

// Mark is the log's index up to which every alert is durable, for the box.
func (s *Spool) Mark() uint64 { return s.mark.Load() }

// Last is the number of the newest message.
func (s *Spool) Last() uint64 { return s.last.Load() }

// Lost counts messages that are gone unread: the disk failed or was too slow,
// or the reader that Reader made was too slow.
func (s *Spool) Lost() uint64 { return s.lost.Load() }

// Bytes is the size of the spool on the disk.
func (s *Spool) Bytes() (bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.segments {
		bytes += g.bytes
	}
	return bytes
}

// Flush waits until all that was Put is durable, or lost. The node calls it
// before it drops entries of the log that the alerts could be made of again.
func (s *Spool) Flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.queued && !s.stopped {
		s.idle.Wait()
	}
}

// Grown is closed when a message comes.
func (s *Spool) Grown() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.grown
}

// Close makes durable what was Put, and ends.
func (s *Spool) Close() {
	s.once.Do(func() { close(s.closed) })
	<-s.ended
	if s.file != nil {
		_ = s.file.Close() // every batch was synced
	}
}

// segmentsOf are the first numbers of a folder's segments, in order.
func segmentsOf(dir string) ([]uint64, error) {
	found, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var firsts []uint64
	for _, f := range found {
		if first, ok := segmentFirst(f.Name()); ok {
			firsts = append(firsts, first)
		}
	}
	slices.Sort(firsts)
	return firsts, nil
}

func gone(err error) bool { return errors.Is(err, fs.ErrNotExist) }
