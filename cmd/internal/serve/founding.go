package serve

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"strongroom/hsm/soft"
	"strongroom/protocol/bundle"
	"strongroom/protocol/opaque"
	"strongroom/vault"
)

// The policy of a fleet for which nothing else is said.
const (
	AttemptsMax           = 10
	LifetimeMax           = 100 // wrong attempts of an account in all
	TicketLifetimeDefault = 2 * time.Minute
	ResetDelayDefault     = 7 * 24 * time.Hour
	EpochDefault          = 24 * time.Hour
	epochMin              = time.Minute
	epochMax              = 30 * 24 * time.Hour
	resetDelayMin         = time.Second // for trying
	resetDelayMax         = 90 * 24 * time.Hour
	ticketLifetimeMin     = 10 * time.Second
	ticketLifetimeMax     = 10 * time.Minute
)

// found makes the fleet: its HSM, document, island keys and issuer.
func (f *folder) found(c *Config) error {
	founding, err := c.Founding()
	if err != nil {
		return err
	}
	at, err := f.startFounding(c)
	if err != nil {
		return err
	}
	if len(founding.Issuers) == 0 {
		own, err := makeIssuer(filepath.Join(at, issuerName))
		if err != nil {
			return err
		}
		founding.Issuers = []bundle.Issuer{own}
	}
	if founding.Alert, err = c.Alerts.found(at); err != nil {
		return err
	}
	if err := c.foundAt(at, founding); err != nil {
		return err
	}
	return f.finishFounding(at)
}

// startFounding gives the folder that becomes the vault when it is whole.
func (f *folder) startFounding(c *Config) (at string, err error) {
	at = filepath.Join(f.path, foundingName)
	// What an interrupted founding left was never announced to anybody.
	if err := errors.Join(c.removeHSM(filepath.Join(at, hsmName)), os.RemoveAll(at)); err != nil {
		return "", err
	}
	for _, name := range []string{"", hsmName, logName, recordsName} {
		if err := os.Mkdir(filepath.Join(at, name), 0o700); err != nil {
			return "", err
		}
	}
	return at, nil
}

// finishFounding puts it in its place.
func (f *folder) finishFounding(at string) error {
	if err := syncFolder(at); err != nil {
		return err
	}
	if err := os.Rename(at, filepath.Join(f.path, vaultName)); err != nil {
		return err
	}
	return syncFolder(f.path)
}

func (c *Config) foundAt(at string, founding vault.Founding) error {
	h, err := c.createHSM(at)
	if err != nil {
		return err
	}
	document, island, err := vault.Make(h, founding)
	if err = errors.Join(err, h.Close()); err != nil {
		return err
	}
	return errors.Join(WriteDurable(filepath.Join(at, fleetName), document), WriteDurable(filepath.Join(at, islandName), island))
}

func (c *Config) stretch() soft.Stretch {
	if c.Stretch == (soft.Stretch{}) {
		return soft.Default
	}
	return c.Stretch
}

func (c *Config) policy() (bundle.Policy, error) {
	attempts, lifetime := c.Attempts, c.TicketLifetime
	if attempts == 0 {
		attempts = AttemptsMax
	}
	if lifetime == 0 {
		lifetime = TicketLifetimeDefault
	}
	if attempts < 1 || attempts > AttemptsMax {
		return bundle.Policy{}, fmt.Errorf("%w: --attempts must be from 1 to %d", ErrPolicy, AttemptsMax)
	}
	if lifetime < ticketLifetimeMin || lifetime > ticketLifetimeMax {
		return bundle.Policy{}, fmt.Errorf("%w: --ticket-lifetime must be from %v to %v", ErrPolicy, ticketLifetimeMin, ticketLifetimeMax)
	}
	between, err := waits(c.Waits, attempts)
	if err != nil {
		return bundle.Policy{}, err
	}
	reset := c.ResetDelay
	if reset == 0 {
		reset = ResetDelayDefault
	}
	if reset < resetDelayMin || reset > resetDelayMax {
		return bundle.Policy{}, fmt.Errorf("%w: --reset-delay must be from %v to %v", ErrPolicy, resetDelayMin, resetDelayMax)
	}
	epoch := c.Epoch
	if epoch == 0 {
		epoch = EpochDefault
	}
	if epoch < epochMin || epoch > epochMax {
		return bundle.Policy{}, fmt.Errorf("%w: --epoch must be from %v to %v", ErrPolicy, epochMin, epochMax)
	}
	ever := c.Lifetime
	if ever == 0 {
		ever = LifetimeMax
	}
	if ever < attempts || ever > LifetimeMax {
		return bundle.Policy{}, fmt.Errorf("%w: --lifetime-attempts must be from %d, as many as --attempts, to %d", ErrPolicy, attempts, LifetimeMax)
	}
	return bundle.Policy{
		Attempts: uint8(attempts), TicketMillis: uint64(lifetime.Milliseconds()), WaitsMillis: between, Lifetime: uint32(ever),
		ResetMillis: uint64(reset.Milliseconds()), EpochMillis: uint64(epoch.Milliseconds()),
	}, nil
}

// EpochOf is how long a fleet's epochs last. Documents of First light say
// nothing: a day.
func EpochOf(f *bundle.Fleet) time.Duration {
	if f.Policy.EpochMillis == 0 {
		return EpochDefault
	}
	return time.Duration(f.Policy.EpochMillis) * time.Millisecond
}

func (c *Config) suite() (*opaque.Suite, error) {
	switch c.Suite {
	case "", SuiteP256:
		return opaque.P256SHA256, nil
	case SuiteRistretto255:
		return opaque.Ristretto255SHA512, nil
	}
	return nil, fmt.Errorf("%w: --suite must be %s or %s", ErrPolicy, SuiteP256, SuiteRistretto255)
}

// sameFleet refuses flags that would be another fleet: limits, suite and
// issuers stand in the document that clients pin, and nothing raises them.
func (c *Config) sameFleet(f *bundle.Fleet) error {
	differs := func(flag string, is, asked any) error {
		return fmt.Errorf("%w: %s says %v, this fleet was made with %v. Leave the flag out, or make a new fleet in another data folder", ErrPolicy, flag, asked, is)
	}
	if c.Attempts != 0 && c.Attempts != int(f.Policy.Attempts) {
		return differs("--attempts", f.Policy.Attempts, c.Attempts)
	}
	lifetime := time.Duration(f.Policy.TicketMillis) * time.Millisecond
	if c.TicketLifetime != 0 && c.TicketLifetime != lifetime {
		return differs("--ticket-lifetime", lifetime, c.TicketLifetime)
	}
	if c.Lifetime != 0 && c.Lifetime != int(f.Policy.Lifetime) {
		return differs("--lifetime-attempts", f.Policy.Lifetime, c.Lifetime)
	}
	if delay := time.Duration(f.Policy.ResetMillis) * time.Millisecond; c.ResetDelay != 0 && c.ResetDelay != delay {
		return differs("--reset-delay", delay, c.ResetDelay)
	}
	if epoch := EpochOf(f); c.Epoch != 0 && c.Epoch != epoch {
		return differs("--epoch", epoch, c.Epoch)
	}
	if c.Waits != "" {
		asked, err := waits(c.Waits, int(f.Policy.Attempts))
		if err != nil {
			return err
		}
		if !slices.Equal(asked, f.Policy.WaitsMillis) {
			return differs("--waits", WaitsText(f.Policy.WaitsMillis), c.Waits)
		}
	}
	if c.Suite != "" {
		suite, err := c.suite()
		if err != nil {
			return err
		}
		if suite.ID() != f.Suite {
			return differs("--suite", SuiteName(f.Suite), c.Suite)
		}
	}
	if err := c.Alerts.sameFleet(f); err != nil {
		return err
	}
	if len(c.IssuerKeys) == 0 {
		return nil
	}
	issuers, err := readIssuers(c.IssuerKeys)
	if err != nil {
		return err
	}
	same := len(issuers) == len(f.Issuers)
	for i := 0; same && i < len(issuers); i++ {
		same = issuers[i].Alg == f.Issuers[i].Alg && bytes.Equal(issuers[i].Key, f.Issuers[i].Key)
	}
	if !same {
		return fmt.Errorf("%w: --issuer-key gives other keys than this fleet was made with. Leave the flag out, or make a new fleet in another data folder", ErrPolicy)
	}
	return nil
}

// The suites by name.
const (
	SuiteP256         = "p256"
	SuiteRistretto255 = "ristretto255"
)

// SuiteName is the name of a suite for a person.
func SuiteName(id uint8) string {
	switch id {
	case opaque.P256SHA256.ID():
		return SuiteP256
	case opaque.Ristretto255SHA512.ID():
		return SuiteRistretto255
	}
	return fmt.Sprintf("unknown (%d)", id)
}
