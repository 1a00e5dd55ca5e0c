package serve

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"strongroom/host/relay"
	"strongroom/hsm/soft"
	"strongroom/protocol/wire"
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
	Data     string // the data folder; made where it is missing
	Existing bool   // make no vault: an empty folder is ErrNoVault
	Listen   string // public address; "" is ListenDefault, port 0 any
	Admin    string // address of /metrics and /healthz; "" is AdminDefault, "off" none

	PeerListen   string       // address for the other boxes' nodes; "" is what island.json says
	PeerListener net.Listener // for tests: instead of it, closed by Stop

	CertFile, KeyFile string // TLS; without them Listen must be a loopback address

	Passphrase     []byte // of the HSM; nil and no file: one is made in the data folder (soft), or none needed (tpm)
	PassphraseFile string

	HSM     string // "soft", "pkcs11" or "tpm"; "" is soft for a new fleet, else the fleet's
	Token   Token  // where the HSM is pkcs11
	TPMPath string // where it is tpm: device or unix socket; "" is tpm.PathDefault

	// Where the box runs: BoxInside, BoxProcess, or "" for what the fleet's
	// document says (BoxInside for a new one). BoxCommand starts its process;
	// nil is this program with cell.Command.
	Box        string
	BoxCommand []string

	// Taken when the fleet is made; later anything but zero or the same is refused.
	Attempts       int           // 1 to AttemptsMax
	TicketLifetime time.Duration // how long the second trip of an operation may take
	Waits          string        // between attempts; "" is WaitsDefault, WaitsNone none
	Lifetime       int           // wrong attempts of an account in all, Attempts to LifetimeMax
	Epoch          time.Duration // after which what was deleted is shredded
	ResetDelay     time.Duration // how long a registration or deletion without proof waits
	Suite          string        // SuiteP256 or SuiteRistretto255
	IssuerKeys     []string      // files with public keys; none: a built-in issuer

	Alerts Alerts // of accounts, to the operator; Alerts.Key as the rules above

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

	AnswerWithin time.Duration // the relay's patience; 0 is its own
}

func (c Config) withDefaults() Config {
	if c.Listen == "" {
		c.Listen = ListenDefault
	}
	if c.Admin == "" {
		c.Admin = AdminDefault
	}
	if c.Connections == 0 {
		c.Connections = relay.ConnectionsMax
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// places is InFlight with the watches that the box holds on top: they take no
// login's place.
func (c *Config) places() int {
	if c.InFlight == 0 {
		return 0 // the default of node and relay
	}
	return c.InFlight + wire.WatchersMax
}

// limits refuses limits under which nothing would be served.
func (c *Config) limits() error {
	for _, r := range []relay.Rate{c.AddressRate, c.AccountRate} {
		if r != (relay.Rate{}) && (r.PerSecond <= 0 || r.Burst < 1) {
			return fmt.Errorf("%w: a limit of %v requests per second and %d at once would serve nobody. Both must be above zero", ErrUsage, r.PerSecond, r.Burst)
		}
	}
	if c.InFlight < 0 || c.Connections < 1 {
		return fmt.Errorf("%w: --in-flight %d and --connections %d must be above zero", ErrUsage, c.InFlight, c.Connections)
	}
	return c.Alerts.check()
}
