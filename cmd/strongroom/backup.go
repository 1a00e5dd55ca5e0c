package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"strongroom/backup"
	"strongroom/client"
	"strongroom/cmd/internal/folder"
	"strongroom/cmd/internal/terminal"
	"strongroom/protocol/wire"
)

// vaultLookMax is how long `backup` waits for the vault's word beside its
// work. A vault out of reach never fails a backup.
const vaultLookMax = 5 * time.Second

const warningsShownMax = 20

type backupCmd struct {
	Paths []string `arg:"" optional:"" help:"Files and folders. SQLite databases in them are taken as they stand at one moment, even while somebody writes." type:"existingpath"`
	leaveFlags
	scheduledFlags
}

// Run makes a backup, and writes down how it ended.
func (c *backupCmd) Run(s *session) error {
	return s.watched(c.scheduledFlags, func() error { return c.run(s) })
}

func (c *backupCmd) run(s *session) (err error) {
	unlock, err := s.folder.Lock()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	settings, key, err := s.enabledFolder()
	if err != nil {
		return err
	}
	if len(c.Paths) > 0 {
		settings.Paths, settings.Leave = c.Paths, c.leave()
	} else if leave := c.leave(); !leave.Nothing() {
		return &usageError{"what is left out is remembered with the paths: name them too (" + strings.Join(settings.Paths, " ") + ")"}
	}
	if len(settings.Paths) == 0 {
		return &usageError{"nothing to back up: name a file or a folder (later runs remember it)"}
	}
	vaultSays := s.lookAtVault(settings)
	report, err := s.backup(settings, &key)
	if err != nil {
		return err
	}
	if err := s.folder.PutSettings(*settings); err != nil {
		report.Warnings = append(report.Warnings, backup.Warning{Path: s.folder.Path, What: "the paths were not remembered, name them again next time: " + err.Error()})
	}
	looked := <-vaultSays
	alarm := looked.alarm
	if err := s.remember(settings, looked); err != nil {
		report.Warnings = append(report.Warnings, backup.Warning{Path: s.folder.Path, What: "what the vault told was not remembered: " + err.Error()})
	}
	after, warning := s.leaveMark(settings, &key, report.Head)
	alarm = afterMark(alarm, after)
	if warning != "" {
		report.Warnings = append(report.Warnings, backup.Warning{Path: settings.Repository.URL, What: warning})
	}
	if err := s.tellBackup(report, alarm); err != nil {
		return err
	}
	if len(report.Warnings) > 0 || alarm != "" {
		return &storyError{story{Code: exitWarnings, Kind: "warnings", Happened: "the backup is done, but read the warnings above.", Lost: "nothing that is not named above."}}
	}
	return nil
}

// enabledFolder is the settings and key of a folder that is set up.
func (s *session) enabledFolder() (*folder.Settings, client.Key, error) {
	settings, err := s.folder.Settings()
	if err != nil {
		return nil, client.Key{}, err
	}
	if settings.Stage != folder.Enabled {
		return nil, client.Key{}, &storyError{story{exitFailure, "pending", "the setup was interrupted.", lostNothing,
			"run strongroom enable again: it goes on with the same key.", nil}}
	}
	key, err := s.key()
	return &settings, key, err
}

// key is the folder's key; that it is gone is a story.
func (s *session) key() (client.Key, error) {
	key, err := s.folder.Key()
	if errors.Is(err, os.ErrNotExist) {
		return key, &storyError{story{exitFailure, "no-key", "the key is missing: " + s.folder.KeyFile() + " is gone.",
			"nothing yet: the backup is where it was.", "strongroom restore --data NEWFOLDER gets the key back by password or from paper.", nil}}
	}
	return key, err
}

// alone opens the repository of a folder that is set up, for one that changes
// it: no other run of this folder comes in between.
func (s *session) alone(do func(*folder.Settings, *client.Key, *backup.Repository) error) (err error) {
	unlock, err := s.folder.Lock()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	settings, key, err := s.enabledFolder()
	if err != nil {
		return err
	}
	repo, err := s.openRepository(settings, &key)
	if err != nil {
		return err
	}
	return do(settings, &key, repo)
}

// openRepository opens the repository of the settings.
// The key comes by pointer, here and everywhere: TestNoKeyInATrace says why.
func (s *session) openRepository(settings *folder.Settings, key *client.Key) (*backup.Repository, error) {
	st, err := s.openStore(settings.Repository.URL)
	if err != nil {
		return nil, err
	}
	repo, err := backup.Open(s.ctx, st, backup.Key(*key))
	if err != nil {
		return nil, storageTrouble(err)
	}
	id := repo.ID()
	if was := settings.Repository.ID; was != "" && was != hex.EncodeToString(id[:]) {
		return nil, &storyError{story{exitStorage, "other-backup", settings.Repository.URL + " holds another backup than the one that was set up here.",
			lostNothing, "check that the right disk is mounted, or the address.", nil}}
	}
	return repo, nil
}

// backup runs one backup with its progress on the screen.
func (s *session) backup(settings *folder.Settings, key *client.Key) (backup.BackupReport, error) {
	repo, err := s.openRepository(settings, key)
	if err != nil {
		return backup.BackupReport{}, err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	paths := make([]string, len(settings.Paths))
	for i, p := range settings.Paths {
		if paths[i], err = filepath.Abs(p); err != nil {
			return backup.BackupReport{}, err
		}
	}
	settings.Paths = paths
	show, done := s.term.Start("Backing up")
	defer done()
	report, err := repo.Backup(s.ctx, paths, backup.BackupOptions{
		// The key opens what it would lie in; and restored over another
		// machine's folder, settings and key of this one stand in the way.
		Skip:     []string{s.folder.Path},
		StateDir: s.folder.State(), Host: host, Leave: engineLeave(settings.Leave), Progress: shown(show),
	})
	if errors.Is(err, backup.ErrPattern) {
		return report, &usageError{"--exclude: " + err.Error()}
	}
	if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, backup.ErrPath) {
		err = storageTrouble(err)
	}
	return report, err
}

// shown turns the engine's progress into the terminal's.
func shown(show func(terminal.Progress)) func(backup.Progress) {
	return func(p backup.Progress) {
		show(terminal.Progress{
			Phase: p.Phase, FilesDone: int64(p.FilesDone), FilesTotal: int64(p.FilesTotal),
			BytesDone: p.BytesDone, BytesTotal: p.BytesTotal, BytesSent: p.BytesSent, CurrentName: p.Current,
		})
	}
}

// looked is what a look at the vault came to.
type looked struct {
	alarm      string // a warning, or empty
	generation string // of our record, wherever it has moved
	layout     uint64 // the newest that was seen
}

// lookAtVault asks in the background whether the way back still stands.
func (s *session) lookAtVault(settings *folder.Settings) <-chan looked {
	said := make(chan looked, 1)
	if settings.Way != folder.ByPassword {
		said <- looked{}
		return said
	}
	place, generation := *settings.Vault, settings.Generation
	go func() {
		ctx, cancel := context.WithTimeout(s.ctx, vaultLookMax)
		defer cancel()
		v, err := vaultAt(&place)
		if err != nil {
			said <- looked{}
			return
		}
		status, err := v.Status(ctx)
		if err != nil { // out of reach: no news
			said <- looked{}
			return
		}
		generation := followed(ctx, v, generation, status)
		said <- looked{alarm(status, generation), generation, v.NewestLayout()}
	}()
	return said
}

// followed is the generation of our record: where another device took it to
// another island it is another one than was known here, and nobody's doing
// but the owner's.
func followed(ctx context.Context, v *client.Vault, known string, now wire.StatusReport) string {
	current := hex.EncodeToString(now.Generation[:])
	b, err := hex.DecodeString(known)
	if known == current || err != nil || len(b) != wire.GenerationBytes {
		return known
	}
	if moved, err := v.Moved(ctx, wire.Generation(b), now); err != nil || !moved {
		return known
	}
	return current
}

// remember keeps what a look told, for the next.
func (s *session) remember(settings *folder.Settings, l looked) error {
	if settings.Vault == nil || l.layout <= settings.Vault.Layout && (l.generation == "" || l.generation == settings.Generation) {
		return nil
	}
	settings.Vault.Layout = max(settings.Vault.Layout, l.layout)
	if l.generation != "" {
		settings.Generation = l.generation
	}
	return s.folder.PutSettings(*settings)
}

// alarm says what a person must know of a record, empty when all is well.
func alarm(st wire.StatusReport, generation string) string {
	if p := pendingAlarm(st, generation); p != "" {
		return p
	}
	if st.Pending != nil { // our own registration waits: what is there is not ours
		return ""
	}
	switch {
	case st.State == wire.StateDestroyed || st.State == wire.StateExhausted:
		return "Somebody used up all attempts with wrong passwords: the vault destroyed its copy of your key. This machine still has the key. Run strongroom password to protect it anew."
	case st.State == wire.StateNone || st.State == wire.StateDeleted:
		return "The vault keeps no copy of your key any more. This machine still has the key. Run strongroom password to protect it anew."
	case generation != "" && hex.EncodeToString(st.Generation[:]) != generation:
		return "The vault's record was replaced since this machine was set up. If that was not you on another device, run strongroom password now."
	case st.LifetimeLimit > 0 && st.WrongEver > st.LifetimeLimit/2:
		return fmt.Sprintf("%d of the %d wrong attempts that this account may ever make are used up. Run strongroom password: a change of the password, by this machine's key, sets them back.",
			st.WrongEver, st.LifetimeLimit)
	case st.Wrong > 0:
		return fmt.Sprintf("%s; %d of %d left. If that was not you, somebody is trying.", wrongWords(st), st.Left, st.Limit)
	}
	return ""
}

type backupEvent struct {
	Snapshot     string   `json:"snapshot"`
	Files        int      `json:"files"`
	FilesNew     int      `json:"filesNew"`
	FilesChanged int      `json:"filesChanged"`
	Databases    int      `json:"databases"`
	PagesChanged int64    `json:"pagesChanged"`
	BytesRead    int64    `json:"bytesRead"`
	BytesSent    int64    `json:"bytesSent"`
	Packs        int      `json:"packsSent"`
	LeftOut      int      `json:"leftOut"`
	Seconds      float64  `json:"seconds"`
	Warnings     []string `json:"warnings"`
	Vault        string   `json:"vaultWarning,omitempty"`
}

func (s *session) tellBackup(r backup.BackupReport, alarm string) error {
	e := backupEvent{
		Snapshot: r.Snapshot.ID, Files: r.Files, FilesNew: r.FilesNew, FilesChanged: r.FilesChanged, Databases: r.Databases,
		PagesChanged: r.PagesChanged, BytesRead: r.BytesRead, BytesSent: r.BytesSent, Packs: r.PacksSent, LeftOut: r.LeftOut,
		Seconds: r.Elapsed.Seconds(), Warnings: warnings(r.Warnings), Vault: alarm,
	}
	s.tellWarnings(e.Warnings)
	if alarm != "" {
		s.term.Note("WARNING  %s", alarm)
	}
	s.term.Say("Backup %s: %s, %s, %s among them.", e.Snapshot, terminal.Count(r.Files, "file"), terminal.Bytes(r.Snapshot.Bytes),
		terminal.Count(r.Databases, "database"))
	s.term.Say("  new %s, changed %s; sent %s in %s (%s read).", terminal.Number(r.FilesNew), terminal.Number(r.FilesChanged),
		terminal.Bytes(r.BytesSent), terminal.Duration(r.Elapsed), terminal.Bytes(r.BytesRead))
	if e.LeftOut > 0 {
		s.term.Say("  left out %s, as asked for.", terminal.Count(e.LeftOut, "path"))
	}
	return s.term.Event("backup", e)
}

func warnings(ws []backup.Warning) []string {
	out := []string{}
	for _, w := range ws {
		out = append(out, fmt.Sprintf("%s: %s", w.Path, w.What))
	}
	return out
}

func (s *session) tellWarnings(ws []string) {
	for i, w := range ws {
		if i == warningsShownMax {
			s.term.Note("WARNING  and %d more", len(ws)-i)
			return
		}
		s.term.Note("WARNING  %s", terminal.Line(w))
	}
}
