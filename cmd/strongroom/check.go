package main

import (
	"time"

	"strongroom/backup"
	"strongroom/cmd/internal/terminal"
)

type checkCmd struct {
	ReadData bool `help:"Read and open every byte too, not only what holds the backup together."`
}

func (c *checkCmd) Run(s *session) error {
	settings, key, err := s.enabledFolder()
	if err != nil {
		return err
	}
	start := time.Now()
	repo, err := s.openRepository(settings, &key)
	if err != nil {
		return err
	}
	show, done := s.term.Start("Checking")
	found, err := repo.Check(s.ctx, backup.CheckOptions{ReadData: c.ReadData, Progress: shown(show)})
	done()
	if err != nil {
		return storageTrouble(err)
	}
	took := time.Since(start)
	if err := s.tellDamage(found.Damages); err != nil {
		return err
	}
	if err := s.term.Event("check", map[string]any{
		"damaged": len(found.Damages), "readData": c.ReadData, "objects": found.Objects, "bytes": found.Bytes,
		"seconds": took.Seconds()}); err != nil {
		return err
	}
	if n := len(found.Damages); n > 0 {
		return damageStory(n, "what is named above; everything else is whole.",
			"back up again from a machine that has the files: it replaces what is damaged.")
	}
	what := "structure"
	if c.ReadData {
		what = "every byte"
	}
	s.term.Say("The backup is whole: %s of %s, %s checked in %s.", terminal.Bytes(found.Bytes), terminal.Count(found.Objects, "object"), what, terminal.Duration(took))
	return nil
}

// tellDamage names each damaged object and what it costs.
func (s *session) tellDamage(found []backup.Damage) error {
	for i, d := range found {
		if err := s.term.Event("damage", map[string]any{"object": d.Object, "what": d.What, "files": d.Files}); err != nil {
			return err
		}
		if i < warningsShownMax {
			s.term.Note("DAMAGED  %s: %s", terminal.Line(d.Object), terminal.Line(d.What))
			for j, f := range d.Files {
				if j == warningsShownMax {
					s.term.Note("           and %d more", len(d.Files)-j)
					break
				}
				s.term.Note("           costs %s", terminal.Line(f))
			}
		}
	}
	return nil
}

func damageStory(n int, lost, do string) error {
	return &storyError{story{exitDamage, "damage", "the storage holds damage in " + terminal.Count(n, "place") + ".", lost, do, nil}}
}
