package serve

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
)

// passphraseBytesMin is the least that an operator's passphrase must have.
const passphraseBytesMin = 12

// givenPassphrase is what the operator gave: by environment or by file. It is
// nil when nothing was given.
func (c *Config) givenPassphrase() ([]byte, error) {
	given := c.Passphrase
	if c.PassphraseFile != "" {
		if given != nil {
			return nil, fmt.Errorf("%w is given twice. Give it by environment or by file", ErrPassphrase)
		}
		read, err := os.ReadFile(c.PassphraseFile)
		if err != nil {
			return nil, fmt.Errorf("%w can not be read: %w", ErrPassphrase, err)
		}
		given = bytes.TrimRight(read, "\r\n")
	}
	if given != nil && len(given) < passphraseBytesMin {
		return nil, fmt.Errorf("%w has %d bytes, it must have at least %d", ErrPassphrase, len(given), passphraseBytesMin)
	}
	return given, nil
}

// foundingPassphrase is the passphrase of a new HSM. Where none is given it
// makes one and leaves it in the folder: that protects against nothing but a
// stray copy of single files, and serve says so at every start.
func (c *Config) foundingPassphrase(path string) ([]byte, error) {
	given, err := c.givenPassphrase()
	if err != nil || given != nil {
		return given, err
	}
	made := []byte(rand.Text() + rand.Text())
	return made, WriteDurable(path, append(made, '\n'))
}

// openingPassphrase is the passphrase of the HSM that is there, and whether
// it lies beside it.
func (c *Config) openingPassphrase(path string) (passphrase []byte, beside bool, err error) {
	given, err := c.givenPassphrase()
	if err != nil || given != nil {
		return given, false, err
	}
	made, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, false, fmt.Errorf("%w is missing. This vault was made with one of your own: set STRONGROOM_PASSPHRASE or give --passphrase-file", ErrPassphrase)
	}
	return bytes.TrimRight(made, "\n"), true, err
}
