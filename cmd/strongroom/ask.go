package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"strongroom/client"
	"strongroom/cmd/internal/folder"
	"strongroom/cmd/internal/storage"
	"strongroom/cmd/internal/terminal"
	"strongroom/protocol/bundle"
	"strongroom/protocol/wire"
	"strongroom/store"
)

const passwordFileBytesMax = 4 << 10

// vaultFlags say which record at which vault.
type vaultFlags struct {
	Vault   string `help:"Address of the vault (https://...)." placeholder:"URL"`
	Pin     string `help:"The vault's pin, as its operator shows it." placeholder:"PIN"`
	Account string `help:"Your account's name." placeholder:"NAME"`
	Tokens  string `help:"File with the account's tokens." placeholder:"FILE" type:"path"`
}

// passwordFlags say where a password comes from when nobody can be asked. A
// password is never an argument: every process on the machine sees those.
type passwordFlags struct {
	PasswordFile  string `help:"Read the password from this file (its first line)." placeholder:"FILE" type:"path" xor:"password"`
	PasswordStdin bool   `help:"Read the password from standard input (its first line)." xor:"password"`
}

// given is the password of the flags; false when they name none.
func (f passwordFlags) given(t *terminal.Terminal) (string, bool, error) {
	switch {
	case f.PasswordStdin:
		line, err := firstLine(t.In)
		return line, true, err
	case f.PasswordFile != "":
		file, err := os.Open(f.PasswordFile)
		if err != nil {
			return "", true, err
		}
		defer file.Close()
		line, err := firstLine(file)
		return line, true, err
	}
	return "", false, nil
}

func firstLine(r io.Reader) (string, error) {
	b, err := io.ReadAll(io.LimitReader(r, passwordFileBytesMax))
	line, _, _ := strings.Cut(string(b), "\n")
	return strings.TrimSuffix(line, "\r"), err
}

// chooseNew gets a new password: from the flags, or typed twice.
func (f passwordFlags) chooseNew(t *terminal.Terminal, account string) (string, error) {
	password, ok, err := f.given(t)
	if ok || err != nil {
		return password, errors.Join(err, client.CheckPassword(password, account))
	}
	for {
		first, err := t.Secret("New password (at least 8 characters, not shown):")
		if err != nil {
			return "", err
		}
		if err := client.CheckPassword(first, account); err != nil {
			t.Note("  %v", err)
			continue
		}
		again, err := t.Secret("The same password once more:")
		if err != nil {
			return "", err
		}
		if first == again {
			return first, nil
		}
		t.Note("  These two differ. Once more from the start.")
	}
}

// orAsk is value, or the answer to question when value is empty.
func orAsk(t *terminal.Terminal, value, flag, question string) (string, error) {
	if value != "" {
		return value, nil
	}
	if !t.Interactive() {
		return "", &usageError{fmt.Sprintf("--%s is missing, and there is no terminal to ask on", flag)}
	}
	for {
		said, err := t.Ask(question)
		if err != nil {
			return "", err
		}
		if said = strings.TrimSpace(said); said != "" {
			return said, nil
		}
	}
}

// complete asks for what the flags leave open.
func (f vaultFlags) complete(t *terminal.Terminal, known *folder.VaultPlace) (*folder.VaultPlace, error) {
	if known == nil {
		known = &folder.VaultPlace{}
	}
	p := *known
	for _, field := range []struct {
		into                 *string
		flag, name, question string
	}{
		{&p.URL, f.Vault, "vault", "Vault address:"},
		{&p.Pin, f.Pin, "pin", "Vault pin:"},
		{&p.Account, f.Account, "account", "Account name:"},
		{&p.Tokens, f.Tokens, "tokens", "File with the account's tokens:"},
	} {
		if field.flag != "" {
			*field.into = field.flag
		}
		said, err := orAsk(t, *field.into, field.name, field.question)
		if err != nil {
			return nil, err
		}
		*field.into = said
	}
	if p.Tokens != "" {
		absolute, err := filepath.Abs(p.Tokens)
		if err != nil {
			return nil, err
		}
		p.Tokens = absolute
	}
	return &p, nil
}

// vaultAt is the client of a record.
func vaultAt(p *folder.VaultPlace) (*client.Vault, error) {
	pin, err := bundle.ParsePin(p.Pin)
	if err != nil {
		return nil, &usageError{fmt.Sprintf("the vault's pin is mistyped: %v", err)}
	}
	v := &client.Vault{URL: p.URL, Pin: pin, Account: p.Account, Tokens: client.TokenFile(p.Tokens), LayoutSeen: p.Layout}
	switch p.Stretch {
	case "", stretchDefault:
		v.Stretch = client.StretchDefault
	case stretchLowMemory:
		v.Stretch = client.StretchLowMemory
	default:
		return nil, &usageError{fmt.Sprintf("no stretch is called %q", p.Stretch)}
	}
	return v, nil
}

// Names of password stretches.
const (
	stretchDefault   = "default"
	stretchLowMemory = "low-memory"
)

// openStore opens the storage of a URL.
func (s *session) openStore(url string) (store.Store, error) {
	if err := s.limits.Check(); err != nil {
		return nil, &usageError{err.Error()}
	}
	st, err := storage.Open(url, storage.Options{Limits: s.limits, Notice: func(w store.Wait) { s.term.Wait(store.Brief(w.Err), w.For) }})
	if err != nil {
		return nil, &storageError{store.Classed(store.Refused, err)}
	}
	return st, nil
}

// repositoryURL gives a plain path its scheme, so that it means the same from
// every working directory.
func repositoryURL(said string) (string, error) {
	scheme, rest, found := strings.Cut(said, ":")
	switch {
	case !found || strings.Contains(scheme, "/"):
		rest = said
	case scheme == "file":
		rest = strings.TrimPrefix(rest, "//")
	default:
		return said, nil
	}
	absolute, err := filepath.Abs(rest)
	return "file:" + absolute, err
}

// attempts tells of a status's count.
func attempts(st wire.StatusReport) string {
	return fmt.Sprintf("%d of %d", st.Left, st.Limit)
}
