package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"strongroom/cmd/internal/serve"
	"strongroom/protocol/bundle"
)

type tokenCommand struct {
	dataFlag
	Account string        `help:"The account's name." required:"" env:"STRONGROOM_ACCOUNT" placeholder:"NAME"`
	TTL     time.Duration `name:"ttl" help:"How long the tokens are good." env:"STRONGROOM_TTL" default:"${ttl}"`
}

// Help is shown by token --help.
func (*tokenCommand) Help() string {
	return `Prints JSON with two tokens: one opens the relay, the other travels only inside the sealed channel. Whoever has both can use up the account's attempts, so hand them over in private.

Example:

  strongroomd token --account alice > alice.tokens`
}

func (c *tokenCommand) Run(s streams) error {
	tokens, err := serve.IssueTokens(c.Data, c.Account, c.TTL, time.Now())
	if err != nil {
		return err
	}
	return writeJSON(s, tokens)
}

type fleetCommand struct {
	dataFlag
	JSON bool `name:"json" help:"For programs."`
}

func (c *fleetCommand) Run(s streams) error {
	document, f, err := serve.ReadFleet(c.Data)
	if err != nil {
		return err
	}
	pin := bundle.PinOf(document)
	lifetime := time.Duration(f.Policy.TicketMillis) * time.Millisecond
	if c.JSON {
		return writeJSON(s, map[string]any{
			"pin": pin.String(), "island": pin.IslandName(), "id": hex.EncodeToString(f.ID[:]), "suite": serve.SuiteName(f.Suite), "kem": f.KEM,
			"attempts": f.Policy.Attempts, "lifetime_attempts": f.Policy.Lifetime, "reset_seconds": f.Policy.ResetMillis / 1000, "waits": serve.WaitsText(f.Policy.WaitsMillis), "ticket_seconds": lifetime.Seconds(),
			"status_key": hex.EncodeToString(f.Status), "alert_key": hex.EncodeToString(f.Alert), "hsm": f.HSM, "isolation": f.Isolation, "rollback": f.Rollback, "issuers": f.Issuers,
		})
	}
	fmt.Fprintf(s.out, "fleet pin        %s\n", pin)
	fmt.Fprintf(s.out, "island           %s: its name, for strongroomd relay and layout\n", pin.IslandName())
	if f.Founder != (bundle.Pin{}) {
		fmt.Fprintf(s.out, "founder          %s: the pin that clients check\n", f.Founder)
	}
	fmt.Fprintf(s.out, "fleet id         %x (the audience of the vault's tokens)\n", f.ID)
	fmt.Fprintf(s.out, "attempts         %d wrong guesses, then the record is destroyed\n", f.Policy.Attempts)
	fmt.Fprintf(s.out, "in a lifetime    %s, then only its owner's key registers the account anew\n", lifetimeText(f.Policy.Lifetime))
	fmt.Fprintf(s.out, "waits            %s: before each attempt, since the one before it\n", serve.WaitsText(f.Policy.WaitsMillis))
	fmt.Fprintf(s.out, "reset delay      %s\n", resetText(f.Policy.ResetMillis))
	fmt.Fprintf(s.out, "ticket lifetime  %v\n", lifetime)
	fmt.Fprintf(s.out, "OPAQUE suite     %s\n", serve.SuiteName(f.Suite))
	fmt.Fprintf(s.out, "channel          HPKE, KEM 0x%04x\n", f.KEM)
	fmt.Fprintf(s.out, "HSM              %s\n", f.HSM)
	fmt.Fprintf(s.out, "isolation        %s: what keeps the box from its host\n", f.Isolation)
	fmt.Fprintf(s.out, "rollback         %s: what keeps used attempts from being put back\n", f.Rollback)
	fmt.Fprintf(s.out, "status key       %s\n", keyText(f.Status, "none: statuses are not signed"))
	fmt.Fprintf(s.out, "alert key        %s\n", keyText(f.Alert, "none: the vault tells its operator of no account"))
	for _, i := range f.Issuers {
		fmt.Fprintf(s.out, "issuer           %s, %s, key %s\n", i.ID, i.Alg, hex.EncodeToString(i.Key))
	}
	return nil
}

// keyText is a public key, or its hash where it is long.
func keyText(key []byte, none string) string {
	switch {
	case len(key) == 0:
		return none
	case len(key) > 65:
		return fmt.Sprintf("SHA-256 %x", sha256.Sum256(key))
	}
	return hex.EncodeToString(key)
}

func lifetimeText(n uint32) string {
	if n == 0 {
		return "no limit: this fleet was made by the first version"
	}
	return fmt.Sprintf("%d wrong guesses of an account", n)
}

func resetText(millis uint64) string {
	if millis == 0 {
		return "none: without password and key nothing is replaced or deleted"
	}
	return fmt.Sprintf("%v, then a registration or deletion without password and key happens", time.Duration(millis)*time.Millisecond)
}

type versionCommand struct{}

func (versionCommand) Run(s streams) error {
	version, revision, goVersion := serve.Build()
	_, err := fmt.Fprintf(s.out, "strongroomd %s, revision %s, %s\n", version, revision, goVersion)
	return err
}

func writeJSON(s streams, v any) error {
	e := json.NewEncoder(s.out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
