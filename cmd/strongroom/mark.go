package main

import (
	"context"
	"errors"
	"fmt"

	"strongroom/backup"
	"strongroom/client"
	"strongroom/cmd/internal/folder"
	"strongroom/protocol/wire"
)

// leaveMark tells the vault which head this backup wrote. A vault out of reach
// is no trouble: the next backup tells it. It gives the status after
// it, nil when it was not taken, and a warning, or none.
func (s *session) leaveMark(settings *folder.Settings, key *client.Key, h backup.Head) (after *wire.StatusReport, warning string) {
	if settings.Way != folder.ByPassword {
		return nil, ""
	}
	ctx, cancel := context.WithTimeout(s.ctx, vaultLookMax)
	defer cancel()
	v, err := vaultAt(settings.Vault)
	if err != nil {
		return nil, ""
	}
	status, err := v.Mark(ctx, *key, client.Mark{Device: h.Device, Sequence: h.Sequence, Head: h.Hash})
	switch {
	case err == nil:
		return &status, ""
	case errors.Is(err, client.ErrStale):
		return nil, "The vault remembers a newer backup from this machine than the storage showed before this one: somebody may have put an older copy of the storage back. This backup is whole; earlier ones may be missing."
	case errors.Is(err, client.ErrMarks):
		return nil, fmt.Sprintf("The vault remembers the newest backup of %d devices already and takes no more: on a restore nobody would notice if this machine's were held back.", wire.MarksMax)
	}
	return nil, ""
}

// freshness compares what the storage shows with what the vault remembers.
// Each warning is a backup that was made and is not there; none when the vault
// is out of reach.
func (s *session) freshness(settings *folder.Settings, repo *backup.Repository) ([]backup.Warning, error) {
	if settings.Way != folder.ByPassword || settings.Vault == nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(s.ctx, vaultLookMax)
	defer cancel()
	v, err := vaultAt(settings.Vault)
	var status wire.StatusReport
	if err == nil {
		status, err = v.Status(ctx)
	}
	if err != nil {
		s.term.Note("The vault does not answer, so whether the storage shows the newest backup was not checked.")
		return nil, nil
	}
	if p := status.Pending; p != nil && ours(p, settings.Generation) {
		return nil, nil // until our registration takes its place, what is there is somebody else's
	}
	heads, err := repo.Heads(s.ctx)
	if err != nil {
		return nil, storageTrouble(err)
	}
	var out []backup.Warning
	for _, m := range status.Marks {
		if what := missing(m, heads); what != "" {
			out = append(out, backup.Warning{Path: settings.Repository.URL, What: what})
		}
	}
	return out, nil
}

// missing says what the storage lacks of a mark, empty when nothing.
func missing(m client.Mark, heads []backup.Head) string {
	const why = " Somebody may have put an older copy back, or held the newest backup back."
	for _, h := range heads {
		switch {
		case h.Device != m.Device:
			continue
		case h.Sequence < m.Sequence:
			return fmt.Sprintf("not the newest backup: the vault remembers number %d of device %x, the storage ends at %d.%s", m.Sequence, m.Device[:4], h.Sequence, why)
		case h.Sequence == m.Sequence && h.Hash != m.Head:
			return fmt.Sprintf("another backup than the vault remembers as number %d of device %x.%s", m.Sequence, m.Device[:4], why)
		}
		return ""
	}
	return fmt.Sprintf("the backups of device %x are missing: the vault remembers number %d.%s", m.Device[:4], m.Sequence, why)
}
