package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"strongroom/backup"
	"strongroom/client"
	"strongroom/cmd/internal/folder"
	"strongroom/cmd/internal/terminal"
)

type pruneCmd struct {
	MaxUnused   percent       `help:"How much of the storage may be taken by what nothing needs: packs with more are packed anew." default:"10%" placeholder:"PERCENT"`
	MaxDownload byteSize      `help:"Read at most so much to pack anew; the next prune goes on: 500M, 2G. No bound if not given." placeholder:"SIZE"`
	Grace       time.Duration `help:"How long what nothing needs stays before it is deleted. Backups under way are safe whatever this is; restores and mounts under way are glad of it." default:"24h"`
	DryRun      bool          `help:"Only show what would be done and what it costs."`
}

// Help is shown by prune --help.
func (*pruneCmd) Help() string {
	return `Removes what no backup needs any more (strongroom forget), in two steps: a prune condemns, and a prune after the grace deletes. So run it daily or weekly.
A pack that is damaged stays as it is, is named, and the exit code is then 8.
It is safe beside a backup on this or another machine, and may be stopped at any time.

Examples:

  strongroom prune --dry-run
  strongroom prune --max-unused 5% --max-download 2G`
}

// percent is a share on the command line.
type percent float64

// UnmarshalText reads 10% or 10.
func (p *percent) UnmarshalText(text []byte) error {
	f, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(string(text)), "%"), 64)
	if err != nil || !(f >= 0 && f <= 100) {
		return errors.New("a share is a number from 0% to 100%")
	}
	*p = percent(f / 100)
	return nil
}

func (c *pruneCmd) Run(s *session) error {
	return s.alone(func(settings *folder.Settings, key *client.Key, repo *backup.Repository) error {
		return c.prune(s, settings, key, repo)
	})
}

func (c *pruneCmd) prune(s *session, settings *folder.Settings, key *client.Key, repo *backup.Repository) error {
	if c.Grace < 0 {
		return &usageError{"--grace can not be negative"}
	}
	// Attack: a cloud that shows last month's heads has whatever came since
	// removed by its own owner.
	older, err := s.freshness(settings, repo)
	if err != nil {
		return err
	}
	if len(older) > 0 {
		s.tellWarnings(warnings(older))
		return &storyError{story{exitDamage, "older", "the storage does not show the newest backups, so nothing was removed.", lostNothing,
			"find out where they are (strongroom snapshots, strongroom check), or back up again, before anything is removed.", nil}}
	}
	show, done := s.term.Start("Pruning")
	report, err := repo.Prune(s.ctx, backup.PruneOptions{
		StateDir: s.folder.State(), UnusedMax: float64(c.MaxUnused), DownloadMax: int64(c.MaxDownload), Grace: c.Grace, DryRun: c.DryRun,
		Progress: shown(show), Plan: s.tellPrunePlan,
	})
	done()
	if err != nil {
		return storageTrouble(err)
	}
	if warning := s.leaveMarks(settings, key, report.Heads); warning != "" {
		s.term.Note("WARNING  %s", warning)
	}
	if err := s.tellPrune(report, c); err != nil || len(report.Damaged) == 0 {
		return err
	}
	return &storyError{story{exitWarnings, "warnings", "pruned, but " + terminal.Count(len(report.Damaged), "place") + " in what backups need can not be read, and stays as it is.",
		"what the damage named above took, before this prune.", "find out which files it costs: strongroom check --read-data.", nil}}
}

// tellPrunePlan says what a prune will do, and what it costs, before it does.
func (s *session) tellPrunePlan(r backup.PruneReport) error {
	for _, w := range r.Others {
		s.term.Note("At work: a %s of %s since %s. While it stands, nothing is deleted.", w.What, terminal.Line(w.Host), since(w.Since))
		if w.Abandoned {
			s.term.Note("  No word of it on more than seven days: it is taken for abandoned, and the next prune deletes again.")
		}
	}
	t := terminal.Table{Right: []bool{false, true, true}}
	row := func(what string, a backup.Amount, then string) {
		if a.Objects > 0 {
			t.Row(what, terminal.Count(a.Objects, "pack"), terminal.Bytes(a.Bytes), then)
		}
	}
	row("Needed", r.Kept, "stay")
	row("Little needed", r.Repacked, fmt.Sprintf("read, %s of it sent again", terminal.Bytes(r.Copied)))
	row("Not needed", r.Unneeded, "deleted after the grace")
	row("Waiting", r.Waiting, "condemned before, not yet due")
	row("Due", r.Deleted, "deleted now")
	if text := t.String(); text != "" {
		s.term.Say("%s", text)
	}
	if r.Unused > 0 {
		s.term.Say("  %s of what stays is not needed (in %s): within --max-unused.", terminal.Bytes(r.Unused), terminal.Count(r.Left.Objects, "pack"))
	}
	if r.Orphans > 0 {
		s.term.Say("  %s of an interrupted backup wait for it to go on.", terminal.Count(r.Orphans, "pack"))
	}
	return s.term.Event("prune-plan", pruneEvent(r))
}

func pruneEvent(r backup.PruneReport) map[string]any {
	amount := func(a backup.Amount) map[string]any { return map[string]any{"packs": a.Objects, "bytes": a.Bytes} }
	others := []map[string]any{}
	for _, w := range r.Others {
		others = append(others, map[string]any{"what": w.What, "host": w.Host, "device": w.Device, "since": w.Since.UTC().Format(time.RFC3339), "abandoned": w.Abandoned})
	}
	return map[string]any{
		"needed": amount(r.Kept), "repack": amount(r.Repacked), "repackSend": r.Copied, "unneeded": amount(r.Unneeded), "waiting": amount(r.Waiting),
		"due": amount(r.Deleted), "unusedBytes": r.Unused, "orphans": r.Orphans, "indexes": r.Indexes, "indexesAfter": r.After, "atWork": others,
	}
}

func (s *session) tellPrune(r backup.PruneReport, c *pruneCmd) error {
	switch {
	case c.DryRun:
		s.term.Say("Nothing was changed.")
	case r.Raced:
		s.term.Say("A backup ended meanwhile. Deleted %s; the rest is left to the next prune.", terminal.Bytes(r.Deleted.Bytes))
	default:
		s.term.Say("Deleted %s. Condemned %s, deleted by a prune after %s. Index objects: %d, now %d.", terminal.Bytes(r.Deleted.Bytes),
			terminal.Bytes(r.Unneeded.Bytes+r.Repacked.Bytes), c.Grace, r.Indexes, r.After)
	}
	damaged := []string{}
	for _, d := range r.Damaged {
		damaged = append(damaged, d.Object)
		s.term.Note("WARNING  %s: %s. It was to be packed anew, and stays.", d.Object, d.What)
	}
	e := pruneEvent(r)
	e["damaged"] = damaged
	e["dryRun"], e["raced"], e["seconds"] = c.DryRun, r.Raced, r.Elapsed.Seconds()
	return s.term.Event("prune", e)
}
