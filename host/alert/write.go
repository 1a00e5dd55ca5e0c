package alert

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"strongroom/protocol/wire"
)

// batchRest is how long the writer rests between batches: nobody who logs in
// waits for it, and alerts that come meanwhile share the next fsync.
const batchRest = 10 * time.Millisecond

// write makes batches durable until Close.
func (s *Spool) write() {
	defer close(s.ended)
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.stopped = true
		s.idle.Broadcast()
	}()
	for {
		last := false
		select {
		case <-s.wake:
		case <-s.closed:
			last = true
		}
		s.batch()
		if last {
			return
		}
		select {
		case <-time.After(batchRest):
		case <-s.closed:
		}
	}
}

// batch writes what waits. A disk that fails costs that batch; the next one
// begins behind what was whole.
func (s *Spool) batch() {
	s.mu.Lock()
	batch := s.queue
	s.queue = nil
	s.mu.Unlock()
	err := s.append(batch)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.lose(len(batch), "the disk failed: "+err.Error())
	} else if len(batch) > 0 {
		s.last.Add(uint64(len(batch)))
		s.mark.Store(max(s.mark.Load(), batch[len(batch)-1].Index))
		close(s.grown)
		s.grown = make(chan struct{})
	}
	if s.queued = len(s.queue) > 0; !s.queued {
		s.idle.Broadcast()
	}
}

func (s *Spool) append(batch []wire.SealedAlerts) error {
	if len(batch) == 0 {
		return nil
	}
	var b []byte
	for i, a := range batch {
		b = frame(b, Message{Number: s.last.Load() + 1 + uint64(i), Index: a.Index, Sealed: a.Sealed})
	}
	if err := s.room(); err != nil {
		return err
	}
	newest := &s.segments[len(s.segments)-1]
	if _, err := s.file.WriteAt(b, newest.bytes); err != nil {
		// A reader stops before what is not whole.
		return errors.Join(err, s.file.Truncate(newest.bytes))
	}
	if err := s.file.Sync(); err != nil {
		return errors.Join(err, s.file.Truncate(newest.bytes))
	}
	s.mu.Lock()
	newest.bytes += int64(len(b))
	s.mu.Unlock()
	return nil
}

// room begins a segment where the newest is full, and drops the oldest where
// there are too many. Who reads too slowly counts what it missed.
func (s *Spool) room() error {
	if s.file == nil || s.segments[len(s.segments)-1].bytes >= segmentBytesMax {
		first := s.last.Load() + 1
		// It may lie there, of an attempt that failed: empty.
		f, err := os.OpenFile(filepath.Join(s.dir, segmentName(first)), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return err
		}
		if err := syncFolder(s.dir); err != nil {
			return errors.Join(err, f.Close())
		}
		if s.file != nil {
			_ = s.file.Close()
		}
		s.file = f
		s.mu.Lock()
		s.segments = append(s.segments, segment{first: first})
		s.mu.Unlock()
	}
	for s.Bytes() > s.bytesMax && len(s.segments) > 1 {
		if err := os.Remove(filepath.Join(s.dir, segmentName(s.segments[0].first))); err != nil && !gone(err) {
			return err
		}
		s.mu.Lock()
		s.segments = s.segments[1:]
		s.mu.Unlock()
	}
	return nil
}

func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
