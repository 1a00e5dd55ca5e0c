package serve

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"strongroom/host/peer"
	"strongroom/protocol/bundle"
	"strongroom/protocol/wire"
	"strongroom/vault"
	"strongroom/vault/hal"
)

// Founding is what c says of a new fleet's rules. Issuers are those of
// c.IssuerKeys: there may be none yet.
func (c *Config) Founding() (f vault.Founding, err error) {
	if f.Policy, err = c.policy(); err != nil {
		return f, err
	}
	if f.Suite, err = c.suite(); err != nil {
		return f, err
	}
	if f.Isolation, err = c.isolation(); err != nil {
		return f, err
	}
	f.Rollback = c.rollback()
	f.Issuers, err = readIssuers(c.IssuerKeys)
	return f, err
}

// NewBox is the data folder of one box of an island, in the making. Until
// Finish the folder has no vault, and Abandon leaves none.
type NewBox struct {
	HAL hal.HAL  // its HSM, with nothing in it
	Pin peer.Pin // of its node's key

	folder   *folder
	config   *Config
	at       string
	finished bool
}

// CreateBox makes the folder c.Data, which must hold no vault, and the HSM
// that c says.
func CreateBox(c Config) (b *NewBox, err error) {
	c = c.withDefaults()
	b = &NewBox{config: &c}
	if b.folder, err = openFolder(c.Data); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			b.folder.close()
		}
	}()
	if err := CheckEmpty(c.Data); err != nil {
		return nil, err
	}
	if b.at, err = b.folder.startFounding(&c); err != nil {
		return nil, err
	}
	if b.Pin, err = MakeNodeKey(filepath.Join(b.at, NodeKeyName)); err != nil {
		return nil, err
	}
	b.HAL, err = c.createHSM(b.at)
	return b, err
}

// CheckEmpty refuses a data folder that is in use; it may be missing.
func CheckEmpty(data string) error {
	if _, err := os.Lstat(data); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err := ours(data); err != nil {
		return err
	}
	if _, err := os.Lstat(filepath.Join(data, vaultName)); err == nil {
		return fmt.Errorf("%w: %s holds a vault already. Give an empty or new folder", ErrUsage, data)
	}
	return nil
}

// Rollback is what keeps the HSM's memory from being put back.
func (b *NewBox) Rollback() string { return b.config.rollback() }

// MakeIssuer makes a built-in issuer, whose private key lies in this folder
// alone.
func (b *NewBox) MakeIssuer() (bundle.Issuer, error) {
	return makeIssuer(filepath.Join(b.at, issuerName))
}

// AlertKey is the public half of the alert key that c.Alerts says.
func (b *NewBox) AlertKey() ([]byte, error) { return b.config.Alerts.found(b.at) }

// Finish writes what a box needs and puts the vault in its place, whole. founder
// is the founder's document, of an island that joins one.
func (b *NewBox) Finish(document, island, islandFile, founder []byte) error {
	if err := b.HAL.Close(); err != nil {
		return err
	}
	files := map[string][]byte{fleetName: document, islandName: island, IslandFileName: islandFile}
	if founder != nil {
		l, err := CheckLayouts(bundle.PinOf(founder), &wire.Layouts{Founder: founder, Islands: [][]byte{document}})
		if err != nil {
			return err
		}
		files[LayoutsName] = l.bytes
	}
	for name, content := range files {
		if err := WriteDurable(filepath.Join(b.at, name), content); err != nil {
			return err
		}
	}
	b.finished = true
	defer b.folder.close()
	return b.folder.finishFounding(b.at)
}

// Abandon takes away what was made in the folder, also after Finish: an island
// whose other boxes were not made has no use for it. What a token was given
// stays in it: its vendor's tool empties it.
func (b *NewBox) Abandon() error {
	defer b.folder.close()
	err := errors.Join(b.HAL.Close(), b.config.removeHSM(filepath.Join(b.at, hsmName)), os.RemoveAll(b.at))
	if b.finished {
		err = errors.Join(err, os.RemoveAll(b.folder.vault("")))
	}
	return err
}
