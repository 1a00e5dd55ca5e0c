package main

import (
	"errors"
	"time"

	"strongroom/client"
	"strongroom/protocol/wire"
)

// watchAgain is the least time between two questions: a vault that has too
// many watchers answers at once.
const watchAgain = 3 * time.Second

// watchEvent is one thing that happened, for programs.
type watchEvent struct {
	historyEvent
	Left    uint8  `json:"attemptsLeft"`
	State   string `json:"state"`
	Warning string `json:"warning,omitempty"`
}

// watch tells what happens to the account until the person stops it. That the
// vault is out of reach for a while is said once and waited for.
func (s *session) watch(v *client.Vault, st wire.StatusReport, generation string) error {
	s.term.Note("Watching the account at the vault. Ctrl-C ends it.")
	silent := false
	for s.ctx.Err() == nil {
		asked := time.Now()
		now, err := v.Watch(s.ctx, st.Newest())
		switch {
		case s.ctx.Err() != nil:
			return nil
		case err != nil && !errors.Is(err, client.ErrUnreachable):
			return err
		case err != nil && !silent:
			s.term.Note("No word from the vault; asking on: %v", err)
		}
		silent = err != nil
		if err == nil {
			if err := s.tellNew(st, now, generation); err != nil {
				return err
			}
			if now.Newest() != st.Newest() {
				st = now
				continue
			}
		}
		s.sleep(watchAgain - time.Since(asked))
	}
	return nil
}

func (s *session) sleep(d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.ctx.Done():
	}
}

// tellNew tells what was not there before.
func (s *session) tellNew(before, now wire.StatusReport, generation string) error {
	if now.Newest() < before.Newest() {
		return &storyError{story{exitWarnings, "history-older", "the vault tells an older history than before: somebody put an older copy of it in its place.",
			"the attempts used since may be free again.", "tell the vault's operator, and change the password (strongroom password).", nil}}
	}
	warning := alarm(now, generation)
	for i, e := range now.History {
		if e.Number <= before.Newest() {
			continue
		}
		s.term.Say("%s  %s; attempts left: %d of %d", at(e.LastMillis).Format(time.TimeOnly), told(e), now.Left, now.Limit)
		if err := s.term.Event("happened", watchEvent{historyOf(now)[i], now.Left, stateName(now.State), warning}); err != nil {
			return err
		}
	}
	return nil
}
