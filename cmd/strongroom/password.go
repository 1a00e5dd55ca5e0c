package main

import (
	"encoding/hex"
	"errors"

	"strongroom/client"
	"strongroom/cmd/internal/folder"
)

type passwordCmd struct {
	Stretch string `help:"Work on the password: default (64 MiB) or low-memory (19 MiB, for phones)." enum:"default,low-memory" default:"default"`
	vaultFlags
	passwordFlags
}

// Run sets a password: it changes the one there is, or switches from the
// 64-digit key to one. The backup key stays, so nothing is encrypted anew.
func (c *passwordCmd) Run(s *session) (err error) {
	unlock, err := s.folder.Lock()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	settings, key, err := s.enabledFolder()
	if err != nil {
		return err
	}
	old := *settings
	if settings.Vault, err = c.complete(s.term, settings.Vault); err != nil {
		return err
	}
	settings.Vault.Stretch = c.Stretch
	v, err := vaultAt(settings.Vault)
	if err != nil {
		return err
	}
	if _, err := v.Status(s.ctx); err != nil { // before anybody thinks of a password
		return err
	}
	password, err := c.chooseNew(s.term, v.Account)
	if err != nil {
		return err
	}
	if err := s.register(v, settings, &key, password, false); err != nil {
		return err
	}
	was := old.Way
	settings.Way = folder.ByPassword
	if err := s.writeCard(settings); err != nil {
		return err
	}
	if moved(&old, settings) {
		return s.leaveVault(&old, &key)
	}
	if was == folder.ByKey {
		s.term.Say("From now on the password brings the key back. A 64-digit key on paper still opens the backup: burn it or keep it safe.")
	} else {
		s.term.Say("The password is changed; the old one opens nothing any more. The attempts are full again.")
	}
	return s.term.Event("password", map[string]any{"switched": was == folder.ByKey, "card": s.folder.Card()})
}

// moved: the record that was the way back until now is another one than the
// new one, so it is still there.
func moved(old, now *folder.Settings) bool {
	return old.Way == folder.ByPassword && (old.Vault.Pin != now.Vault.Pin || old.Vault.Account != now.Vault.Account)
}

// leaveVault deletes the record that a move left behind. Attack: a person
// changes password and vault because somebody knows the old one, hears that
// it opens nothing any more, and the old record waits for its guess. Only the
// very record of the old settings goes: where old and new name one fleet, the
// record there is the new one already.
func (s *session) leaveVault(old *folder.Settings, key *client.Key) error {
	left, err := s.deleteGeneration(old, key)
	if err != nil {
		return &storyError{story{exitWarnings, "old-record", "the new password is set. The record at " + old.Vault.URL + ", account " + old.Vault.Account + ", could not be deleted: " + sentence(err),
			lostNothing, "the old password may still open the backup there. Ask that vault's operator to delete the record.", nil}}
	}
	if left {
		s.term.Say("The password is set at the new vault. The record at the old one is deleted: the old password opens nothing any more.")
	} else {
		s.term.Say("The password is set at the new vault. The old one keeps no record of this backup any more.")
	}
	return s.term.Event("password", map[string]any{"switched": false, "moved": true, "card": s.folder.Card()})
}

func (s *session) deleteGeneration(old *folder.Settings, key *client.Key) (deleted bool, err error) {
	v, err := vaultAt(old.Vault)
	if err != nil {
		return false, err
	}
	status, err := v.Status(s.ctx)
	if err != nil || old.Generation != hex.EncodeToString(status.Generation[:]) {
		return false, err
	}
	_, err = v.Delete(s.ctx, *key)
	return err == nil, err
}
