package main

import (
	"errors"

	"strongroom/client"
	"strongroom/cmd/internal/folder"
)

type keyCmd struct {
	Only bool `help:"From now on only this key brings the backup back: delete the vault's record."`
	Yes  bool `help:"Do not ask whether the key is written down."`
}

// Run shows the key; with --only it makes it the only way back. The record is
// deleted last, when the person has the key on paper.
func (c *keyCmd) Run(s *session) (err error) {
	unlock, err := s.folder.Lock()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	settings, key, err := s.enabledFolder()
	if err != nil {
		return err
	}
	if !c.Only {
		return s.showKey(&key)
	}
	if err := s.showAndConfirm(&key, c.Yes); err != nil {
		return err
	}
	if settings.Vault != nil {
		if err := s.deleteRecord(settings, &key); err != nil {
			return err
		}
	}
	settings.Way, settings.Generation = folder.ByKey, ""
	if err := s.writeCard(settings); err != nil {
		return err
	}
	s.term.Say("From now on only the 64-digit key brings the backup back. The vault's record is deleted.")
	return s.term.Event("key-only", map[string]any{"card": s.folder.Card()})
}

// deleteRecord deletes the vault's record, proven by the key.
func (s *session) deleteRecord(settings *folder.Settings, key *client.Key) error {
	v, err := vaultAt(settings.Vault)
	if err != nil {
		return err
	}
	_, err = v.Delete(s.ctx, *key)
	return err
}
