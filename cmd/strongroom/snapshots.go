package main

import (
	"strings"
	"time"

	"strongroom/backup"
	"strongroom/cmd/internal/terminal"
)

type snapshotsCmd struct{}

const timeForm = "2006-01-02 15:04"

func (c *snapshotsCmd) Run(s *session) error {
	repo, err := s.repository()
	if err != nil {
		return err
	}
	snapshots, damaged, err := repo.Snapshots(s.ctx)
	if err != nil {
		return storageTrouble(err)
	}
	table := terminal.Table{Right: []bool{false, false, false, true, true}}
	table.Row("BACKUP", "TIME", "MACHINE", "ENTRIES", "SIZE", "PATHS")
	for _, sn := range snapshots {
		table.Row(sn.ID, sn.Time.Local().Format(timeForm), sn.Host, terminal.Number(sn.Entries), terminal.Bytes(sn.Bytes), strings.Join(sn.Paths, " "))
		if err := s.term.Event("snapshot", snapshotEvent(sn)); err != nil {
			return err
		}
	}
	if len(snapshots) > 0 {
		s.term.Say("%s", table.String())
	} else if len(damaged) == 0 {
		s.term.Say("No backup yet. Make one:  strongroom backup PATH...")
	}
	if err := s.tellDamage(damaged); err != nil || len(damaged) == 0 {
		return err
	}
	return damageStory(len(damaged), "the backups that are named above; those listed are there.", "strongroom check tells more; back up again. strongroom forget NAME drops a backup that does not come back.")
}

func snapshotEvent(sn backup.SnapshotInfo) map[string]any {
	return map[string]any{
		"id": sn.ID, "time": sn.Time.UTC().Format(time.RFC3339), "host": sn.Host, "device": sn.Device,
		"paths": sn.Paths, "entries": sn.Entries, "bytes": sn.Bytes,
	}
}
