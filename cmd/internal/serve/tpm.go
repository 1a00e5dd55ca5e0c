package serve

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"strongroom/hsm/tpm"
	"strongroom/vault/hal"
)

// createTPM makes the HSM of a new vault in a TPM.
func (c *Config) createTPM(at string) (hal.HAL, error) {
	if c.Suite == SuiteRistretto255 {
		return nil, fmt.Errorf("%w: a TPM knows P-256 only. Leave --suite out, or give --hsm soft", ErrPolicy)
	}
	o, err := c.tpmOptions()
	if err != nil {
		return nil, err
	}
	h, err := tpm.Create(filepath.Join(at, hsmName), o)
	if err != nil {
		return nil, tpmFault(err)
	}
	return h, nil
}

// tpmOptions: the passphrase of a TPM is its owner's password.
func (c *Config) tpmOptions() (tpm.Options, error) {
	owner, err := c.givenPassphrase()
	return tpm.Options{Path: c.TPMPath, OwnerAuth: owner}, err
}

// removeHSM gives a TPM the room back that an interrupted founding took.
func (c *Config) removeHSM(dir string) error {
	o, err := c.tpmOptions()
	if err != nil {
		return err
	}
	err = tpm.Remove(dir, o)
	if errors.Is(err, tpm.ErrMissing) || errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

func (f *folder) openTPM(c *Config) (hal.HAL, error) {
	o, err := c.tpmOptions()
	if err != nil {
		return nil, err
	}
	h, err := tpm.Open(f.vault(hsmName), o)
	if err != nil {
		return nil, tpmFault(err)
	}
	return h, nil
}

// tpmFault says what to do about a TPM that makes or opens nothing.
func tpmFault(err error) error {
	switch {
	case errors.Is(err, hal.ErrSecret):
		return fmt.Errorf("%w: for a TPM it is the owner's password, and the TPM refuses it. Nothing was changed; set STRONGROOM_PASSPHRASE or give --passphrase-file: %w", ErrPassphrase, err)
	case errors.Is(err, hal.ErrGone):
		return fmt.Errorf("the TPM can not be reached. Nothing was changed; see that it is on and that this user may open it (--tpm-path, %s unless given): %w", tpm.PathDefault, err)
	case errors.Is(err, hal.ErrFull):
		return err
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}
