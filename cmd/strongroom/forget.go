package main

import (
	"errors"
	"strings"
	"time"

	"strongroom/backup"
	"strongroom/client"
	"strongroom/cmd/internal/folder"
	"strongroom/cmd/internal/terminal"
)

type forgetCmd struct {
	Backups []string `arg:"" optional:"" help:"Backups to forget, by name (strongroom snapshots). Only so is a machine's newest one forgotten."`

	KeepLast    int        `help:"Keep the newest N." placeholder:"N"`
	KeepHourly  int        `help:"Keep the newest of each of the last N hours that have one." placeholder:"N"`
	KeepDaily   int        `help:"Keep the newest of each of the last N days that have one." placeholder:"N"`
	KeepWeekly  int        `help:"Keep the newest of each of the last N weeks that have one." placeholder:"N"`
	KeepMonthly int        `help:"Keep the newest of each of the last N months that have one." placeholder:"N"`
	KeepYearly  int        `help:"Keep the newest of each of the last N years that have one." placeholder:"N"`
	KeepWithin  spanOfTime `help:"Keep all that are at most so much older than the newest: 1y5m7d2h." placeholder:"DURATION"`

	Device string `help:"Only backups of this machine: its name, or the beginning of its number (strongroom snapshots --json)." placeholder:"MACHINE"`
	Path   string `help:"Only backups of this path." placeholder:"PATH"`
	Lost   bool   `help:"Do not ask before a backup that is named is forgotten though nobody can read any more what it held."`
	DryRun bool   `help:"Only show what would stay and what would go."`
	Prune  bool   `help:"Prune afterwards: strongroom prune."`
}

// Help is shown by forget --help.
func (*forgetCmd) Help() string {
	return `Rules work as restic's do: by machine and set of paths, a backup stays if any rule keeps it. A machine's newest backup always stays, unless you name it.
What forgotten backups held is removed by strongroom prune; until then nothing is freed.

Examples:

  strongroom forget --keep-daily 7 --keep-weekly 5 --keep-monthly 12 --dry-run
  strongroom forget --keep-last 30 --prune
  strongroom forget 3f9a1c2e
  strongroom forget 3f9a1c2e --lost        one that strongroom snapshots calls damaged`
}

// spanOfTime is a length of time on the command line.
type spanOfTime backup.Span

// UnmarshalText reads 1y5m7d2h.
func (s *spanOfTime) UnmarshalText(text []byte) error {
	span, err := backup.ParseSpan(string(text))
	*s = spanOfTime(span)
	return err
}

func (c *forgetCmd) rules() backup.KeepRules {
	return backup.KeepRules{Last: c.KeepLast, Hourly: c.KeepHourly, Daily: c.KeepDaily, Weekly: c.KeepWeekly, Monthly: c.KeepMonthly,
		Yearly: c.KeepYearly, Within: backup.Span(c.KeepWithin)}
}

func (c *forgetCmd) Run(s *session) error {
	if len(c.Backups) == 0 && c.rules().Empty() {
		return &usageError{"say what to keep (--keep-daily 7 --keep-weekly 5 ...) or name the backups to forget"}
	}
	return s.alone(func(settings *folder.Settings, key *client.Key, repo *backup.Repository) error {
		return c.forget(s, settings, key, repo)
	})
}

func (c *forgetCmd) forget(s *session, settings *folder.Settings, key *client.Key, repo *backup.Repository) error {
	opt := backup.ForgetOptions{
		StateDir: s.folder.State(), Snapshots: c.Backups, Rules: c.rules(), Device: c.Device, Path: c.Path, Lost: c.Lost || c.DryRun, DryRun: c.DryRun,
	}
	report, err := repo.Forget(s.ctx, opt)
	if errors.Is(err, backup.ErrLost) {
		if err := s.sureOfLost(err); err != nil {
			return err
		}
		opt.Lost = true
		report, err = repo.Forget(s.ctx, opt)
	}
	if errors.Is(err, backup.ErrSnapshot) {
		return &usageError{err.Error() + "; strongroom snapshots lists them"}
	}
	if err != nil {
		return storageTrouble(err)
	}
	if err := s.tellForget(report, c.DryRun); err != nil {
		return err
	}
	if warning := s.leaveMarks(settings, key, report.Heads); warning != "" {
		s.term.Note("WARNING  %s", warning)
	}
	if c.Prune && !c.DryRun {
		p := pruneCmd{MaxUnused: percent(backup.PruneUnusedMax), Grace: backup.PruneGrace}
		return p.prune(s, settings, key, repo)
	}
	return nil
}

// sureOfLost asks whether a backup may go that might come back, were its list
// found again.
func (s *session) sureOfLost(what error) error {
	if !s.term.Interactive() {
		return &usageError{what.Error() + "; --lost is missing, and there is no terminal to ask on"}
	}
	s.term.Note("%v.", what)
	s.term.Note("If its list comes back (from another copy of the storage, or its trash), so does the backup. Once it is forgotten, strongroom prune frees what it alone held.")
	yes, err := s.term.Yes("Forget it?")
	if err == nil && !yes {
		err = &storyError{story{exitFailure, "cancelled", "nothing was forgotten.", lostNothing, "", nil}}
	}
	return err
}

func (s *session) tellForget(r backup.ForgetReport, dry bool) error {
	table := terminal.Table{}
	table.Row("", "BACKUP", "TIME", "MACHINE", "PATHS", "WHY")
	for _, v := range r.Verdicts {
		what := "forget"
		if v.Keep {
			what = "keep"
		}
		table.Row(what, v.ID, v.Time.Local().Format(timeForm), v.Host, strings.Join(v.Paths, " "), strings.Join(v.Reasons, ", "))
		e := snapshotEvent(v.SnapshotInfo)
		e["keep"], e["reasons"] = v.Keep, append([]string{}, v.Reasons...)
		if err := s.term.Event("verdict", e); err != nil {
			return err
		}
	}
	s.term.Say("%s", table.String())
	gone, rest := r.Forgotten(), len(r.Verdicts)-r.Forgotten()
	switch {
	case dry:
		s.term.Say("Would forget %s and keep %s. Nothing was changed.", terminal.Count(gone, "backup"), terminal.Number(rest))
	case gone == 0:
		s.term.Say("Nothing to forget: %s stay.", terminal.Count(rest, "backup"))
	default:
		s.term.Say("Forgot %s, kept %s. strongroom prune frees what they alone held.", terminal.Count(gone, "backup"), terminal.Number(rest))
	}
	return s.term.Event("forget", map[string]any{"forgotten": gone, "kept": rest, "dryRun": dry})
}

// leaveMarks tells the vault of every head that was written, so that a storage
// that shows what was before is noticed.
func (s *session) leaveMarks(settings *folder.Settings, key *client.Key, heads []backup.Head) (warning string) {
	for _, h := range heads {
		if _, w := s.leaveMark(settings, key, h); w != "" {
			warning = w
		}
	}
	return warning
}

// since is a time as people say it, with how long ago that was.
func since(t time.Time) string {
	return t.Local().Format(timeForm) + ", " + terminal.Duration(time.Since(t).Truncate(time.Minute)) + " ago"
}
