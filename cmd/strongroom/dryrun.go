package main

import (
	"strongroom/backup"
	"strongroom/cmd/internal/terminal"
)

// tellPlanned tells of one path of a dry run.
func (s *session) tellPlanned(path, action string, bytes int64) {
	s.term.Say("%-8s %s", action, terminal.Line(path))
	_ = s.term.Event("plan", map[string]any{"path": path, "action": action, "bytes": bytes}) // the last event says it if nobody listens
}

// tellDryRun tells what a restore would do.
func (s *session) tellDryRun(r backup.RestoreReport, to string) error {
	s.tellWarnings(warnings(r.Warnings))
	s.term.Say("Backup %s of %s would restore %s, %s, into %s. Nothing was written there.", r.Snapshot.ID, r.Snapshot.Time.Local().Format(timeForm),
		terminal.Count(r.Files, "file"), terminal.Bytes(r.Bytes), to)
	if r.FilesKept > 0 {
		s.term.Say("  %s already there, as in the backup.", terminal.Count(r.FilesKept, "file"))
	}
	if r.Blocked > 0 {
		s.term.Say("  %s in the way with other content: restore elsewhere, or add --overwrite.", terminal.Count(r.Blocked, "file"))
	}
	return s.term.Event("dry-run", map[string]any{
		"snapshot": r.Snapshot.ID, "to": to, "files": r.Files, "filesKept": r.FilesKept, "blocked": r.Blocked, "databases": r.Databases,
		"bytes": r.Bytes, "damaged": len(r.Damaged), "warnings": warnings(r.Warnings),
	})
}
