package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"strongroom/backup"
	"strongroom/backup/pack"
	"strongroom/client"
	"strongroom/cmd/internal/folder"
	"strongroom/cmd/internal/terminal"
	"strongroom/protocol/wire"
)

// folderOrRecover is what this machine knows, or what a new machine recovers
// and then knows.
func (s *session) folderOrRecover(c *restoreCmd) (*folder.Settings, client.Key, error) {
	settings, err := s.folder.Settings()
	if err == nil {
		key, err := s.key()
		return &settings, key, err
	}
	if !errors.Is(err, folder.ErrEmpty) {
		return nil, client.Key{}, err
	}
	s.term.Note("This machine has no key yet. Getting it back first.")
	fresh, key, err := c.recover(s)
	if err != nil {
		return nil, client.Key{}, err
	}
	fresh.Stage = folder.Enabled
	if err := s.keep(fresh, &key); err != nil {
		return nil, client.Key{}, err
	}
	if err := s.folder.DropProof(); err != nil {
		return nil, client.Key{}, err
	}
	s.term.Note("The key is back and lies in %s.", s.folder.KeyFile())
	return fresh, key, s.folder.WriteCard(folder.CardOf(*fresh).String())
}

// recover gets the key by the person's way.
func (c *restoreCmd) recover(s *session) (*folder.Settings, client.Key, error) {
	card, err := c.card()
	if err != nil {
		return nil, client.Key{}, err
	}
	settings := &folder.Settings{Way: card.Way, Repository: folder.Repository{URL: card.Repository}}
	if c.By != "" {
		settings.Way = folder.Way(c.By)
	} else if c.KeyFile != "" || c.KeyStdin {
		settings.Way = folder.ByKey
	} else if c.Vault != "" {
		settings.Way = folder.ByPassword
	}
	if settings.Way == "" {
		if settings.Way, err = s.askWayBack(); err != nil {
			return nil, client.Key{}, err
		}
	}
	if settings.Way == folder.ByKey {
		key, err := c.recoverByKey(s, settings)
		return settings, key, err
	}
	if settings.Vault, err = c.complete(s.term, &folder.VaultPlace{URL: card.Vault, Pin: card.Pin, Account: card.Account}); err != nil {
		return nil, client.Key{}, err
	}
	key, err := c.recoverByPassword(s, settings)
	return settings, key, err
}

func (c *restoreCmd) card() (folder.Card, error) {
	card := folder.Card{}
	if c.Card != "" {
		b, err := os.ReadFile(c.Card)
		if err != nil {
			return card, err
		}
		if card, err = folder.ParseCard(string(b)); err != nil {
			return card, &usageError{fmt.Sprintf("%s: %v", c.Card, err)}
		}
	}
	if c.Repo != "" {
		card.Repository = c.Repo
	}
	return card, nil
}

func (s *session) askWayBack() (folder.Way, error) {
	s.term.Note("How do you get your key back?")
	s.term.Note("  1  by password, from the vault that is named on your recovery card")
	s.term.Note("  2  by the 64-digit key on your paper")
	return s.chooseWay()
}

// recoverByPassword asks the vault, again and again while a person is there
// to type and attempts are left.
func (c *restoreCmd) recoverByPassword(s *session, settings *folder.Settings) (client.Key, error) {
	v, err := vaultAt(settings.Vault)
	if err != nil {
		return client.Key{}, err
	}
	payload, status, err := s.resume(v)
	if err == nil {
		settings.Vault.Layout = v.NewestLayout()
		return c.recovered(s, settings, payload, status), nil
	}
	if !errors.Is(err, client.ErrProofStale) {
		return client.Key{}, err
	}
	if status, err = v.Status(s.ctx); err == nil {
		err = client.ErrState(status)
	}
	if err != nil {
		return client.Key{}, err
	}
	if status.WaitUntilMillis != 0 { // before anybody types a password
		return client.Key{}, &client.ErrWait{Status: status}
	}
	password, given, err := c.given(s.term)
	if err != nil {
		return client.Key{}, err
	}
	if !given {
		s.term.Note("Attempts left: %s. The right password sets them back.", attempts(status))
		if status.Wrong > 0 {
			s.term.Note("%s.", wrongWords(status))
		}
	}
	for {
		if !given {
			if password, err = s.term.Secret("Password (not shown):"); err != nil {
				return client.Key{}, err
			}
		}
		payload, status, err := s.guess(v, password)
		var wrong *client.ErrWrongPassword
		if errors.As(err, &wrong) && !given && wrong.AttemptsLeft > 0 {
			s.term.Note("  Wrong password. %s left of %d.", terminal.Count(wrong.AttemptsLeft, "attempt"), wrong.Status.Limit)
			if waitUntil(wrong.Status).IsZero() {
				continue
			}
			return client.Key{}, &client.ErrWait{Status: wrong.Status}
		}
		if err != nil {
			return client.Key{}, err
		}
		settings.Vault.Layout = v.NewestLayout()
		return c.recovered(s, settings, payload, status), nil
	}
}

// recovered notes what came with the key, and tells of the wrong attempts
// that were made before: the person knows whose they are.
func (c *restoreCmd) recovered(s *session, settings *folder.Settings, p client.Payload, status wire.StatusReport) client.Key {
	if status.WrongBefore > 0 {
		s.term.Note("Before the right password: %s. If that was not you, somebody tried.", wrongBefore(status))
	}
	settings.Generation = hex.EncodeToString(status.Generation[:])
	settings.Repository.ID = hex.EncodeToString(p.RepositoryID)
	if c.Repo == "" { // the sealed record is the better witness than a card
		settings.Repository.URL = p.RepositoryURL
	}
	return p.Key
}

// errRightButLost: the password was right, and the proof of it is kept.
var errRightButLost = errors.New("the password was right, but the vault's last answer got lost on the way")

// resume goes on with a recovery that an earlier run could not end, free of
// charge. client.ErrProofStale: there is none that is of use.
func (s *session) resume(v *client.Vault) (client.Payload, wire.StatusReport, error) {
	proof := s.folder.Proof()
	if proof == nil {
		return client.Payload{}, wire.StatusReport{}, client.ErrProofStale
	}
	s.term.Note("The password was right the last time; only the vault's answer got lost. Asking for it again, no attempt is used.")
	payload, status, err := v.Resume(s.ctx, proof)
	switch {
	case errors.Is(err, client.ErrProofStale):
		return payload, status, errors.Join(err, s.folder.DropProof())
	case errors.Is(err, client.ErrOutcomeUnknown):
		err = errRightButLost
	}
	return payload, status, err
}

// guess makes one guess; while a person is there, a lost answer is asked for
// again, free of charge.
func (s *session) guess(v *client.Vault, password string) (client.Payload, wire.StatusReport, error) {
	r, err := v.Begin(password)
	if err != nil {
		return client.Payload{}, wire.StatusReport{}, err
	}
	for {
		payload, status, err := r.Run(s.ctx)
		if !errors.Is(err, client.ErrOutcomeUnknown) {
			if r.Stays() != nil {
				s.term.Note("The vault is moving this account to other machines of its own. That goes on by itself, the next time.")
			}
			return payload, status, err
		}
		if s.term.Interactive() && s.ctx.Err() == nil {
			if again, err := s.term.Yes("The vault's answer got lost. Ask again? It is the same attempt, free of charge."); err == nil && again {
				continue
			}
		}
		if proof := r.Proof(); proof != nil {
			err = errors.Join(errRightButLost, s.keepProof(proof))
		}
		return payload, status, err
	}
}

// keepProof lets the next run go on with this attempt: without it, who drops
// every last answer would have a person with the right password spend them all.
func (s *session) keepProof(p *client.Proof) error {
	if err := s.folder.Make(); err != nil {
		return err
	}
	return s.folder.PutProof(p)
}

// recoverByKey reads the 64-digit key and puts small slips right against the
// repository's check value.
func (c *restoreCmd) recoverByKey(s *session, settings *folder.Settings) (client.Key, error) {
	said, err := orAsk(s.term, settings.Repository.URL, "repo", "Where does the backup lie (the line Backup on the card)?")
	if err != nil {
		return client.Key{}, err
	}
	if settings.Repository.URL, err = repositoryURL(said); err != nil {
		return client.Key{}, err
	}
	st, err := s.openStore(settings.Repository.URL)
	if err != nil {
		return client.Key{}, err
	}
	for {
		text, given, err := c.keyText(s)
		if err != nil {
			return client.Key{}, err
		}
		typed, err := client.ParseKey(text)
		if err == nil {
			raw := [client.KeyBytes]byte(typed)
			var right [client.KeyBytes]byte
			right, err = pack.CorrectKey(s.ctx, st, &raw)
			if err == nil {
				if right != raw {
					s.term.Note("The key had a small slip; it was put right.")
				}
				return client.Key(right), nil
			}
		}
		if given || !errors.Is(err, client.ErrKeyText) && !errors.Is(err, backup.ErrWrongKey) {
			if !errors.Is(err, client.ErrKeyText) {
				err = storageTrouble(err)
			}
			return client.Key{}, err
		}
		s.term.Note("  %v. Nothing counts the tries here; look at it group by group.", err)
	}
}

func (c *restoreCmd) keyText(s *session) (text string, given bool, err error) {
	switch {
	case c.KeyStdin:
		b, err := readText(s.term.In)
		return b, true, err
	case c.KeyFile != "":
		file, err := os.Open(c.KeyFile)
		if err != nil {
			return "", true, err
		}
		defer file.Close()
		b, err := readText(file)
		return b, true, err
	}
	text, err = orAsk(s.term, "", "key-file", "Your 64-digit key, in one line (16 groups of four):")
	return text, false, err
}

func readText(r io.Reader) (string, error) {
	b, err := io.ReadAll(io.LimitReader(r, passwordFileBytesMax))
	return string(b), err
}
