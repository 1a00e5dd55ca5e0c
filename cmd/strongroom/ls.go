package main

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"strongroom/backup"
	"strongroom/cmd/internal/terminal"
)

type lsCmd struct {
	Snapshot string `arg:"" optional:"" help:"Which backup: its name from strongroom snapshots." default:"latest"`
	Path     string `arg:"" optional:"" help:"Only what is at or below this path: as ls shows it, or as it is on the machine that was backed up."`
}

// Help is shown by ls --help.
func (*lsCmd) Help() string {
	return `Examples:

  strongroom ls
  strongroom ls latest ~/Messenger/Media
  strongroom ls 3f9a1c2e Messenger --json`
}

func (c *lsCmd) Run(s *session) error {
	repo, err := s.repository()
	if err != nil {
		return err
	}
	n, bytes := 0, int64(0)
	done := s.reading(repo)
	sn, err := repo.List(s.ctx, c.Snapshot, c.Path, func(t backup.Thing) error {
		done()
		n, bytes = n+1, bytes+t.Size
		link := ""
		if t.Kind == backup.KindLink {
			link = " -> " + terminal.Line(t.Link)
		}
		s.term.Say("%s %12s  %s  %s%s", t.Mode, terminal.Number(int(t.Size)), t.ModTime.Local().Format(timeForm), terminal.Line(t.Path), link)
		return s.term.Event("thing", thingEvent(t))
	})
	done()
	switch {
	case errors.Is(err, backup.ErrSnapshot) && !errors.Is(err, backup.ErrDamaged):
		return noSnapshot(c.Snapshot)
	case err != nil:
		return storageTrouble(err)
	case n == 0 && c.Path != "":
		return &usageError{fmt.Sprintf("backup %s holds nothing at %q", sn.ID, c.Path)}
	}
	s.term.Note("%s, %s, in backup %s of %s.", terminal.Count(n, "entry"), terminal.Bytes(bytes), sn.ID, sn.Time.Local().Format(timeForm))
	return s.term.Event("ls", map[string]any{"snapshot": sn.ID, "entries": n, "bytes": bytes})
}

// reading shows that a repository is being read, until done is called the first
// time: when there is something to say.
func (s *session) reading(repo *backup.Repository) (done func()) {
	show, end := s.term.Start("Reading")
	now := func() { show(terminal.Progress{Phase: backup.PhaseScan}) }
	now()
	repo.Working(now)
	return sync.OnceFunc(end)
}

// repository opens the repository of a folder that is set up.
func (s *session) repository() (*backup.Repository, error) {
	settings, key, err := s.enabledFolder()
	if err != nil {
		return nil, err
	}
	return s.openRepository(settings, &key)
}

func noSnapshot(name string) error {
	return &usageError{fmt.Sprintf("no backup is called %q; strongroom snapshots lists them", name)}
}

func thingEvent(t backup.Thing) map[string]any {
	e := map[string]any{"path": t.Path, "kind": t.Kind, "mode": t.Mode.String(), "time": t.ModTime.UTC().Format(time.RFC3339Nano), "bytes": t.Size}
	if t.Kind == backup.KindLink {
		e["link"] = t.Link
	}
	return e
}
