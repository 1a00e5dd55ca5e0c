package serve

import (
	"log/slog"
	"net/netip"
	"time"

	"strongroom/host/relay"
	"strongroom/hsm/soft"
	"strongroom/vault/hal"
)

// Where a vault listens when nothing else is said.
const (
	ListenDefault = "127.0.0.1:8640"
	AdminDefault  = "127.0.0.1:8641"
	AdminOff      = "off" // no admin address
)

// Config is all that Start is told. Only Data is needed.
type Config struct {
	Data   string // the data folder; made where it is missing
	Listen string // public address; "" is ListenDefault, port 0 any
	Admin  string // address of /metrics and /healthz; "" is AdminDefault, "off" none

	CertFile, KeyFile string // TLS; without them Listen must be a loopback address

	Passphrase     []byte // of the HSM; nil and no file: one is made in the data folder
	PassphraseFile string

	// Taken when the fleet is made; later anything but zero or the same is refused.
	Attempts       int           // 1 to AttemptsMax
	TicketLifetime time.Duration // how long the second trip of an operation may take
	Suite          string        // SuiteP256 or SuiteRistretto255
	IssuerKeys     []string      // files with public keys; none: a built-in issuer

	AddressRate, AccountRate relay.Rate // zero: the relay's
	InFlight                 int
	Connections              int
	TrustedProxies           []netip.Prefix

	Log *slog.Logger

	// For tests: an HSM of their own around ours, and how dear its
	// passphrase is.
	WrapHAL func(hal.HAL) hal.HAL
	Stretch soft.Stretch
	Workers int // the box's goroutines; 0 is one a core
}
