package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"strongroom/backup"
	"strongroom/client"
	"strongroom/cmd/internal/folder"
	"strongroom/protocol/wire"
	"strongroom/store"
)

type enableCmd struct {
	By      string `help:"How you get the key back: password (from a vault) or key (64 digits on paper)." enum:"password,key," default:""`
	Repo    string `help:"Where the backup goes: a folder, file:/path, or s3:https://host/bucket/prefix." placeholder:"URL"`
	Stretch string `help:"Work on the password: default (64 MiB) or low-memory (19 MiB, for phones)." enum:"default,low-memory" default:"default"`
	Reset   bool   `help:"Where the vault keeps a record whose password and key are both lost: ask it to take this one instead. It waits (a week, unless the vault says otherwise), and the record's owner can stop it."`
	Yes     bool   `help:"Do not ask whether the 64-digit key is written down."`
	vaultFlags
	passwordFlags
}

// Run sets up in an order that a kill at any moment can not turn against the
// person: the key lies on this disk before anybody else hears of it, and a
// second run goes on with the same key.
func (c *enableCmd) Run(s *session) (err error) {
	unlock, err := s.folder.Lock()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	settings, err := c.settings(s)
	if err != nil {
		return err
	}
	vault, status, err := c.vault(settings)
	if err != nil {
		return err
	}
	if vault != nil {
		if status, err = vault.Status(s.ctx); err != nil {
			return err
		}
	}
	key, fresh, err := s.keyOrNew()
	if err != nil {
		return err
	}
	live := status.State == wire.StateLive || status.State == wire.StateExhausted
	if fresh && live && !c.Reset {
		return client.ErrLive
	}
	var password string
	if vault != nil {
		if password, err = c.chooseNew(s.term, vault.Account); err != nil {
			return err
		}
	}
	if err := s.keep(settings, &key); err != nil {
		return err
	}
	if settings.Repository.ID, err = s.makeRepository(settings.Repository.URL, &key); err != nil {
		return err
	}
	if vault != nil {
		err = s.register(vault, settings, &key, password, c.Reset)
	} else {
		err = s.showAndConfirm(&key, c.Yes)
	}
	if err != nil {
		return err
	}
	settings.Stage = folder.Enabled
	return s.enabled(settings, fresh)
}

// settings are those of the flags and the answers; those of an interrupted
// run are known already.
func (c *enableCmd) settings(s *session) (*folder.Settings, error) {
	settings, err := s.folder.Settings()
	switch {
	case err == nil && settings.Stage == folder.Enabled:
		return nil, &storyError{story{exitFailure, "enabled", "backups are already set up in " + s.folder.Path + ".", lostNothing,
			"strongroom status shows how. strongroom password and strongroom key change the way back.", nil}}
	case err == nil:
		s.term.Say("Going on with the setup that was interrupted. The key is the same.")
	case !errors.Is(err, folder.ErrEmpty):
		return nil, err
	}
	settings.Stage = folder.Pending
	if c.By != "" {
		settings.Way = folder.Way(c.By)
	}
	if settings.Way == "" {
		if settings.Way, err = s.askWay(); err != nil {
			return nil, err
		}
	}
	if c.Repo != "" {
		settings.Repository = folder.Repository{URL: c.Repo}
	}
	url, err := orAsk(s.term, settings.Repository.URL, "repo", "Where should the backup go (a folder, or s3:https://host/bucket/prefix)?")
	if err != nil {
		return nil, err
	}
	if settings.Repository.URL, err = repositoryURL(url); err != nil {
		return nil, err
	}
	if settings.Way == folder.ByPassword {
		if settings.Vault, err = c.complete(s.term, settings.Vault); err != nil {
			return nil, err
		}
		settings.Vault.Stretch = c.Stretch
	}
	return &settings, nil
}

func (s *session) askWay() (folder.Way, error) {
	s.term.Note("Your backup is encrypted. On a new phone or computer you need its key back. How?")
	s.term.Note("  1  with a password. A vault keeps the key and hands it out only for your password;")
	s.term.Note("     after ten wrong ones it destroys its copy.")
	s.term.Note("  2  with a 64-digit key that you write on paper. No server is involved.")
	return s.chooseWay()
}

// chooseWay asks until one of the two ways, told before, is chosen.
func (s *session) chooseWay() (folder.Way, error) {
	for {
		if !s.term.Interactive() {
			return "", &usageError{"--by is missing, and there is no terminal to ask on: give --by password or --by key"}
		}
		said, err := orAsk(s.term, "", "by", "1 or 2?")
		if err != nil {
			return "", err
		}
		switch said {
		case "1", "password":
			return folder.ByPassword, nil
		case "2", "key":
			return folder.ByKey, nil
		}
	}
}

func (c *enableCmd) vault(settings *folder.Settings) (*client.Vault, wire.StatusReport, error) {
	if settings.Way != folder.ByPassword {
		return nil, wire.StatusReport{}, nil
	}
	v, err := vaultAt(settings.Vault)
	return v, wire.StatusReport{}, err
}

// keyOrNew is the key of the folder, or a fresh one that lies nowhere yet.
func (s *session) keyOrNew() (k client.Key, fresh bool, err error) {
	k, err = s.folder.Key()
	if errors.Is(err, fs.ErrNotExist) {
		return client.NewKey(), true, nil
	}
	return k, false, err
}

// keep makes the key and the pending settings durable, the key first.
func (s *session) keep(settings *folder.Settings, key *client.Key) error {
	if err := s.folder.Make(); err != nil {
		return err
	}
	if err := s.folder.PutKey(*key); err != nil {
		return err
	}
	return s.folder.PutSettings(*settings)
}

// makeRepository makes the repository, or opens the one that an interrupted
// run made with this key.
func (s *session) makeRepository(url string, key *client.Key) (id string, err error) {
	st, err := s.openStore(url)
	if err != nil {
		return "", err
	}
	repo, err := backup.Create(s.ctx, st, backup.Key(*key)) // first: it completes one that was interrupted
	if errors.Is(err, backup.ErrRepository) {
		repo, err = backup.Open(s.ctx, st, backup.Key(*key))
	}
	switch {
	case errors.Is(err, backup.ErrWrongKey):
		return "", &storyError{story{exitFailure, "foreign-backup", fmt.Sprintf("%s holds a backup already, made with another key.", url), lostNothing,
			"choose an empty place, or get that backup with strongroom restore.", nil}}
	case err != nil:
		return "", storageTrouble(err)
	}
	rid := repo.ID()
	return hex.EncodeToString(rid[:]), nil
}

// storageTrouble marks an error of a store that is not one of the engine's own.
func storageTrouble(err error) error {
	if errors.Is(err, backup.ErrTarget) || errors.Is(err, backup.ErrState) {
		return err // of this machine
	}
	if errors.Is(err, store.ErrUnknown) || !errors.Is(err, backup.ErrDamaged) && !errors.Is(err, backup.ErrWrongKey) && !errors.Is(err, backup.ErrNoRepository) {
		return &storageError{err}
	}
	return err
}

// register puts the key into the vault. Replace, not Register: after a kill
// the record may be there already, under this same key.
// With reset it may have to wait there.
func (s *session) register(v *client.Vault, settings *folder.Settings, key *client.Key, password string, reset bool) error {
	id, err := hex.DecodeString(settings.Repository.ID)
	if err != nil {
		return err
	}
	s.term.Note("Putting the key into the vault, under your password ...")
	put := v.Replace
	if reset {
		put = v.Reset
	}
	status, err := put(s.ctx, password, client.Payload{Key: *key, RepositoryID: id, RepositoryURL: settings.Repository.URL})
	if err != nil {
		return err
	}
	generation := status.Generation
	if p := status.Pending; reset && p != nil && p.Generation != nil {
		generation = *p.Generation
		s.term.Note("The vault keeps its old record until %s. Then yours takes its place, unless somebody who has the old password or key stops it. Until then this machine's key, or the 64 digits (strongroom key), are your only way back.",
			clock(time.UnixMilli(int64(p.AtMillis))))
	}
	settings.Generation, settings.Vault.Layout = hex.EncodeToString(generation[:]), v.NewestLayout()
	return nil
}

// showAndConfirm shows the 64-digit key and makes sure that it is on paper.
func (s *session) showAndConfirm(key *client.Key, yes bool) error {
	if err := s.showKey(key); err != nil || yes || s.term.JSON {
		if s.term.JSON && !yes {
			return &usageError{"--yes is missing: a program must say that it keeps the key"}
		}
		return err
	}
	groups := strings.Fields(key.Reveal())
	for {
		said, err := s.term.Ask("Written down? Then type its last group of four:")
		if err != nil {
			return err
		}
		if strings.EqualFold(strings.TrimSpace(said), groups[len(groups)-1]) {
			return nil
		}
		s.term.Note("  That is not the last group. Compare your paper with the screen.")
	}
}

func (s *session) showKey(key *client.Key) error {
	if s.term.JSON {
		return s.term.Event("key", map[string]string{"key": key.Reveal()})
	}
	s.term.Say("")
	s.term.Say("Your 64-digit key. Whoever has it can read the backup; without it nobody can.")
	s.term.Say("")
	groups := strings.Fields(key.Reveal())
	for i := 0; i < len(groups); i += 4 {
		s.term.Say("    %s", strings.Join(groups[i:i+4], "  "))
	}
	s.term.Say("")
	return nil
}

// enabled writes the last settings and the card.
func (s *session) enabled(settings *folder.Settings, fresh bool) error {
	if err := s.writeCard(settings); err != nil {
		return err
	}
	s.term.Say("")
	s.term.Say("Done. Your backups are set up; the key lies in %s.", s.folder.KeyFile())
	s.term.Say("Now back something up:  strongroom backup PATH...")
	return s.term.Event("enabled", map[string]any{
		"way": settings.Way, "repository": settings.Repository.URL, "card": s.folder.Card(), "newKey": fresh,
	})
}

// writeCard makes settings and recovery card durable, and shows the card.
func (s *session) writeCard(settings *folder.Settings) error {
	if err := s.folder.PutSettings(*settings); err != nil {
		return err
	}
	card := folder.CardOf(*settings).String()
	if err := s.folder.WriteCard(card); err != nil {
		return err
	}
	s.term.Say("")
	if box := framed(card); s.term.Fits(box) {
		s.term.Say("%s", box)
	} else {
		s.term.Say("%s", card)
	}
	s.term.Say("")
	s.term.Say("Print this card or copy it off this machine. It also lies in %s.", s.folder.Card())
	return nil
}

// framed draws a box around text.
func framed(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	width := 0
	for _, line := range lines {
		width = max(width, len([]rune(line)))
	}
	rule := strings.Repeat("─", width+2)
	out := "  ┌" + rule + "┐\n"
	for _, line := range lines {
		out += "  │ " + line + strings.Repeat(" ", width-len([]rune(line))) + " │\n"
	}
	return out + "  └" + rule + "┘"
}
