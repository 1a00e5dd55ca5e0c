package ceremony

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"strongroom/cmd/internal/serve"
	"strongroom/hsm/soft"
	"strongroom/protocol/bundle"
	"strongroom/protocol/wire"
	"strongroom/vault"
	"strongroom/vault/hal"
)

// Loss is a box that is lost, and what puts another in its place.
type Loss struct {
	Transcript *Transcript
	Fleet      *bundle.Fleet     // of the transcript
	Island     *serve.IslandFile // of a box that is there, as it is today
	Founder    []byte            // the founder's document, of an island that joined one
	Old        wire.BoxID
	Copy       []byte   // CopyName
	Shares     [][]byte // of the custodians who are here, in their order
	Custodians []*Custodian
	New        PlanBox
	Passphrase []byte       // of a soft HSM without a file of its own
	Stretch    soft.Stretch // likewise; the zero value is the usual one
}

// Replacement is the box that was made for a lost one's place. The caller ends
// it with Finish, or with Box.Abandon.
type Replacement struct {
	Box         *serve.NewBox
	Key         bundle.Box
	Island      []byte // sealed by its HSM
	Certificate []byte // bundle.Replacement, signed by the custodians who are here
	Nodes       []byte // its island.json, of which the other boxes' nodes are told
}

// Replace makes a box that takes a lost one's place: a quorum of shares opens
// the copy of the keys into its HSM, locked, and the same custodians certify its
// identity. When it fails, nothing of the box is left.
func Replace(l Loss) (r *Replacement, err error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	key, err := l.key()
	if err != nil {
		return nil, err
	}
	defer clear(key[:])
	p := Plan{}
	config, err := p.config(l.New)
	if err != nil {
		return nil, err
	}
	config.Stretch = l.Stretch
	if l.New.PassphraseFile == "" {
		config.Passphrase = l.Passphrase
	}
	box, err := serve.CreateBox(config)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, box.Abandon())
		}
	}()
	h, movable := box.HAL.(hal.Mover)
	if !movable {
		return nil, planned("box %q: %w", l.New.Name, hal.ErrNoMove)
	}
	r = &Replacement{Box: box, Key: bundle.Box{HSM: h.Kind(), Rollback: box.Rollback()}}
	if r.Key.Key, err = vault.MakeIdentity(h); err != nil {
		return nil, err
	}
	if r.Island, err = vault.ReceiveCopy(h, l.Transcript.Body.Document, l.Copy, key); err != nil {
		return nil, err
	}
	if r.Certificate, err = l.certify(r.Key); err != nil {
		return nil, err
	}
	r.Nodes, err = l.nodes(r)
	return r, err
}

// Finish puts the vault in its place.
func (r *Replacement) Finish(l Loss) error {
	return r.Box.Finish(l.Transcript.Body.Document, r.Island, r.Nodes, l.Founder)
}

// check refuses what can be told before anything is made.
func (l *Loss) check() error {
	if err := l.Island.Matches(l.Fleet); err != nil {
		return err
	}
	if l.Fleet.Founder == (bundle.Pin{}) {
		l.Founder = nil
	} else if bundle.PinOf(l.Founder) != l.Fleet.Founder {
		return planned("the island joined the fleet of a founder. Give the founder's document: vault/fleet.cbor of any of its boxes")
	}
	if !nameable(l.New.Name) {
		return planned("a box has a name of 1 to %d printable bytes", nameBytesMax)
	}
	there := false
	for _, b := range l.Island.Boxes {
		if strings.EqualFold(b.Box, l.Old.String()) {
			there = true
			continue
		}
		if b.Address == l.New.Address || b.Name == l.New.Name {
			return planned("the new box has the name or the address of box %q, which is there", b.Name)
		}
	}
	if !there {
		return planned("%w: box %s is not of the island, or was replaced before", bundle.ErrReplacement, l.Old)
	}
	return l.New.movable(PlanBox{Name: l.Transcript.Body.Boxes[0].Name, HSM: l.Fleet.Boxes[0].HSM})
}

// nodes is the new box's island.json.
func (l *Loss) nodes(r *Replacement) ([]byte, error) {
	file := *l.Island
	file.Box, file.Listen = r.Key.ID().String(), l.New.Listen
	file.Replacements = append(slices.Clone(file.Replacements), r.Certificate)
	file.Boxes = slices.Clone(file.Boxes)
	for i, b := range file.Boxes {
		if strings.EqualFold(b.Box, l.Old.String()) {
			file.Boxes[i] = serve.IslandBox{Name: l.New.Name, Box: file.Box, Address: l.New.Address, Pin: r.Box.Pin.String()}
		}
	}
	return file.Encode()
}

// IslandFile is the island.json that the ceremony gave to the first box.
func (t *Transcript) IslandFile() *serve.IslandFile {
	f := &serve.IslandFile{Version: serve.IslandFileVersion, Fleet: t.Body.Fleet}
	for _, b := range t.Body.Boxes {
		f.Boxes = append(f.Boxes, serve.IslandBox{Name: b.Name, Box: b.Box, Address: b.Address, Pin: b.NodePin})
	}
	f.Box = f.Boxes[0].Box
	return f
}

// key joins the shares, which must be of this fleet and copy.
func (l *Loss) key() (key [hal.CopyKeyBytes]byte, err error) {
	if digest := digestOf(l.Copy); digest != l.Transcript.Body.Copy.Copy {
		return key, fmt.Errorf("%w: the copy has the SHA-256 %s, and the transcript tells of %s", ErrShares, digest, l.Transcript.Body.Copy.Copy)
	}
	if len(l.Shares) != len(l.Custodians) {
		return key, fmt.Errorf("%w: %d shares of %d custodians", ErrShares, len(l.Shares), len(l.Custodians))
	}
	var shares []Share
	for i, c := range l.Custodians {
		s, err := c.OpenShare(l.Shares[i])
		if err != nil {
			return key, err
		}
		if s.Fleet != hex.EncodeToString(l.Fleet.ID[:]) || s.Copy != l.Transcript.Body.Copy.Copy || s.Quorum != int(l.Fleet.Quorum) {
			return key, fmt.Errorf("%w: the share of %q is of another ceremony", ErrShares, c.Card.Name)
		}
		shares = append(shares, s)
	}
	return join(shares)
}

func (l *Loss) certify(by bundle.Box) ([]byte, error) {
	certificate := bundle.Replacement{Fleet: l.Fleet.ID, Old: l.Old, New: by}
	statement, err := certificate.Statement()
	if err != nil {
		return nil, err
	}
	var signed []CustodianSignature
	for _, c := range l.Custodians {
		if signed, err = c.sign(l.Fleet, statement, signed); err != nil {
			return nil, err
		}
	}
	if certificate.Signatures, err = signaturesOf(signed); err != nil {
		return nil, err
	}
	encoded, err := certificate.Encode()
	if err != nil {
		return nil, err
	}
	_, err = l.Fleet.BoxesAfterEncoded(append(slices.Clone(l.Island.Replacements), encoded))
	return encoded, err
}
