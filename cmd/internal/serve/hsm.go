package serve

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"

	"strongroom/cmd/internal/cell"
	"strongroom/hsm/pkcs11"
	"strongroom/hsm/soft"
	"strongroom/hsm/tpm"
	"strongroom/protocol/wire"
	"strongroom/vault/hal"
)

// PINEnv is the environment variable of the token's PIN.
const PINEnv = "STRONGROOM_PIN"

// Token says which PKCS#11 token the vault's HSM is.
type Token struct {
	Module  string // path of the vendor's library
	Label   string
	PINFile string // "": the PIN is in the environment variable PINEnv
}

func (t Token) config() pkcs11.Config {
	c := pkcs11.Config{Module: t.Module, Token: t.Label, PIN: pkcs11.PINEnv(PINEnv)}
	if t.PINFile != "" {
		c.PIN = pkcs11.PINFile(t.PINFile)
	}
	return c
}

// rollback is what keeps the durable memory from being put back, as the fleet
// document says it.
func (c *Config) rollback() string {
	switch c.HSM {
	case pkcs11.Kind:
		return "token"
	case tpm.Kind:
		return "tpm"
	}
	return "file"
}

// createHSM makes the HSM of a new vault.
func (c *Config) createHSM(at string) (hal.HAL, error) {
	switch c.HSM {
	case "", soft.Kind:
		passphrase, err := c.foundingPassphrase(filepath.Join(at, passphraseName))
		if err != nil {
			return nil, err
		}
		return soft.Create(filepath.Join(at, hsmName), passphrase, c.stretch())
	case pkcs11.Kind:
		if c.Suite == SuiteRistretto255 {
			return nil, fmt.Errorf("%w: a PKCS#11 token knows P-256 only. Leave --suite out, or give --hsm soft", ErrPolicy)
		}
		h, err := pkcs11.Create(c.Token.config())
		if errors.Is(err, pkcs11.ErrExists) {
			return nil, fmt.Errorf("%w: the token %q holds a vault's keys already, and records may live by them. Give the data folder of that vault, or another token; a token that no vault needs is made empty by its vendor's tool: %w", ErrUsage, c.Token.Label, err)
		}
		return h, tokenError(err)
	case tpm.Kind:
		return c.createTPM(at)
	}
	return nil, fmt.Errorf("%w: --hsm must be %s, %s or %s", ErrUsage, soft.Kind, pkcs11.Kind, tpm.Kind)
}

// openHSM opens the HSM of the vault that is there, which is of the kind that
// the fleet document says.
func (f *folder) openHSM(c *Config, kind string) (h hal.HAL, beside bool, err error) {
	if c.HSM != "" && c.HSM != kind {
		return nil, false, fmt.Errorf("%w: --hsm says %s, this fleet was made with %s. Leave the flag out, or make a new fleet in another data folder", ErrPolicy, c.HSM, kind)
	}
	switch kind {
	case pkcs11.Kind:
		h, err = pkcs11.Open(c.Token.config())
		err = tokenError(err)
	case tpm.Kind:
		h, err = f.openTPM(c)
	default:
		h, beside, err = f.openSoft(c)
	}
	if err != nil {
		return nil, false, err
	}
	if c.WrapHAL != nil {
		h = c.WrapHAL(h)
	}
	return h, beside, nil
}

// tokenError says what to do about a token that does not open.
func tokenError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, pkcs11.ErrPIN), errors.Is(err, hal.ErrSecret):
		return fmt.Errorf("%w or PIN: %w. Nothing was changed; set %s or give --pin-file", ErrPassphrase, err, PINEnv)
	case errors.Is(err, pkcs11.ErrNotBuilt):
		return fmt.Errorf("%w: %w", ErrUsage, err)
	case errors.Is(err, pkcs11.ErrMissing):
		return fmt.Errorf("%w: %w. Give the token that this vault was made with", ErrDamaged, err)
	}
	return fmt.Errorf("%w: the HSM does not open: %w. Look at --pkcs11-module and --pkcs11-token", ErrUsage, err)
}

// namedHSM says to a box in its own process which HSM to open: it stands in
// another folder, so the paths are whole.
func (f *folder) namedHSM(c *Config, kind string) (h wire.HSM, beside bool, err error) {
	h.Provider = kind
	if h.Place, err = filepath.Abs(f.vault(hsmName)); err != nil {
		return h, false, err
	}
	if kind != tpm.Kind {
		h.Secret, beside, err = c.openingPassphrase(f.vault(passphraseName))
		return h, beside, err
	}
	if h.Device, err = filepath.Abs(cmp.Or(c.TPMPath, tpm.PathDefault)); err != nil {
		return h, false, err
	}
	h.Secret, err = c.givenPassphrase()
	return h, false, err
}

func (f *folder) openSoft(c *Config) (h hal.HAL, beside bool, err error) {
	passphrase, beside, err := c.openingPassphrase(f.vault(passphraseName))
	if err != nil {
		return nil, false, err
	}
	h, err = cell.Open(wire.HSM{Provider: soft.Kind, Place: f.vault(hsmName), Secret: passphrase})
	if errors.Is(err, hal.ErrSecret) {
		return nil, false, wrongPassphrase(err)
	}
	if err != nil {
		return nil, false, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return h, beside, nil
}
