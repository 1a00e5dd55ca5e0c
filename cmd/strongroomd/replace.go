package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"strongroom/cmd/internal/ceremony"
	"strongroom/cmd/internal/serve"
	"strongroom/hsm/soft"
	"strongroom/protocol/wire"
)

type replaceCommand struct {
	Transcript string `arg:"" help:"The transcript of the ceremony that made the island; the copy of the keys and the custodians' shares lie beside it." type:"existingfile"`
	Lost       string `help:"The box that is lost: its name, or its id (strongroomd status shows both)." required:"" placeholder:"NAME"`
	Name       string `help:"Name of the new box, for people." required:""`
	Data       string `help:"Its data folder, empty or new." required:"" type:"path" placeholder:"FOLDER"`
	Address    string `help:"Where its node listens for the others; the lost one's may be taken again." required:"" placeholder:"HOST:PORT"`
	Listen     string `help:"Where it listens, if that is another address." placeholder:"HOST:PORT"`

	Island string `help:"island.json of a box that is there, as it is today. Without it boxes are where the transcript says: right for the first box that is ever replaced, if no address has changed." type:"existingfile" placeholder:"FILE"`
	Out    string `help:"Where the file goes of which the other nodes are told (NAME.island.json beside the transcript, unless given)." type:"path" placeholder:"FILE"`

	Founder string `help:"Document of the fleet's first island (vault/fleet.cbor of any of its boxes), if this island joined it." type:"existingfile" placeholder:"FILE"`

	CustodianKey   []string `help:"Key file of a custodian who is here; as many as the quorum says." required:"" type:"existingfile" placeholder:"FILE"`
	PassphraseFile []string `help:"File with the passphrase of the custodian's key file of the same place in order; without it you are asked, or STRONGROOM_CUSTODIAN_PASSPHRASE is taken." type:"existingfile" placeholder:"FILE"`

	HSM               string `help:"soft or pkcs11: the kind that the island has (its own, unless given)." placeholder:"soft"`
	HSMPassphraseFile string `name:"hsm-passphrase-file" help:"File with the passphrase of the new box's soft HSM. Without it and STRONGROOM_PASSPHRASE one is made in the data folder." type:"existingfile" placeholder:"FILE"`
	PKCS11Module      string `name:"pkcs11-module" help:"The token vendor's PKCS#11 library." placeholder:"FILE"`
	PKCS11Token       string `name:"pkcs11-token" help:"Label of the new box's token." placeholder:"LABEL"`
	PINFile           string `name:"pin-file" help:"File with the token's PIN; else STRONGROOM_PIN." type:"existingfile" placeholder:"FILE"`
}

// Help is shown by ceremony replace --help.
func (*replaceCommand) Help() string {
	return `For a box whose HSM is lost for good. A quorum of custodians opens the copy of the island's keys into the HSM of a new box and certifies its identity; the fleet's document and its pin stay as they are. From the moment in which the island agrees on it the lost box is nobody, should it be found again: turn it off first. When it fails, nothing of the box is left.

Hold it where the ceremony was held: on a machine that you trust and then wipe.

Example:

  strongroomd ceremony replace ceremony/transcript.json --lost birch --name birch2 --data birch2 --address 10.0.0.4:8650 --island island.json --custodian-key anna.key --custodian-key ben.key
  strongroomd ceremony admit ceremony/birch2.island.json --admin http://10.0.0.1:8641 --admin http://10.0.0.3:8641`
}

func (c *replaceCommand) Run(s streams) error {
	if c.Out == "" {
		c.Out = filepath.Join(filepath.Dir(c.Transcript), c.Name+"."+serve.IslandFileName)
	}
	if _, err := os.Lstat(c.Out); err == nil {
		return fmt.Errorf("%w: %s is there already. Give another --out or --name", serve.ErrUsage, c.Out)
	}
	loss, err := c.loss()
	if err != nil {
		return err
	}
	made, err := ceremony.Replace(*loss)
	if err != nil {
		return fmt.Errorf("no box was made: %w", err)
	}
	if err := errors.Join(writeNew(c.Out, made.Nodes, 0o644), made.Finish(*loss)); err != nil {
		return errors.Join(err, os.Remove(c.Out), made.Box.Abandon())
	}
	fmt.Fprintf(s.out, "The box is made.\n\nbox          %s\t%s\t%s\t%s\t%s\nin place of  %s\n", c.Name, made.Key.ID(), made.Key.HSM, c.Address, c.Data, loss.Old)
	_, err = fmt.Fprintf(s.out, "\nNext: carry %s to its machine, over a line that nobody reads, and start it; tell each other node, while it runs, and one that is down when it is back:\n\n  strongroomd serve --existing --data FOLDER\n  strongroomd ceremony admit %s --admin URL ...\n", c.Data, c.Out)
	return err
}

// loss reads what the command names.
func (c *replaceCommand) loss() (*ceremony.Loss, error) {
	text, err := os.ReadFile(c.Transcript)
	if err != nil {
		return nil, err
	}
	l := &ceremony.Loss{New: ceremony.PlanBox{
		Name: c.Name, Data: c.Data, Address: c.Address, Listen: c.Listen, HSM: c.HSM, PassphraseFile: c.HSMPassphraseFile,
		PKCS11Module: c.PKCS11Module, PKCS11Token: c.PKCS11Token, PINFile: c.PINFile,
	}}
	if l.Transcript, l.Fleet, err = ceremony.ParseTranscript(text); err != nil {
		return nil, err
	}
	if l.New.HSM == "" {
		l.New.HSM = l.Fleet.Boxes[0].HSM
	}
	l.Island = l.Transcript.IslandFile()
	if c.Island != "" {
		if text, err = os.ReadFile(c.Island); err != nil {
			return nil, err
		}
		if l.Island, err = serve.ParseIslandFile(text); err != nil {
			return nil, err
		}
	}
	if c.Founder != "" {
		if l.Founder, err = os.ReadFile(c.Founder); err != nil {
			return nil, err
		}
	}
	if l.Old, err = boxOf(l.Island, c.Lost); err != nil {
		return nil, err
	}
	if l.Copy, err = os.ReadFile(filepath.Join(filepath.Dir(c.Transcript), ceremony.CopyName)); err != nil {
		return nil, fmt.Errorf("%w: the copy of the keys: %w", ceremony.ErrShares, err)
	}
	if l.Custodians, err = openCustodians(c.CustodianKey, c.PassphraseFile); err != nil {
		return nil, err
	}
	for _, custodian := range l.Custodians {
		share, err := os.ReadFile(filepath.Join(filepath.Dir(c.Transcript), ceremony.ShareName(custodian.Card.Name)))
		if err != nil {
			return nil, fmt.Errorf("%w: that of %q: %w", ceremony.ErrShares, custodian.Card.Name, err)
		}
		l.Shares = append(l.Shares, share)
	}
	if passphrase, given := os.LookupEnv(passphraseEnv); given && l.New.HSM == soft.Kind {
		l.Passphrase = []byte(passphrase)
		os.Unsetenv(passphraseEnv)
	}
	return l, nil
}

// boxOf finds a box by its name or its id.
func boxOf(f *serve.IslandFile, named string) (id wire.BoxID, err error) {
	var names []string
	for _, b := range f.Boxes {
		if b.Name == named || strings.EqualFold(b.Box, named) {
			return b.ID()
		}
		names = append(names, b.Name)
	}
	return id, fmt.Errorf("%w: no box %q is of the island; there are %s", serve.ErrUsage, named, strings.Join(names, ", "))
}

type admitCommand struct {
	adminFlag
	File string `arg:"" help:"What ceremony replace wrote." type:"existingfile"`
}

// Help is shown by ceremony admit --help.
func (*admitCommand) Help() string {
	return `Tells the nodes of the other boxes where the new box is, and shows them the custodians' certificate: they keep both in their island.json, and go on serving. A node that is down is told when it is back; telling one twice does no harm.

Example:

  strongroomd ceremony admit ceremony/birch2.island.json --admin http://10.0.0.1:8641 --admin http://10.0.0.3:8641`
}

func (c *admitCommand) Run(s streams) (err error) {
	text, err := os.ReadFile(c.File)
	if err != nil {
		return err
	}
	if _, err := serve.ParseIslandFile(text); err != nil {
		return err
	}
	for _, admin := range c.Admin { // one that is down must not keep the others from being told
		if _, asked := askAdmin(context.Background(), http.MethodPost, admin, serve.ReplacementPath, text); asked != nil {
			err = errors.Join(err, asked)
			continue
		}
		fmt.Fprintf(s.out, "%s knows the new box\n", admin)
	}
	return err
}
