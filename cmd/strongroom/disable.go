package main

import (
	"errors"
	"io/fs"

	"strongroom/client"
	"strongroom/cmd/internal/folder"
)

type disableCmd struct {
	KeepRecord bool `help:"Leave the vault's record: the password can still bring the key back later."`
	Yes        bool `help:"Do not ask."`
}

// Run takes the vault's record away first, by the key's proof, then the key:
// so a vault out of reach leaves everything as it was.
func (c *disableCmd) Run(s *session) (err error) {
	unlock, err := s.folder.Lock()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	settings, err := s.folder.Settings()
	if err != nil {
		return err
	}
	key, err := s.folder.Key()
	if errors.Is(err, fs.ErrNotExist) {
		return c.withoutKey(s, &settings)
	}
	if err != nil {
		return err
	}
	if err := c.confirm(s, &settings); err != nil {
		return err
	}
	record := "none"
	switch {
	case settings.Way == folder.ByPassword && c.KeepRecord:
		record = "kept"
	case settings.Way == folder.ByPassword:
		if err := s.deleteRecord(&settings, &key); err != nil {
			return stillThere(err)
		}
		record = "deleted"
	}
	if err := s.folder.Forget(); err != nil {
		return err
	}
	s.term.Say("Disabled. What stays where:")
	for _, line := range c.leftovers(&settings) {
		s.term.Say("  - %s", line)
	}
	return s.term.Event("disabled", map[string]any{"record": record, "repository": settings.Repository.URL, "keyRemoved": s.folder.KeyFile()})
}

// stillThere tells who can not reach the vault, perhaps never again, that
// there is another way.
func stillThere(err error) error {
	if !errors.Is(err, client.ErrUnreachable) {
		return err
	}
	return &storyError{story{exitUnreachable, "vault-unreachable", sentence(err), "nothing, and nothing was changed.",
		"try again when the vault answers. strongroom disable --keep-record goes without it: the record stays, and the password still opens it.", nil}}
}

// withoutKey ends what an interrupted disable began: the key goes after the
// record and before the settings. Where the key was lost otherwise, nobody
// here can prove to the vault whose record it is.
func (c *disableCmd) withoutKey(s *session, settings *folder.Settings) error {
	if !c.Yes && !s.term.Interactive() {
		return &usageError{"--yes is missing, and there is no terminal to ask on"}
	}
	if !c.Yes {
		yes, err := s.term.Yes("The key is gone from this machine already. Remove the settings too?")
		if err != nil {
			return err
		}
		if !yes {
			return &storyError{story{Code: exitFailure, Kind: "stopped", Happened: "nothing was changed."}}
		}
	}
	if err := s.folder.Forget(); err != nil {
		return err
	}
	record := "none"
	s.term.Say("Disabled. The encrypted backup stays in %s.", settings.Repository.URL)
	if settings.Way == folder.ByPassword {
		record = "unknown"
		s.term.Say("The key was gone already. If an earlier disable was interrupted, the vault's record is deleted; else it is still there,")
		s.term.Say("and your password and the recovery card still open the backup.")
	}
	return s.term.Event("disabled", map[string]any{"record": record, "repository": settings.Repository.URL, "keyRemoved": s.folder.KeyFile()})
}

func (c *disableCmd) confirm(s *session, settings *folder.Settings) error {
	if c.Yes {
		return nil
	}
	if !s.term.Interactive() {
		return &usageError{"--yes is missing, and there is no terminal to ask on"}
	}
	s.term.Note("After this:")
	for _, line := range c.leftovers(settings) {
		s.term.Note("  - %s", line)
	}
	yes, err := s.term.Yes("Disable?")
	if err == nil && !yes {
		err = &storyError{story{Code: exitFailure, Kind: "stopped", Happened: "nothing was changed."}}
	}
	return err
}

// leftovers says what stays where.
func (c *disableCmd) leftovers(settings *folder.Settings) []string {
	var out []string
	out = append(out, "The files on this machine stay as they are.",
		"The encrypted backup stays in "+settings.Repository.URL+"; delete it there if you want it gone.")
	switch {
	case settings.Way == folder.ByPassword && c.KeepRecord:
		out = append(out, "The vault's record stays: your password still opens the backup (recovery card needed).")
	case settings.Way == folder.ByPassword:
		out = append(out, "The vault's record is deleted: the password opens nothing any more.",
			"A 64-digit key that you wrote down still opens the backup. If you have none, nobody can open it again.")
	default:
		out = append(out, "Your 64-digit key on paper still opens the backup. Without the paper nobody can open it again.")
	}
	return append(out, "The key, the settings and the recovery card on this machine are removed; other devices keep theirs.")
}
