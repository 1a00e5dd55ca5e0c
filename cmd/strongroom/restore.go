package main

import (
	"context"
	"encoding/hex"
	"errors"
	"path/filepath"
	"strings"

	"strongroom/backup"
	"strongroom/client"
	"strongroom/cmd/internal/folder"
	"strongroom/cmd/internal/terminal"
)

type restoreCmd struct {
	To        string `help:"Folder to restore into." placeholder:"DIR" type:"path"`
	Snapshot  string `help:"Which backup: its name from strongroom snapshots." default:"latest"`
	Overwrite bool   `help:"Replace files that are in the way. Without it such a restore writes nothing; what is there already as in the backup is kept either way."`

	Path   []string `help:"Restore this alone: a path as it was on the device, or a pattern by the rules of .gitignore against the paths below the target. May be given more than once." placeholder:"PATTERN" sep:"none"`
	DryRun bool     `help:"Say what would be done with every file, and write nothing into the folder."`
	Verify bool     `help:"Read what was written from the disk again and hold it against the backup."`

	By       string `help:"On a new machine: how you get the key back (password or key)." enum:"password,key," default:""`
	Card     string `help:"On a new machine: file with the recovery card." placeholder:"FILE" type:"existingfile"`
	Repo     string `help:"On a new machine: where the backup lies." placeholder:"URL"`
	KeyFile  string `help:"On a new machine: file with the 64-digit key." placeholder:"FILE" type:"existingfile"`
	KeyStdin bool   `help:"On a new machine: read the 64-digit key from standard input."`
	vaultFlags
	passwordFlags
}

func (c *restoreCmd) Run(s *session) (err error) {
	unlock, err := s.folder.Lock()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if c.To, err = orAsk(s.term, c.To, "to", "Restore into which folder?"); err != nil {
		return err
	}
	if c.To, err = filepath.Abs(c.To); err != nil {
		return err
	}
	settings, key, err := s.folderOrRecover(c)
	if err != nil {
		return err
	}
	report, err := s.restore(settings, &key, c)
	if err != nil {
		return err
	}
	if c.DryRun {
		return s.tellDryRun(report, c.To)
	}
	return s.tellRestore(settings, report, c)
}

// restore runs one restore with its progress on the screen.
func (s *session) restore(settings *folder.Settings, key *client.Key, c *restoreCmd) (backup.RestoreReport, error) {
	repo, err := s.openRepository(settings, key)
	if err != nil {
		return backup.RestoreReport{}, err
	}
	id := repo.ID()
	settings.Repository.ID = hex.EncodeToString(id[:])
	older, err := s.freshness(settings, repo)
	if err != nil {
		return backup.RestoreReport{}, err
	}
	show, done := s.term.Start("Restoring")
	defer done()
	report, err := repo.Restore(s.ctx, c.Snapshot, c.To, backup.RestoreOptions{
		StateDir: s.folder.State(), Progress: shown(show), Overwrite: c.Overwrite,
		Include: c.Path, DryRun: c.DryRun, Plan: s.tellPlanned, Verify: c.Verify,
	})
	report.Warnings = append(older, report.Warnings...)
	switch {
	case errors.Is(err, backup.ErrDamaged) && len(report.Damaged) > 0:
		return report, nil // told with what did come back
	case errors.Is(err, backup.ErrSnapshot) && errors.Is(err, backup.ErrDamaged):
		return report, err
	case errors.Is(err, backup.ErrSnapshot) && c.Snapshot == "latest":
		return report, &storyError{story{exitFailure, "empty", "nothing was backed up to " + settings.Repository.URL + " yet.", lostNothing,
			"check the address, if you know better; strongroom snapshots lists what is there.", nil}}
	case errors.Is(err, backup.ErrSnapshot):
		return report, noSnapshot(c.Snapshot)
	case errors.Is(err, backup.ErrSelection):
		return report, &storyError{story{exitUsage, "nothing-chosen", sentence(err), lostNothing,
			"--path takes a path as it was on the device, or one below the target (the folder's last name first); restore --dry-run lists all.", nil}}
	case errors.Is(err, backup.ErrPattern):
		return report, &usageError{"--path: " + err.Error()}
	case errors.Is(err, backup.ErrVerify):
		return report, &storyError{story{exitFailure, "verify", sentence(err), "nothing: the backup is untouched. The disk or the memory of this machine does not keep what it is given.",
			"restore to another disk.", nil}}
	case errors.Is(err, backup.ErrDiffers):
		return report, &storyError{story{exitFailure, "in-the-way", err.Error(), "nothing: nothing was written.",
			"restore into an empty folder, or add --overwrite; --dry-run lists what is in the way.", nil}}
	case err != nil && !errors.Is(err, context.Canceled):
		return report, storageTrouble(err)
	}
	return report, err
}

func (s *session) tellRestore(settings *folder.Settings, r backup.RestoreReport, c *restoreCmd) error {
	to := c.To
	if len(settings.Paths) == 0 && len(c.Path) == 0 { // a new machine goes on with what came back
		settings.Paths = backup.RestoredPaths(to, r.Snapshot.Paths)
	}
	if err := s.folder.PutSettings(*settings); err != nil {
		return err
	}
	s.tellWarnings(warnings(r.Warnings))
	if err := s.tellDamage(r.Damaged); err != nil {
		return err
	}
	s.term.Say("Restored backup %s of %s into %s", r.Snapshot.ID, r.Snapshot.Time.Local().Format(timeForm), to)
	s.term.Say("  %s, %s, %s among them, in %s (%s).", terminal.Count(r.Files, "file"), terminal.Bytes(r.Bytes),
		terminal.Count(r.Databases, "database"), terminal.Duration(r.Elapsed), terminal.Rate(r.Bytes, r.Elapsed))
	if r.FilesKept > 0 {
		s.term.Say("  %s already there, as in the backup.", terminal.Count(r.FilesKept, "file"))
	}
	if r.Verified > 0 {
		s.term.Say("  %s read again from the disk, and as in the backup.", terminal.Count(r.Verified, "file"))
	}
	if len(settings.Paths) > 0 {
		s.term.Say("The next backup from here goes on with  %s", strings.Join(settings.Paths, " "))
	}
	err := s.term.Event("restore", map[string]any{
		"snapshot": r.Snapshot.ID, "to": to, "files": r.Files, "filesKept": r.FilesKept, "verified": r.Verified, "databases": r.Databases, "bytes": r.Bytes,
		"damaged": len(r.Damaged), "warnings": warnings(r.Warnings), "seconds": r.Elapsed.Seconds(),
	})
	switch {
	case err != nil:
		return err
	case len(r.Damaged) > 0:
		return damageStory(len(r.Damaged), "the files named above. Everything else was restored.", "an older backup may hold them: strongroom snapshots, then restore --snapshot.")
	case len(r.Warnings) > 0:
		return &storyError{story{Code: exitWarnings, Kind: "warnings", Happened: "restored, but read the warnings above.", Lost: "nothing that is not named above."}}
	}
	return nil
}
