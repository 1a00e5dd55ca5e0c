package main

import (
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"syscall"

	"strongroom/cmd/internal/serve"
	"strongroom/host/relay"
)

// publicFlags are those of whatever serves a public address.
type publicFlags struct {
	Listen  string `help:"Public address. Plain HTTP is served on loopback only." env:"STRONGROOM_LISTEN" default:"${listen}" placeholder:"HOST:PORT"`
	Admin   string `help:"Address of /metrics and /healthz, or off." env:"STRONGROOM_ADMIN" default:"${admin}" placeholder:"HOST:PORT"`
	TLSCert string `name:"tls-cert" help:"TLS certificate chain, PEM; read again when it changes." env:"STRONGROOM_TLS_CERT" placeholder:"FILE"`
	TLSKey  string `name:"tls-key" help:"TLS private key, PEM." env:"STRONGROOM_TLS_KEY" placeholder:"FILE"`

	AddressPerSecond float64        `group:"limits" help:"Requests per second by one address (a /64 of IPv6)." env:"STRONGROOM_ADDRESS_PER_SECOND" default:"20"`
	AddressBurst     int            `group:"limits" help:"Requests at once by one address." env:"STRONGROOM_ADDRESS_BURST" default:"200"`
	AccountPerSecond float64        `group:"limits" help:"Requests per second for one account." env:"STRONGROOM_ACCOUNT_PER_SECOND" default:"2"`
	AccountBurst     int            `group:"limits" help:"Requests at once for one account." env:"STRONGROOM_ACCOUNT_BURST" default:"60"`
	Connections      int            `group:"limits" help:"Open connections." env:"STRONGROOM_CONNECTIONS" default:"1024"`
	InFlight         int            `group:"limits" help:"Requests inside the vault at a time." env:"STRONGROOM_IN_FLIGHT" default:"256"`
	TrustedProxy     []netip.Prefix `group:"limits" help:"Proxies whose X-Forwarded-For is believed, as CIDR." env:"STRONGROOM_TRUSTED_PROXY" placeholder:"CIDR"`

	LogFormat string `help:"text or json." env:"STRONGROOM_LOG_FORMAT" enum:"text,json" default:"text"`
	LogLevel  string `help:"debug, info, warn or error." env:"STRONGROOM_LOG_LEVEL" enum:"debug,info,warn,error" default:"info"`
}

// serveConfig is what they say.
func (c *publicFlags) serveConfig(log *slog.Logger) serve.Config {
	return serve.Config{
		Listen: c.Listen, Admin: c.Admin, CertFile: c.TLSCert, KeyFile: c.TLSKey,
		AddressRate: relay.Rate{PerSecond: c.AddressPerSecond, Burst: c.AddressBurst},
		AccountRate: relay.Rate{PerSecond: c.AccountPerSecond, Burst: c.AccountBurst},
		Connections: c.Connections, InFlight: c.InFlight, TrustedProxies: c.TrustedProxy, Log: log,
	}
}

func (c *publicFlags) logger(w io.Writer) *slog.Logger {
	var level slog.Level
	if level.UnmarshalText([]byte(c.LogLevel)) != nil {
		level = slog.LevelInfo // kong's enum lets nothing else through
	}
	options := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// untilStopped waits for the end of what serves; SIGHUP reads its TLS files
// again.
func untilStopped(v *serve.Server, log *slog.Logger) error {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	for {
		select {
		case <-hangup:
			v.ReloadCertificate()
		case <-v.Done():
			if err := v.Err(); err != nil {
				return fmt.Errorf("the vault stopped: %w. Nothing that was acknowledged is lost", err)
			}
			log.Info("stopped")
			return nil
		}
	}
}
