package main

import (
	"errors"

	"strongroom/backup"
	"strongroom/cmd/internal/terminal"
)

type diffCmd struct {
	From string `arg:"" help:"The earlier backup: its name from strongroom snapshots."`
	To   string `arg:"" optional:"" help:"The later one." default:"latest"`
}

// Help is shown by diff --help.
func (*diffCmd) Help() string {
	return `Each line begins with + (added), - (removed), M (other content) or U (the same content, but another mode or time).

Examples:

  strongroom diff 3f9a1c2e
  strongroom diff 3f9a1c2e b07d51aa --json`
}

func (c *diffCmd) Run(s *session) error {
	repo, err := s.repository()
	if err != nil {
		return err
	}
	done := s.reading(repo)
	r, err := repo.Diff(s.ctx, c.From, c.To, func(d backup.Change) error {
		done()
		s.term.Say("%s  %s", d.Change, terminal.Line(d.Path))
		e := thingEvent(d.Thing)
		e["change"], e["bytesBefore"] = d.Change, d.Before
		return s.term.Event("change", e)
	})
	done()
	if errors.Is(err, backup.ErrSnapshot) && !errors.Is(err, backup.ErrDamaged) {
		return &usageError{err.Error() + "; strongroom snapshots lists them"}
	}
	if err != nil {
		return storageTrouble(err)
	}
	s.term.Note("From %s of %s to %s of %s: %s added, %s removed, %s with other content, %s with another mode or time.",
		r.From.ID, r.From.Time.Local().Format(timeForm), r.To.ID, r.To.Time.Local().Format(timeForm),
		terminal.Number(r.Added), terminal.Number(r.Removed), terminal.Number(r.Modified), terminal.Number(r.Touched))
	return s.term.Event("diff", map[string]any{"from": r.From.ID, "to": r.To.ID, "added": r.Added, "removed": r.Removed, "modified": r.Modified, "touched": r.Touched})
}
