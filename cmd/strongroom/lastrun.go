package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"time"

	"strongroom/cmd/internal/folder"
	"strongroom/cmd/internal/schedule"
	"strongroom/cmd/internal/terminal"
)

// scheduledFlags are of a backup that nobody watches.
type scheduledFlags struct {
	Scheduled bool          `help:"Say nothing unless something is wrong; then also on the desktop. For strongroom schedule, or whatever runs it."`
	IfOlder   time.Duration `help:"Do nothing if the last good backup from here is younger: 20h." placeholder:"DURATION"`
	Delay     time.Duration `help:"Wait first, at random up to so long." placeholder:"DURATION"`
}

// notifyAgain is how long the same failure is not shown again.
const notifyAgain = 20 * time.Hour

// quietBytesMax is how much of what a quiet run would have said is kept.
const quietBytesMax = 256 << 10

// quiet keeps what is said, until it is known whether it must be.
type quiet struct {
	bytes.Buffer
}

func (q *quiet) Write(b []byte) (int, error) {
	if q.Len() < quietBytesMax {
		q.Buffer.Write(b)
	}
	return len(b), nil
}

// watched runs a backup, records how it ended, and tells of it what is to be
// told.
func (s *session) watched(f scheduledFlags, backup func() error) error {
	last := s.folder.LastRun()
	if last == nil {
		last = &folder.LastRun{}
	}
	if young := time.Since(last.Good); f.IfOlder > 0 && young >= 0 && young < f.IfOlder {
		return nil
	}
	if f.Delay > 0 {
		s.sleep(rand.N(f.Delay))
	}
	var said quiet
	if f.Scheduled && !s.term.JSON {
		out, side := s.term.Out, s.term.Err
		s.term.Out, s.term.Err = io.Discard, &said
		defer func() { s.term.Out, s.term.Err = out, side }()
	}
	now := folder.LastRun{Started: time.Now(), Scheduled: f.Scheduled, Good: last.Good, Notified: last.Notified}
	err := backup()
	if errors.Is(err, folder.ErrInUse) && f.Scheduled {
		return nil // somebody makes one just now
	}
	now.Ended = time.Now()
	if usage := (*usageError)(nil); errors.Is(err, folder.ErrEmpty) || errors.As(err, &usage) && !f.Scheduled {
		return err // no run at all
	}
	s.record(&now, last, err)
	if f.Scheduled && err != nil && !s.term.JSON {
		return &loudError{err, said.String()}
	}
	return err
}

// loudError is an error of a quiet run, with what the run would have said.
type loudError struct {
	cause error
	said  string
}

func (e *loudError) Error() string { return e.cause.Error() }
func (e *loudError) Unwrap() error { return e.cause }

// record writes the status file, and shows a failure of a scheduled run: once,
// then again if it is another, or a day later.
func (s *session) record(now, last *folder.LastRun, err error) {
	now.OK = err == nil
	if err != nil {
		story := explain(err)
		now.Code, now.Kind, now.Happened, now.Do = story.Code, story.Kind, rooms.Replace(story.Happened), story.Do
	}
	if now.OK || now.Code == exitWarnings {
		now.Good = now.Ended
	}
	stopped := errors.Is(err, context.Canceled)
	news := last.OK || last.Kind != now.Kind || now.Ended.Sub(last.Notified) >= notifyAgain || now.Ended.Before(last.Notified)
	if now.Scheduled && !now.OK && !stopped && news && schedule.Notify(s.ctx, "Strongroom: the backup needs you", now.Happened+" "+now.Do) {
		now.Notified = now.Ended
	}
	if err := s.folder.PutLastRun(*now); err != nil {
		s.term.Note("WARNING  how the backup ended could not be written down: %v", err)
	}
}

// tellLastRun adds a line to the status.
func tellLastRun(t *terminal.Table, r *folder.LastRun) {
	switch {
	case r == nil:
	case r.OK:
		t.Row("Last run", since(r.Ended)+": made")
	case r.Code == exitWarnings:
		t.Row("Last run", since(r.Ended)+": made, with warnings: "+r.Happened)
	default:
		t.Row("Last run", since(r.Ended)+": FAILED: "+r.Happened)
		if r.Good.IsZero() {
			t.Row("", "no backup was made from here yet")
		} else {
			t.Row("", "the last that was made: "+since(r.Good))
		}
	}
}
