package ceremony

import (
	"encoding/hex"
	"errors"
	"fmt"

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
	Fleet      *bundle.Fleet // of the transcript
	Old        wire.BoxID
	Copy       []byte   // CopyName
	Shares     [][]byte // of the custodians who are here, in their order
	Custodians []*Custodian
	New        PlanBox
	Passphrase []byte       // of a soft HSM without a file of its own
	Stretch    soft.Stretch // likewise; the zero value is the usual one
}

// Replacement is the box that was made for a lost one's place.
type Replacement struct {
	Box         *serve.NewBox // not finished: the caller writes its island.json
	Key         bundle.Box
	Island      []byte // sealed by its HSM
	Certificate []byte // bundle.Replacement, signed by the custodians who are here
}

// Replace makes a box that takes a lost one's place: a quorum of shares opens
// the copy of the keys into its HSM, locked, and the same custodians certify its
// identity. When it fails, nothing of the box is left.
func Replace(l Loss) (r *Replacement, err error) {
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
	r.Certificate, err = l.certify(r.Key)
	return r, err
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
	if _, err := l.Fleet.BoxesAfter([]bundle.Replacement{certificate}); err != nil {
		return nil, err
	}
	return certificate.Encode()
}
