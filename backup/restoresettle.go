package backup

import (
	"context"
	"os"
	"sync"

	"strongroom/backup/pack"
	"strongroom/backup/scan"
)

// settleBytes is how much is written before it is made durable and renamed,
// settleFiles how many files: the disk is slow at both, and says nothing
// meanwhile.
const (
	settleBytes = 256 << 20
	settleFiles = 8 << 10
)

// settler makes whole files durable and gives them their names, beside those
// who write the next ones: a disk takes its time, and nobody waits for it but
// the end. What became whole meanwhile is the next batch.
type settler struct {
	mu    sync.Mutex
	ready []*goal // guarded by mu: whole under their temporary names
	bytes int64   // guarded by mu: of ready
	more  chan struct{}
	done  chan error
}

// startSettler starts it; settleAll must follow. stop is told of its error.
func (j *restore) startSettler(stop context.CancelCauseFunc) {
	j.settle = settler{more: make(chan struct{}, 1), done: make(chan error, 1)}
	go func() {
		var fault error
		for range j.settle.more {
			if fault == nil {
				if fault = j.settleBatch(j.settle.take()); fault != nil {
					stop(fault)
				}
			}
		}
		j.settle.done <- fault
	}()
}

// add takes a whole file over.
func (s *settler) add(g *goal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready = append(s.ready, g)
	if s.bytes += g.entry.Size; s.bytes >= settleBytes || len(s.ready) >= settleFiles {
		select {
		case s.more <- struct{}{}:
		default: // it is told already
		}
	}
}

func (s *settler) take() (batch []*goal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	batch, s.ready, s.bytes = s.ready, nil, 0
	return batch
}

// settleAll settles what is left and ends the settler.
func (j *restore) settleAll() error {
	close(j.settle.more)
	fault := <-j.settle.done
	if fault == nil {
		fault = j.settleBatch(j.settle.take())
	}
	return fault
}

// settleBatch makes files durable, then gives them their names: after a power
// cut a name never leads to half a file.
func (j *restore) settleBatch(batch []*goal) error {
	if len(batch) == 0 {
		return nil
	}
	names := make([]string, len(batch))
	for i, g := range batch {
		names[i] = j.temp(g)
	}
	if err := syncFiles(j.root, names); err != nil {
		return err
	}
	for _, g := range batch {
		if err := j.rename(g); err != nil {
			return err
		}
	}
	return nil
}

// rename puts a whole file in its place. A log that lies beside a database
// goes first: SQLite would play it into a database that it is not of.
func (j *restore) rename(g *goal) error {
	in, name := j.at(g.name)
	if g.entry.Kind == pack.EntryDatabase {
		for _, side := range scan.SideFiles(name) {
			if err := in.Remove(side); err != nil && !os.IsNotExist(err) {
				return err
			}
		}
		j.report.Databases++
	}
	_, temp := j.at(j.temp(g))
	if err := in.Rename(temp, name); err != nil {
		return err
	}
	g.begun.Store(false)
	j.report.Files++
	j.report.Bytes += g.entry.Size
	j.meter.add(1, 0, g.name)
	return nil
}

// discard removes a goal's temporary file, if there is one.
func (j *restore) discard(g *goal) {
	j.closeBases(g)
	if g.begun.Load() {
		j.root.Remove(j.temp(g))
	}
}
