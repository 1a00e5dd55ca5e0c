package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"strongroom/cmd/internal/cell"
	"strongroom/cmd/internal/serve"
	"strongroom/hsm/soft"
	"strongroom/hsm/tpm"
)

type serveCommand struct {
	dataFlag
	publicFlags
	Existing   bool   `help:"Make no vault where there is none: for services, which must not make a fleet that nobody knows over an empty disk." env:"STRONGROOM_EXISTING"`
	PeerListen string `help:"Address for the nodes of the island's other boxes (TLS, both sides pinned); island.json says it unless given." env:"STRONGROOM_PEER_LISTEN" placeholder:"HOST:PORT"`

	PassphraseFile string `help:"File with the HSM's passphrase. Without it and STRONGROOM_PASSPHRASE one is made in the data folder." env:"STRONGROOM_PASSPHRASE_FILE" placeholder:"FILE"`

	HSM          string `help:"soft (unless given), pkcs11 or tpm; fixed when the fleet is made." env:"STRONGROOM_HSM" placeholder:"soft"`
	PKCS11Module string `name:"pkcs11-module" help:"The token vendor's PKCS#11 library." env:"STRONGROOM_PKCS11_MODULE" placeholder:"FILE"`
	PKCS11Token  string `name:"pkcs11-token" help:"Label of the token." env:"STRONGROOM_PKCS11_TOKEN" placeholder:"LABEL"`
	TPMPath      string `name:"tpm-path" help:"Device or unix socket of the TPM (/dev/tpmrm0 unless given). Its owner's password, if it has one, is given as passphrase." env:"STRONGROOM_TPM_PATH" placeholder:"PATH"`
	PINFile      string `name:"pin-file" help:"File with the token's PIN, read at each login; else STRONGROOM_PIN." env:"STRONGROOM_PIN_FILE" placeholder:"FILE"`

	Box string `help:"Where the box runs: inside this process, or in a process of its own behind a wall (Linux). Unless given, as the fleet was made: inside." env:"STRONGROOM_BOX" enum:"inside,process," default:"" placeholder:"inside|process"`

	Attempts       int           `group:"rules" help:"Wrong guesses before a record is destroyed, 1 to 10 (10 unless given)." env:"STRONGROOM_ATTEMPTS"`
	TicketLifetime time.Duration `group:"rules" help:"How long one recovery may take (2m unless given)." env:"STRONGROOM_TICKET_LIFETIME" placeholder:"2m"`
	Lifetime       int           `name:"lifetime-attempts" group:"rules" help:"Wrong guesses of an account in all its records, up to 100 (100 unless given); then only its owner's key can register it." env:"STRONGROOM_LIFETIME_ATTEMPTS"`
	Waits          string        `group:"rules" help:"How long each attempt waits after the one before it, or none, for trying (0,0,0,0,0,1m,10m,1h,4h,24h unless given)." env:"STRONGROOM_WAITS" placeholder:"LIST"`
	Epoch          time.Duration `group:"rules" help:"How long an epoch lasts: what was deleted, destroyed or replaced in one is shredded, on every copy of the disk, when the HSM destroys its key in the next (24h unless given)." env:"STRONGROOM_EPOCH" placeholder:"24h"`
	ResetDelay     time.Duration `group:"rules" help:"How long a registration or deletion without password and key waits, so that the owner can stop it (168h unless given)." env:"STRONGROOM_RESET_DELAY" placeholder:"168h"`
	Suite          string        `group:"rules" help:"OPAQUE suite: p256 (unless given) or ristretto255." env:"STRONGROOM_SUITE" placeholder:"p256"`
	IssuerKey      []string      `group:"rules" help:"Public key of an account issuer, PEM or JWK set; may be repeated. Without it the vault issues tokens itself." env:"STRONGROOM_ISSUER_KEY" placeholder:"FILE"`

	AlertKey        string `group:"alerts" help:"When the fleet is made: file with the public half of the operator's alert key, or none. Without it a pair is made, its private half in the data folder." env:"STRONGROOM_ALERT_KEY" placeholder:"FILE"`
	AlertPrivateKey string `group:"alerts" help:"File with the private half, if it is not in the data folder; the webhook needs it." env:"STRONGROOM_ALERT_PRIVATE_KEY" placeholder:"FILE"`
	AlertWebhook    string `group:"alerts" help:"Address that every attempt, recovery, reset, deletion and destruction is posted to as JSON, at least once; https, or this machine." env:"STRONGROOM_ALERT_WEBHOOK" placeholder:"URL"`
	AlertTokenFile  string `group:"alerts" help:"File with a bearer token for the webhook." env:"STRONGROOM_ALERT_TOKEN_FILE" placeholder:"FILE"`
}

// Help is shown by serve --help.
func (*serveCommand) Help() string {
	return `Makes the vault at the first start; serves until SIGINT or SIGTERM; SIGHUP reads the TLS files again.

The rules (attempts, in all too, waits, reset delay, ticket lifetime, suite, issuers) are fixed when the fleet is made: they stand in the document that clients pin, and nothing raises them later.

Examples:

  strongroomd serve
  strongroomd serve --data /var/lib/strongroom --listen :443 --tls-cert chain.pem --tls-key key.pem --passphrase-file /run/secrets/hsm
  strongroomd serve --hsm pkcs11 --pkcs11-module /usr/lib/softhsm/libsofthsm2.so --pkcs11-token vault --pin-file /run/secrets/pin
  strongroomd serve --issuer-key accounts.jwks
  strongroomd serve --alert-webhook https://alerts.example.org/strongroom --alert-token-file /run/secrets/alerts`
}

func (c *serveCommand) Run(s streams) error {
	log := c.logger(s.err)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	v, err := serve.Start(ctx, c.config(log))
	if err != nil {
		return err
	}
	greet(s.out, v)
	log.Info("serving", "url", v.URL, "admin", v.AdminURL, "pin", v.Pin.String(), "data", v.Data)
	return untilStopped(v, log)
}

func (c *serveCommand) config(log *slog.Logger) serve.Config {
	config := c.serveConfig(log)
	config.Data, config.Existing, config.PassphraseFile, config.Box, config.PeerListen = c.Data, c.Existing, c.PassphraseFile, c.Box, c.PeerListen
	config.HSM, config.TPMPath = c.HSM, c.TPMPath
	config.Token = serve.Token{Module: c.PKCS11Module, Label: c.PKCS11Token, PINFile: c.PINFile}
	config.Attempts, config.Lifetime, config.Waits, config.ResetDelay = c.Attempts, c.Lifetime, c.Waits, c.ResetDelay
	config.TicketLifetime, config.Epoch, config.Suite, config.IssuerKeys = c.TicketLifetime, c.Epoch, c.Suite, c.IssuerKey
	config.Alerts = serve.Alerts{Key: c.AlertKey, PrivateKey: c.AlertPrivateKey, Webhook: c.AlertWebhook, TokenFile: c.AlertTokenFile}
	if passphrase, given := os.LookupEnv(passphraseEnv); given {
		config.Passphrase = []byte(passphrase)
		os.Unsetenv(passphraseEnv)
	}
	return config
}

type boxCommand struct{}

func (boxCommand) Run() error { return cell.Run(nil) }

const passphraseEnv = "STRONGROOM_PASSPHRASE"

// greet says to a person what runs, what it is worth and what to type next.
func greet(w io.Writer, v *serve.Server) {
	what := "The vault of this folder is open."
	if v.Founded {
		what = "A new vault was made."
	}
	fmt.Fprintf(w, "%s\n\n", what)
	fmt.Fprintf(w, "  address    %s\n", v.URL)
	if v.AdminURL != "" {
		fmt.Fprintf(w, "  admin      %s/metrics, /healthz\n", v.AdminURL)
	}
	fmt.Fprintf(w, "  fleet pin  %s\n", v.Pin)
	fmt.Fprintf(w, "  data       %s\n", v.Data)
	if v.BoxPID != 0 {
		fmt.Fprintf(w, "  box        process %d; the kernel gave: %s\n", v.BoxPID, strings.Join(v.Walls, ", "))
	}
	if len(v.Fleet.Alert) > 0 {
		fmt.Fprintf(w, "  alerts     strongroomd alerts --data %s --follow, or --alert-webhook\n", v.Data)
	}
	fmt.Fprintf(w, "  rules      %d attempts, then the record is destroyed\n", v.Fleet.Policy.Attempts)
	if n := v.Fleet.Policy.Lifetime; n > 0 {
		fmt.Fprintf(w, "             %d wrong ones in an account's life, then only its owner's key registers it anew\n", n)
	}
	fmt.Fprintf(w, "             waits between them: %s\n", serve.WaitsText(v.Fleet.Policy.WaitsMillis))
	fmt.Fprintf(w, "             what is deleted or destroyed is shredded when its epoch ends, every %v\n\n", serve.EpochOf(v.Fleet))
	switch v.Fleet.HSM {
	case soft.Kind:
		greetSoft(w, v)
	case tpm.Kind:
		fmt.Fprint(w, "The HSM is a TPM: its keys never leave it, and an older copy of the data folder is refused. Whoever is\n"+
			"root on this machine can use the keys while he is. The TPM's memory is written at every commit, and real\n"+
			"ones wear out after some 100,000 writes: not for a busy vault.\n")
	default:
		fmt.Fprintf(w, "The HSM is a token (%s): its keys never enter the data folder, and an older copy of that folder is\n"+
			"refused. Whoever has this machine and the PIN can guess while he has the token; a token in software is\n"+
			"worth what its files are.\n", v.Fleet.HSM)
	}
	if v.OwnIssuer {
		fmt.Fprintf(w, "\nNext, in another terminal, tokens for an account:\n\n  strongroomd token --data %s --account NAME > NAME.tokens\n\n", v.Data)
		return
	}
	fmt.Fprint(w, "\nAccount tokens come from your own issuer: two for each account, one with audience \"relay\", one with\n"+
		"the fleet's id (strongroomd fleet shows it).\n\n")
}

// greetSoft says what a software HSM is worth.
func greetSoft(w io.Writer, v *serve.Server) {
	fmt.Fprint(w, "The HSM is software: its keys are a file in the data folder, sealed by a passphrase. Whoever has folder\n"+
		"and passphrase can guess without limit, and whoever puts an older copy of the folder back gets used\n"+
		"attempts back. Keep the folder off shared backups.\n")
	if v.Beside {
		fmt.Fprint(w, "WARNING: no passphrase was given, so one was made and lies in the same folder. It protects against\n"+
			"nothing but a stray copy of single files. For real use, set STRONGROOM_PASSPHRASE or --passphrase-file\n"+
			"when the vault is made.\n")
	}
}
