// Package ceremony makes an island of several boxes: their HSMs and
// identities, the island's keys in the first HSM and moved to the others, a
// data folder a box, and a transcript that anybody can check.
package ceremony

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"strongroom/cmd/internal/serve"
	"strongroom/hsm/soft"
	"strongroom/protocol/bundle"
	"strongroom/vault"
	"strongroom/vault/hal"
)

// Options are what a plan does not say.
type Options struct {
	Out        string                  // new folder: for the transcript, and the copy with its shares
	Passphrase []byte                  // of every soft HSM that has no file of its own
	Custodians []*Custodian            // who are here and sign at once
	Stretch    soft.Stretch            // of soft HSMs; the zero value is the usual one
	Tell       func(Step)              // of each step, as it is done; nil for nobody
	Program    func() (Program, error) // nil is this program
}

// Names in Options.Out.
const (
	TranscriptName = "transcript.json"
	CopyName       = "copy.sealed" // of the keys, wrapped
)

// ShareName is the file with a custodian's share of the copy's key, sealed to
// him.
func ShareName(custodian string) string { return custodian + ".share.age" }

// Result is what a ceremony made, apart from the data folders.
type Result struct {
	Transcript *Transcript
	Fleet      *bundle.Fleet
}

// seat is one box while it is made.
type seat struct {
	plan   PlanBox
	box    *serve.NewBox
	hsm    hal.Mover
	key    bundle.Box
	island []byte // sealed by its HSM
	nodes  []byte // island.json
}

type ceremony struct {
	Options
	plan  *Plan
	cards []Card
	seats []*seat
	steps []Step
	files map[string][]byte // for Options.Out

	founder []byte // its document, of an island that joins
}

// Hold holds a ceremony. When it fails, no box has a vault.
func Hold(p *Plan, planText []byte, o Options) (r *Result, err error) {
	c := &ceremony{Options: o, plan: p, files: map[string][]byte{}}
	if c.cards, err = readCards(p.Custodians); err != nil {
		return nil, err
	}
	if err = os.Mkdir(o.Out, 0o700); err != nil {
		return nil, planned("the folder for the transcript must be new: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.abandon())
		}
	}()
	if err = c.seatBoxes(); err != nil {
		return nil, err
	}
	document, err := c.makeIsland()
	if err != nil {
		return nil, err
	}
	r = new(Result)
	if r.Fleet, err = bundle.Decode(document); err != nil {
		return nil, err
	}
	if err = c.moveKeys(document); err != nil {
		return nil, err
	}
	digest, err := c.share(document, r.Fleet)
	if err != nil {
		return nil, err
	}
	if err = c.lock(); err != nil {
		return nil, err
	}
	if err = c.writeNodes(r.Fleet); err != nil {
		return nil, err
	}
	if r.Transcript, err = c.transcribe(r.Fleet, document, planText, digest); err != nil {
		return nil, err
	}
	if err = c.sign(r); err != nil {
		return nil, err
	}
	if err = c.write(); err != nil {
		return nil, err
	}
	return r, c.finish(document)
}

// abandon leaves nothing behind but what a token was given.
func (c *ceremony) abandon() (err error) {
	for _, s := range c.seats {
		err = errors.Join(err, s.box.Abandon())
	}
	return errors.Join(err, os.RemoveAll(c.Out))
}

// write writes the files for Options.Out, before any box has a vault.
func (c *ceremony) write() error {
	for name, content := range c.files {
		if err := serve.WriteDurable(filepath.Join(c.Out, name), content); err != nil {
			return err
		}
	}
	return nil
}

func readCards(paths []string) (cards []Card, err error) {
	seen := map[string]bool{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, planned("%w", err)
		}
		card, err := ParseCard(text)
		if err != nil {
			return nil, planned("%s: %w", path, err)
		}
		if seen[card.Name] || seen[card.Sign] {
			return nil, planned("custodian %q is there twice", card.Name)
		}
		seen[card.Name], seen[card.Sign] = true, true
		cards = append(cards, card)
	}
	return cards, nil
}

func (c *ceremony) did(did string, s *seat, what map[string]Digest) {
	step := Step{At: time.Now().UTC().Truncate(time.Second), Did: did, What: what}
	if s != nil {
		step.Box = s.plan.Name
	}
	c.steps = append(c.steps, step)
	if c.Tell != nil {
		c.Tell(step)
	}
}

// seatBoxes makes each box's folder, HSM and identity.
func (c *ceremony) seatBoxes() error {
	for _, b := range c.plan.Boxes {
		config, err := c.plan.config(b)
		if err != nil {
			return err
		}
		config.Stretch = c.Stretch
		if b.PassphraseFile == "" {
			config.Passphrase = c.Passphrase
		}
		box, err := serve.CreateBox(config)
		if err != nil {
			return fmt.Errorf("box %q: %w", b.Name, err)
		}
		s := &seat{plan: b, box: box}
		c.seats = append(c.seats, s)
		var movable bool
		if s.hsm, movable = box.HAL.(hal.Mover); !movable {
			return planned("box %q: %w", b.Name, hal.ErrNoMove)
		}
		s.key = bundle.Box{HSM: s.hsm.Kind(), Rollback: box.Rollback()}
		if s.key.Key, err = vault.MakeIdentity(s.hsm); err != nil {
			return fmt.Errorf("box %q: %w", b.Name, err)
		}
		c.did("made an HSM's root keys and the box's identity, which never leaves it", s, map[string]Digest{"identity": digestOf(s.key.Key)})
	}
	return nil
}

// makeIsland makes the island's keys in the first HSM.
func (c *ceremony) makeIsland() (document []byte, err error) {
	first := c.seats[0]
	config, err := c.plan.config(first.plan)
	if err != nil {
		return nil, err
	}
	founding, err := config.Founding()
	if err != nil {
		return nil, err
	}
	if c.plan.Founder != "" {
		if founding.Founder, err = os.ReadFile(c.plan.Founder); err != nil {
			return nil, planned("the founder's document: %w", err)
		}
		c.founder = founding.Founder
		c.did("joins the fleet of a founder", nil, map[string]Digest{"founder": digestOf(founding.Founder)})
	} else if founding.Alert, err = first.box.AlertKey(); err != nil {
		return nil, err
	}
	if len(founding.Issuers) == 0 && c.founder == nil {
		own, err := first.box.MakeIssuer()
		if err != nil {
			return nil, err
		}
		founding.Issuers = []bundle.Issuer{own}
		c.did("made a built-in issuer of account tokens, its private key in this box's folder", first, map[string]Digest{"issuer": digestOf(own.Key)})
	}
	for _, s := range c.seats {
		founding.Boxes = append(founding.Boxes, s.key)
	}
	for _, card := range c.cards {
		founding.Custodians = append(founding.Custodians, card.key())
	}
	founding.Quorum = uint8(c.plan.Quorum)
	if err := first.hsm.MakeMovable(); err != nil {
		return nil, err
	}
	if document, first.island, err = vault.Make(first.hsm, founding); errors.Is(err, bundle.ErrLayout) || errors.Is(err, bundle.ErrDocument) {
		return nil, planned("%s: %v", c.plan.Founder, err)
	} else if err != nil {
		return nil, err
	}
	c.did("made the island's keys and the fleet's document", first, map[string]Digest{"document": digestOf(document)})
	return document, nil
}

// moveKeys moves them to the others, each to its own transfer key.
func (c *ceremony) moveKeys(document []byte) error {
	first := c.seats[0]
	for _, s := range c.seats[1:] {
		transfer, err := s.hsm.MakeTransferKey()
		if err != nil {
			return fmt.Errorf("box %q: %w", s.plan.Name, err)
		}
		moved, err := vault.Export(first.hsm, document, first.island, transfer)
		if err != nil {
			return fmt.Errorf("box %q: %w", first.plan.Name, err)
		}
		if s.island, err = vault.Receive(s.hsm, document, moved); err != nil {
			return fmt.Errorf("box %q: %w", s.plan.Name, err)
		}
		c.did("took in the island's keys, wrapped to its own transfer key, and locked them", s,
			map[string]Digest{"transfer_key": digestOf(transfer), "moved": digestOf(moved)})
	}
	return nil
}

// lock ends the time in which the first HSM gave its keys out.
func (c *ceremony) lock() error {
	first := c.seats[0]
	if err := first.hsm.Lock(); err != nil {
		return err
	}
	transfer, err := c.seats[1].hsm.MakeTransferKey()
	if err != nil {
		return err
	}
	if _, err := first.hsm.Export(transfer, nil); !errors.Is(err, hal.ErrLocked) {
		return fmt.Errorf("box %q: its HSM gives keys out after it was locked: %w", first.plan.Name, err)
	}
	c.did("locked its keys: a further export was refused", first, nil)
	return nil
}

func (c *ceremony) writeNodes(f *bundle.Fleet) error {
	file := serve.IslandFile{Version: serve.IslandFileVersion, Fleet: hex.EncodeToString(f.ID[:])}
	for _, s := range c.seats {
		file.Boxes = append(file.Boxes, serve.IslandBox{Name: s.plan.Name, Box: s.key.ID().String(), Address: s.plan.Address, Pin: s.box.Pin.String()})
	}
	for _, s := range c.seats {
		file.Box, file.Listen = s.key.ID().String(), s.plan.Listen
		var err error
		if s.nodes, err = file.Encode(); err != nil {
			return planned("%w", err)
		}
	}
	return nil
}

func (c *ceremony) transcribe(f *bundle.Fleet, document, planText []byte, copied CopyDigest) (*Transcript, error) {
	program := c.Program
	if program == nil {
		program = ThisProgram
	}
	p, err := program()
	if err != nil {
		return nil, err
	}
	t := &Transcript{Body: Body{
		Version: transcriptVersion, Fleet: hex.EncodeToString(f.ID[:]), Pin: bundle.PinOf(document).String(), Document: document, Program: p,
		Plan: digestOf(planText), Custodians: append([]Card{}, c.cards...), Quorum: c.plan.Quorum, Copy: copied, Steps: c.steps,
	}, Custodians: []CustodianSignature{}}
	for _, s := range c.seats {
		t.Body.Boxes = append(t.Body.Boxes, Made{
			Name: s.plan.Name, Box: s.key.ID().String(), Key: hex.EncodeToString(s.key.Key), HSM: s.key.HSM, Rollback: s.key.Rollback,
			Address: s.plan.Address, NodePin: s.box.Pin.String(), Island: digestOf(s.island), Nodes: digestOf(s.nodes),
		})
	}
	return t, nil
}

// sign has the boxes sign, and the custodians who are here.
func (c *ceremony) sign(r *Result) error {
	hash, err := r.Transcript.Body.hash()
	if err != nil {
		return err
	}
	for _, s := range c.seats {
		signature, err := vault.SignTranscript(s.hsm, r.Fleet.ID, hash)
		if err != nil {
			return fmt.Errorf("box %q: %w", s.plan.Name, err)
		}
		r.Transcript.BoxSignatures = append(r.Transcript.BoxSignatures, BoxSignature{s.key.ID().String(), hex.EncodeToString(signature)})
	}
	for _, custodian := range c.Options.Custodians {
		if err := r.Transcript.Sign(r.Fleet, custodian); err != nil {
			return err
		}
	}
	text, err := r.Transcript.Encode()
	if err != nil {
		return err
	}
	c.files[TranscriptName] = text
	_, _, err = ParseTranscript(text) // as whoever checks it will
	return err
}

// finish puts each vault in its place.
func (c *ceremony) finish(document []byte) error {
	for _, s := range c.seats {
		if err := s.box.Finish(document, s.island, s.nodes, c.founder); err != nil {
			return fmt.Errorf("box %q: %w", s.plan.Name, err)
		}
	}
	return nil
}

// ThisProgram is the one that runs.
func ThisProgram() (p Program, err error) {
	p.Version, p.Revision, p.Go = serve.Build()
	path, err := os.Executable()
	if err != nil {
		return p, err
	}
	p.SHA256, err = DigestOfFile(path)
	return p, err
}

// DigestOfFile is the SHA-256 of a file.
func DigestOfFile(path string) (Digest, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	hash := sha256.New()
	_, err = io.Copy(hash, f)
	return Digest(hex.EncodeToString(hash.Sum(nil))), err
}
