package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"strongroom/backup"
	"strongroom/cmd/internal/terminal"
)

type checkCmd struct {
	ReadData       bool   `help:"Read and open every byte too, not only what holds the backup together."`
	ReadDataSubset subset `help:"Like --read-data, but of one part only: 3/7 is the third of seven. Whoever checks one each day has read all in a week." placeholder:"N/M"`
}

// Help is shown by check --help.
func (*checkCmd) Help() string {
	return `Every damaged object is named, with the files that it costs; the exit code is then 7.

Examples:

  strongroom check
  strongroom check --read-data
  strongroom check --read-data-subset 1/7`
}

// subset is one of so many on the command line.
type subset struct{ n, of int }

// UnmarshalText reads 3/7.
func (p *subset) UnmarshalText(text []byte) error {
	n, of, ok := strings.Cut(string(text), "/")
	var err1, err2 error
	p.n, err1 = strconv.Atoi(n)
	p.of, err2 = strconv.Atoi(of)
	if !ok || err1 != nil || err2 != nil || p.n < 1 || p.n > p.of || p.of > partsMax {
		return errors.New("a part is written 3/7: the third of seven")
	}
	return nil
}

const partsMax = 100_000

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
	found, err := repo.Check(s.ctx, backup.CheckOptions{
		ReadData: c.ReadData || c.ReadDataSubset.of > 0, Part: c.ReadDataSubset.n, Parts: c.ReadDataSubset.of, Progress: shown(show)})
	done()
	if err != nil {
		return storageTrouble(err)
	}
	took := time.Since(start)
	if err := s.tellDamage(found.Damages); err != nil {
		return err
	}
	if err := s.term.Event("check", map[string]any{
		"damaged": len(found.Damages), "readData": c.ReadData, "part": c.ReadDataSubset.n, "parts": c.ReadDataSubset.of, "objects": found.Objects, "bytes": found.Bytes,
		"seconds": took.Seconds()}); err != nil {
		return err
	}
	if n := len(found.Damages); n > 0 {
		return damageStory(n, "what is named above; everything else is whole.",
			"back up again from a machine that has the files: it replaces what is damaged.")
	}
	what := "structure"
	switch {
	case c.ReadDataSubset.of > 0:
		what = fmt.Sprintf("structure and part %d of %d of the bytes", c.ReadDataSubset.n, c.ReadDataSubset.of)
	case c.ReadData:
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
