package main

import (
	"errors"

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
	if err := s.register(v, settings, key, password); err != nil {
		return err
	}
	was := settings.Way
	settings.Way = folder.ByPassword
	if err := s.writeCard(settings); err != nil {
		return err
	}
	if was == folder.ByKey {
		s.term.Say("From now on the password brings the key back. A 64-digit key on paper still opens the backup: burn it or keep it safe.")
	} else {
		s.term.Say("The password is changed; the old one opens nothing any more. The attempts are full again.")
	}
	return s.term.Event("password", map[string]any{"switched": was == folder.ByKey, "card": s.folder.Card()})
}
