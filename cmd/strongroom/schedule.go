package main

import (
	"errors"
	"os"
	"path/filepath"

	"strongroom/cmd/internal/folder"
	"strongroom/cmd/internal/schedule"
)

type scheduleCmd struct {
	When   string `arg:"" optional:"" help:"daily, hourly, or a time of day: 21:30." default:"daily"`
	Print  bool   `help:"Only show what would be written." xor:"what"`
	Remove bool   `help:"Take it away." xor:"what"`
	By     string `help:"systemd (a user timer), launchd or cron. If not given: what this system has." enum:"systemd,launchd,cron," default:""`
}

// Help is shown by schedule --help.
func (*scheduleCmd) Help() string {
	return `Has this system make a backup of the remembered paths again and again, with a random delay; a run that was missed is caught up. It says nothing unless something is wrong: then it
shows a notification on the desktop (notify-send or osascript), and strongroom status tells of it. last-run.json in the data folder tells it to programs.
A user timer of systemd runs while you are logged in; loginctl enable-linger lets it run always. Keys of an S3 storage must be in its environment (environment.d).

Examples:

  strongroom schedule
  strongroom schedule 21:30 --print
  strongroom schedule --remove`
}

func (c *scheduleCmd) Run(s *session) error {
	when, err := schedule.ParseWhen(c.When)
	if err != nil {
		return &usageError{err.Error()}
	}
	if _, _, err := s.enabledFolder(); err != nil && !c.Remove {
		return err
	}
	by := schedule.By(c.By)
	if by == "" {
		if by, err = schedule.Find(); err != nil {
			return &storyError{story{exitFailure, "no-scheduler", err.Error() + ".", lostNothing,
				"run strongroom backup --scheduled from whatever runs things on this system; --by cron --print shows a line for cron.", nil}}
		}
	}
	job, home, config, err := s.job(when)
	if err != nil {
		return err
	}
	switch {
	case c.Print:
		for _, f := range job.Files(by, home, config) {
			if f.Path != "" {
				s.term.Say("# %s", f.Path)
			}
			s.term.Say("%s", f.Text)
			if err := s.term.Event("file", map[string]any{"path": f.Path, "text": f.Text}); err != nil {
				return err
			}
		}
		return nil
	case c.Remove:
		return s.unschedule(job, by, home, config)
	}
	if err := job.Install(by, home, config); err != nil {
		return err
	}
	s.term.Say("A backup is made %s, by %s. strongroom status tells how the last one went; strongroom schedule --remove ends it.", when, by)
	return s.term.Event("scheduled", map[string]any{"when": when.String(), "by": by})
}

func (s *session) unschedule(job schedule.Job, by schedule.By, home, config string) error {
	gone, err := job.Remove(by, home, config)
	if err != nil {
		return err
	}
	if gone {
		s.term.Say("No backup is made by itself any more.")
	} else {
		s.term.Say("There was nothing to take away.")
	}
	return s.term.Event("unscheduled", map[string]any{"removed": gone, "by": by})
}

// job is this program on this data folder.
func (s *session) job(when schedule.When) (job schedule.Job, home, config string, err error) {
	program, err1 := os.Executable()
	data, err2 := filepath.Abs(s.folder.Path)
	home, err3 := os.UserHomeDir()
	config, err4 := os.UserConfigDir()
	return schedule.Job{Program: program, Data: data, Default: data == folder.Default(), When: when}, home, config, errors.Join(err1, err2, err3, err4)
}
