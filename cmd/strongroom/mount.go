package main

import (
	"errors"
	"path/filepath"

	"strongroom/cmd/internal/mount"
	"strongroom/cmd/internal/terminal"
)

type mountCmd struct {
	Dir string `arg:"" help:"An empty folder." type:"path"`
}

// Help is shown by mount --help.
func (*mountCmd) Help() string {
	return `Shows each backup as a folder, by machine and time, with latest in each; read only, and as a restore would write it: databases too. It goes on until Ctrl-C or fusermount3 -u DIR.
Backups that are made meanwhile are seen at the next mount. What is damaged gives an error when it is read, never other bytes.

Examples:

  strongroom mount ~/backups
  cp ~/backups/latest/Messenger/letter.txt .`
}

func (c *mountCmd) Run(s *session) error {
	repo, err := s.repository()
	if err != nil {
		return err
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return err
	}
	err = mount.Run(s.ctx, repo, dir, func(snapshots int) {
		s.term.Say("%s shown at %s, the newest in latest. Ctrl-C ends it.", terminal.Count(snapshots, "backup"), dir)
		_ = s.term.Event("mounted", map[string]any{"dir": dir, "backups": snapshots}) // nobody listens: the mount is of use all the same
	}, func(what string) { s.term.Note("%s", terminal.Line(what)) })
	if errors.Is(err, mount.ErrMount) {
		return err
	}
	if err != nil {
		return storageTrouble(err)
	}
	s.term.Say("Unmounted.")
	return s.term.Event("unmounted", map[string]any{"dir": dir})
}
