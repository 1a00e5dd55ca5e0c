package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"strongroom/cmd/internal/ceremony"
	"strongroom/cmd/internal/serve"
	"strongroom/cmd/internal/terminal"
	"strongroom/protocol/bundle"
)

// custodianPassphraseEnv is the environment variable of the passphrase of a
// custodian's key file.
const custodianPassphraseEnv = "STRONGROOM_CUSTODIAN_PASSPHRASE"

type custodianCommand struct {
	New  newCustodianCommand `cmd:"" help:"Make a custodian's key."`
	Sign signCommand         `cmd:"" help:"Sign a transcript, the order for a cold start, or a layout."`
}

type newCustodianCommand struct {
	Name           string `arg:"" help:"The custodian's name, for people."`
	Out            string `help:"Folder for the two files." type:"path" default:"." placeholder:"FOLDER"`
	PassphraseFile string `help:"File with the passphrase; without it you are asked, or STRONGROOM_CUSTODIAN_PASSPHRASE is taken." type:"existingfile" placeholder:"FILE"`
}

// Help is shown by custodian new --help.
func (*newCustodianCommand) Help() string {
	return `Makes NAME.key, sealed by a passphrase (an age file: keep it, on paper or a stick, where no vault is), and NAME.card.json, which the ceremony's plan names.

Example:

  strongroomd custodian new anna`
}

func (c *newCustodianCommand) Run(s streams) error {
	passphrase, err := custodianPassphrase("New passphrase for "+c.Name+":", c.PassphraseFile)
	if err != nil {
		return err
	}
	custodian, file, err := ceremony.NewCustodian(c.Name, passphrase, 0)
	if err != nil {
		return err
	}
	card, err := json.MarshalIndent(custodian.Card, "", "  ")
	if err != nil {
		return err
	}
	key, public := filepath.Join(c.Out, c.Name+".key"), filepath.Join(c.Out, c.Name+".card.json")
	if err := writeNew(key, file, 0o600); err != nil {
		return err
	}
	if err := writeNew(public, append(card, '\n'), 0o644); err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "%s holds the private half under the passphrase, %s the public one.\n", key, public)
	return err
}

type signCommand struct {
	File           string `arg:"" help:"The transcript, order or layout." type:"existingfile"`
	Key            string `help:"The custodian's key file." required:"" type:"existingfile" placeholder:"FILE"`
	PassphraseFile string `help:"File with its passphrase; without it you are asked, or STRONGROOM_CUSTODIAN_PASSPHRASE is taken." type:"existingfile" placeholder:"FILE"`
}

// Help is shown by custodian sign --help.
func (*signCommand) Help() string {
	return `Checks the file, shows what it says, and adds this custodian's signature to it.

Example:

  strongroomd custodian sign ceremony/transcript.json --key anna.key`
}

func (c *signCommand) Run(s streams) error {
	text, err := os.ReadFile(c.File)
	if err != nil {
		return err
	}
	paper, err := readPaper(text)
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	if err := paper.show(s); err != nil {
		return err
	}
	custodian, err := openCustodian(c.Key, c.PassphraseFile)
	if err != nil {
		return err
	}
	if err := paper.sign(custodian); err != nil {
		return err
	}
	if text, err = paper.encode(); err != nil {
		return err
	}
	if err := serve.ReplaceFile(c.File, text); err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "\n%s signed; %d of %d have, and %d must.\n", custodian.Card.Name, paper.signed(), len(paper.fleet.Custodians), paper.fleet.Quorum)
	return err
}

// paper is whatever custodians sign.
type paper struct {
	fleet  *bundle.Fleet
	show   func(streams) error
	sign   func(*ceremony.Custodian) error
	encode func() ([]byte, error)
	signed func() int
}

// readPaper tells by its fields what a file is.
func readPaper(text []byte) (p paper, err error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return p, fmt.Errorf("%w: it is no transcript, order or layout: %w", serve.ErrUsage, err)
	}
	if fields["body"] != nil {
		t, fleet, err := ceremony.ParseTranscript(text)
		if err != nil {
			return p, err
		}
		return paper{
			fleet: fleet, encode: t.Encode, signed: func() int { return len(t.Custodians) },
			show: func(s streams) error { showTranscript(s, t, fleet); return nil },
			sign: func(c *ceremony.Custodian) error { return t.Sign(fleet, c) },
		}, nil
	}
	if fields["next"] != nil {
		l, founder, err := ceremony.ParseLayout(text)
		if err != nil {
			return p, err
		}
		return paper{
			fleet: founder, encode: l.Encode, signed: func() int { return len(l.Signatures) }, sign: l.Sign,
			show: func(s streams) error { return showLayout(s, l) },
		}, nil
	}
	o, fleet, err := ceremony.ParseOrder(text)
	if err != nil {
		return p, err
	}
	return paper{
		fleet: fleet, encode: o.Encode, signed: func() int { return len(o.Signatures) }, sign: o.Sign,
		show: func(s streams) error { return showOrder(s, o) },
	}, nil
}

// openCustodians opens key files. A single passphrase file is for all of them.
func openCustodians(keys, passphrases []string) (open []*ceremony.Custodian, err error) {
	if len(passphrases) > 1 && len(passphrases) != len(keys) {
		return nil, fmt.Errorf("%w: %d files for %d keys", ceremony.ErrPassphrase, len(passphrases), len(keys))
	}
	for i, key := range keys {
		passphrase := ""
		if len(passphrases) > 0 {
			passphrase = passphrases[min(i, len(passphrases)-1)]
		}
		c, err := openCustodian(key, passphrase)
		if err != nil {
			return nil, err
		}
		open = append(open, c)
	}
	return open, nil
}

func openCustodian(key, passphraseFile string) (*ceremony.Custodian, error) {
	file, err := os.ReadFile(key)
	if err != nil {
		return nil, err
	}
	passphrase, err := custodianPassphrase("Passphrase of "+key+":", passphraseFile)
	if err != nil {
		return nil, err
	}
	c, err := ceremony.OpenCustodian(file, passphrase)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return c, nil
}

func custodianPassphrase(question, file string) ([]byte, error) {
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("%w can not be read: %w", ceremony.ErrPassphrase, err)
		}
		return bytes.TrimRight(text, "\r\n"), nil
	}
	if given, found := os.LookupEnv(custodianPassphraseEnv); found {
		return []byte(given), nil
	}
	asked := terminal.Standard(false)
	asked.Ctx = context.Background()
	said, err := asked.Secret(question)
	if errors.Is(err, terminal.ErrNoAnswer) {
		return nil, fmt.Errorf("%w is missing: set %s, give --passphrase-file, or run this at a terminal", ceremony.ErrPassphrase, custodianPassphraseEnv)
	}
	return []byte(said), err
}
