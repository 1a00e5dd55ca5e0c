package main

import (
	"fmt"
	"os"
	"path/filepath"
	"text/tabwriter"

	"strongroom/cmd/internal/ceremony"
	"strongroom/cmd/internal/serve"
	"strongroom/protocol/bundle"
)

type ceremonyCommand struct {
	Hold   holdCommand   `cmd:"" default:"withargs" help:"Make the island of a plan."`
	Verify verifyCommand `cmd:"" help:"Check a ceremony's transcript."`

	Replace replaceCommand `cmd:"" help:"Make a box that takes the place of one that is lost for good."`
	Admit   admitCommand   `cmd:"" help:"Tell the nodes of the other boxes of it, while they run."`
}

type holdCommand struct {
	Plan           string   `arg:"" help:"The plan, a JSON file." type:"existingfile"`
	Out            string   `help:"New folder for the transcript, and for the copy of the keys that custodians share (ceremony, beside the plan, unless given)." type:"path" placeholder:"FOLDER"`
	DryRun         bool     `help:"Do all of it with throwaway keys in a temporary folder, say what would be made, and leave nothing."`
	CustodianKey   []string `help:"Key file of a custodian who is here and signs at once; may be repeated." type:"existingfile" placeholder:"FILE"`
	PassphraseFile []string `help:"File with the passphrase of the custodian's key file of the same place in order; without it you are asked, or STRONGROOM_CUSTODIAN_PASSPHRASE is taken." type:"existingfile" placeholder:"FILE"`
}

// Help is shown by ceremony --help.
func (*holdCommand) Help() string {
	return `Makes each box's HSM and identity, the island's keys in the first box's HSM, moves them, wrapped, into the others, locks them, and writes one data folder a box. When it fails, no box has a vault.

The plan:

  {
    "boxes": [
      {"name": "amber", "data": "amber", "address": "10.0.0.1:8650"},
      {"name": "birch", "data": "birch", "address": "10.0.0.2:8650", "hsm": "pkcs11", "pkcs11_module": "/usr/lib/softhsm/libsofthsm2.so", "pkcs11_token": "birch", "pin_file": "birch.pin"},
      {"name": "cedar", "data": "cedar", "address": "10.0.0.3:8650", "passphrase_file": "cedar.passphrase"}
    ],
    "rules": {"attempts": 10, "reset_delay": "168h", "issuer_keys": ["accounts.jwks"]},
    "custodians": ["anna.card.json", "ben.card.json", "carla.card.json"], "quorum": 2
  }

With "founder": "FILE" (vault/fleet.cbor of a box of the fleet's first island) instead of rules and alert_key it is another island of that fleet, with the founder's rules and issuers, and boxes and custodians of its own. strongroomd layout new then brings it into the fleet.

All boxes have one kind of HSM: soft (unless given) or pkcs11. Rules are those of strongroomd serve by the same names, and can not be changed later. Soft HSMs take the passphrase in STRONGROOM_PASSPHRASE, where they have no passphrase_file.

Examples:

  strongroomd ceremony plan.json --dry-run
  strongroomd ceremony plan.json
  strongroomd ceremony verify ceremony/transcript.json`
}

func (c *holdCommand) Run(s streams) error {
	plan, text, err := ceremony.ReadPlan(c.Plan)
	if err != nil {
		return err
	}
	options := ceremony.Options{Out: c.Out, Tell: func(step ceremony.Step) { tellStep(s, step) }}
	if options.Out == "" {
		options.Out = filepath.Join(filepath.Dir(c.Plan), "ceremony")
	}
	if passphrase, given := os.LookupEnv(passphraseEnv); given {
		options.Passphrase = []byte(passphrase)
		os.Unsetenv(passphraseEnv)
	}
	if c.DryRun {
		r, err := ceremony.Rehearse(plan, text, options)
		if err != nil {
			return err
		}
		fmt.Fprint(s.out, "\nDry run: nothing of this is left, and the keys will be others. What would be made:\n\n")
		showPlan(s, plan, r)
		return nil
	}
	if options.Custodians, err = openCustodians(c.CustodianKey, c.PassphraseFile); err != nil {
		return err
	}
	r, err := ceremony.Hold(plan, text, options)
	if err != nil {
		return fmt.Errorf("the ceremony failed, and no box has a vault: %w", err)
	}
	fmt.Fprint(s.out, "\nThe island is made.\n\n")
	showPlan(s, plan, r)
	path := filepath.Join(options.Out, ceremony.TranscriptName)
	fmt.Fprintf(s.out, "transcript   %s\n", path)
	if missing := plan.Quorum - len(options.Custodians); missing > 0 {
		fmt.Fprintf(s.out, "\n%d more custodians must sign it, each with:\n\n  strongroomd custodian sign %s --key FILE\n", missing, path)
	}
	fmt.Fprintf(s.out, "\nNext: carry each data folder to its machine, over a line that nobody reads, then\n\n  strongroomd serve --data FOLDER\n\n")
	return nil
}

func tellStep(s streams, step ceremony.Step) {
	if step.Box != "" {
		fmt.Fprintf(s.err, "%s: %s\n", step.Box, step.Did)
		return
	}
	fmt.Fprintln(s.err, step.Did)
}

func showPlan(s streams, p *ceremony.Plan, r *ceremony.Result) {
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "fleet pin\t%s\n", r.Transcript.Body.Pin)
	fmt.Fprintf(w, "fleet id\t%x\n", r.Fleet.ID)
	for i, b := range p.Boxes {
		fmt.Fprintf(w, "box\t%s\t%s\t%s\t%s\t%s\n", b.Name, r.Fleet.Boxes[i].ID(), b.HSM, b.Address, b.Data)
	}
	for _, c := range r.Transcript.Body.Custodians {
		fmt.Fprintf(w, "custodian\t%s\t%s\n", c.Name, c.Sign)
	}
	w.Flush()
	showRules(s, r.Fleet)
}

func showRules(s streams, f *bundle.Fleet) {
	fmt.Fprintf(s.out, "quorum       %d of %d custodians\n", f.Quorum, len(f.Custodians))
	fmt.Fprintf(s.out, "rules        %d attempts, %d in a lifetime; waits %s\n", f.Policy.Attempts, f.Policy.Lifetime, serve.WaitsText(f.Policy.WaitsMillis))
	fmt.Fprintf(s.out, "isolation    %s\n", f.Isolation)
}

type verifyCommand struct {
	Transcript string `arg:"" help:"The transcript." type:"existingfile"`
	Pin        string `help:"The fleet's pin as you know it." placeholder:"PIN"`
	Program    string `help:"A strongroomd of your own building: its digest must be the transcript's." type:"existingfile" placeholder:"FILE"`
	JSON       bool   `name:"json" help:"For programs."`
}

// Help is shown by ceremony verify --help.
func (*verifyCommand) Help() string {
	return `Checks that the transcript is whole, that every box of the document signed it with its identity key, and that enough of the document's custodians did. Trust in it comes from knowing a custodian's key, or the pin.

Example:

  strongroomd ceremony verify ceremony/transcript.json --pin 1A2B3C-...`
}

func (c *verifyCommand) Run(s streams) error {
	text, err := os.ReadFile(c.Transcript)
	if err != nil {
		return err
	}
	t, fleet, err := ceremony.ParseTranscript(text)
	if err != nil {
		return err
	}
	if err := t.CheckCustodians(fleet); err != nil {
		return err
	}
	if c.Pin != "" {
		pin, err := bundle.ParsePin(c.Pin)
		if err != nil {
			return err
		}
		if _, err := pin.Check(t.Body.Document); err != nil {
			return err
		}
	}
	if c.Program != "" {
		digest, err := ceremony.DigestOfFile(c.Program)
		if err != nil {
			return err
		}
		if digest != t.Body.Program.SHA256 {
			return fmt.Errorf("%w: it was held with another program: SHA-256 %s, and %s has %s", ceremony.ErrTranscript, t.Body.Program.SHA256, c.Program, digest)
		}
	}
	if c.JSON {
		return writeJSON(s, t.Body)
	}
	showTranscript(s, t, fleet)
	return nil
}

func showTranscript(s streams, t *ceremony.Transcript, f *bundle.Fleet) {
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "fleet pin\t%s\n", t.Body.Pin)
	fmt.Fprintf(w, "program\t%s, revision %s, %s\n", t.Body.Program.Version, t.Body.Program.Revision, t.Body.Program.Go)
	fmt.Fprintf(w, "\tSHA-256 %s\n", t.Body.Program.SHA256)
	for _, b := range t.Body.Boxes {
		fmt.Fprintf(w, "box\t%s\t%s\t%s\t%s\n", b.Name, b.Box, b.HSM, b.Address)
	}
	signed := map[int]string{}
	for _, c := range t.Custodians {
		signed[c.Custodian] = "signed"
	}
	for i, c := range t.Body.Custodians {
		fmt.Fprintf(w, "custodian\t%s\t%s\t%s\n", c.Name, c.Sign, signed[i+1])
	}
	w.Flush()
	showRules(s, f)
	for _, step := range t.Body.Steps {
		fmt.Fprintf(s.out, "%s  %s: %s\n", step.At.Format("2006-01-02 15:04:05Z"), step.Box, step.Did)
	}
	fmt.Fprintf(s.out, "\nThe transcript holds: %d boxes signed, %d of %d custodians signed.\n", len(t.BoxSignatures), len(t.Custodians), len(f.Custodians))
}
