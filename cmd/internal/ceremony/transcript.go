package ceremony

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"strongroom/protocol/bundle"
)

const transcriptVersion = 1

// ErrTranscript: the transcript is damaged, or says what can not be.
var ErrTranscript = errors.New("the transcript does not hold")

// Transcript tells how an island was made. It holds no secret.
type Transcript struct {
	Body Body `json:"body"`

	// Signatures are over bundle.TranscriptStatement of the SHA-256 of Body,
	// as encoding/json writes it without space.
	BoxSignatures []BoxSignature       `json:"box_signatures"`
	Custodians    []CustodianSignature `json:"custodian_signatures"`
}

// Body is what is signed.
type Body struct {
	Version    int        `json:"version"`
	Fleet      string     `json:"fleet"`    // its id, hex
	Pin        string     `json:"pin"`      // that clients check
	Document   []byte     `json:"document"` // the fleet's, whole
	Program    Program    `json:"program"`
	Plan       Digest     `json:"plan"` // of the plan file
	Boxes      []Made     `json:"boxes"`
	Custodians []Card     `json:"custodians"`
	Quorum     int        `json:"quorum"`
	Copy       CopyDigest `json:"copy"` // of the keys, for a replacement box
	Steps      []Step     `json:"steps"`
}

// Digest is a SHA-256, in hex.
type Digest string

func digestOf(b []byte) Digest { return Digest(fmt.Sprintf("%x", sha256.Sum256(b))) }

// Program is the one that held the ceremony.
type Program struct {
	Version  string `json:"version"`
	Revision string `json:"revision"`
	Go       string `json:"go"`
	SHA256   Digest `json:"sha256"` // of its executable file
}

// Made is a box that was made.
type Made struct {
	Name     string `json:"name"`
	Box      string `json:"box"`      // wire.BoxID
	Key      string `json:"key"`      // its identity, hex
	HSM      string `json:"hsm"`      // kind
	Rollback string `json:"rollback"` // what keeps its memory from being put back
	Address  string `json:"address"`
	NodePin  string `json:"node_pin"`
	Island   Digest `json:"island_sealed"` // island.sealed
	Nodes    Digest `json:"island_json"`   // island.json
}

// CopyDigest is of the copy that custodians share.
type CopyDigest struct {
	Copy   Digest   `json:"copy"`
	Shares []Digest `json:"shares"` // as sealed to each custodian, in their order
}

// Step is one thing that was done.
type Step struct {
	At   time.Time         `json:"at"`
	Did  string            `json:"did"`
	Box  string            `json:"box,omitempty"` // name
	What map[string]Digest `json:"what,omitempty"`
}

// BoxSignature is by a box's identity key.
type BoxSignature struct {
	Box       string `json:"box"` // wire.BoxID
	Signature string `json:"signature"`
}

// ParseTranscript reads a transcript and checks everything in it but the
// custodians' signatures. Its error is ErrTranscript.
func ParseTranscript(text []byte) (*Transcript, *bundle.Fleet, error) {
	t := new(Transcript)
	if err := decode(text, t); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrTranscript, err)
	}
	if err := t.oneForm(text); err != nil {
		return nil, nil, err
	}
	if t.Body.Version != transcriptVersion {
		return nil, nil, fmt.Errorf("%w: version %d, this program knows %d", ErrTranscript, t.Body.Version, transcriptVersion)
	}
	fleet, err := bundle.Decode(t.Body.Document)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrTranscript, err)
	}
	if err := t.Body.matches(fleet); err != nil {
		return nil, nil, err
	}
	return t, fleet, t.checkBoxes(fleet)
}

// oneForm: two readers of one file must not read two things, so a name that
// stands twice, or in another order, is refused.
func (t *Transcript) oneForm(text []byte) error {
	var is, want bytes.Buffer
	again, err := json.Marshal(t)
	if err != nil {
		return err
	}
	if err := errors.Join(json.Compact(&is, text), json.Compact(&want, again)); err != nil || !bytes.Equal(is.Bytes(), want.Bytes()) {
		return fmt.Errorf("%w: it is not in its one form", ErrTranscript)
	}
	return nil
}

// matches: what is told of the document is what the document says.
func (b *Body) matches(f *bundle.Fleet) error {
	pin := bundle.PinOf(b.Document).String()
	if b.Fleet != hex.EncodeToString(f.ID[:]) || b.Pin != pin {
		return fmt.Errorf("%w: its document is of the fleet %x with the pin %s", ErrTranscript, f.ID, pin)
	}
	if len(b.Boxes) != len(f.Boxes) || len(b.Custodians) != len(f.Custodians) || b.Quorum != int(f.Quorum) {
		return fmt.Errorf("%w: it tells of %d boxes and %d custodians, its document of %d and %d", ErrTranscript, len(b.Boxes), len(b.Custodians), len(f.Boxes), len(f.Custodians))
	}
	for i, box := range f.Boxes {
		m := b.Boxes[i]
		if m.Box != box.ID().String() || m.Key != hex.EncodeToString(box.Key) || m.HSM != box.HSM || m.Rollback != box.Rollback {
			return fmt.Errorf("%w: box %q is not the document's", ErrTranscript, m.Name)
		}
	}
	for i, c := range b.Custodians {
		if err := c.validate(); err != nil || !bytes.Equal(c.key(), f.Custodians[i]) {
			return fmt.Errorf("%w: custodian %q is not the document's", ErrTranscript, c.Name)
		}
	}
	if len(b.Copy.Shares) != len(b.Custodians) {
		return fmt.Errorf("%w: shares are missing", ErrTranscript)
	}
	return nil
}

// hash is what boxes and custodians sign.
func (b *Body) hash() ([sha256.Size]byte, error) {
	text, err := json.Marshal(b)
	return sha256.Sum256(text), err
}

// checkBoxes: every box signed, with the key that the document names.
func (t *Transcript) checkBoxes(f *bundle.Fleet) error {
	hash, err := t.Body.hash()
	if err != nil {
		return err
	}
	statement := bundle.TranscriptStatement(f.ID, hash)
	if len(t.BoxSignatures) != len(f.Boxes) {
		return fmt.Errorf("%w: %d of %d boxes signed", ErrTranscript, len(t.BoxSignatures), len(f.Boxes))
	}
	for i, s := range t.BoxSignatures {
		signature, err := hex.DecodeString(s.Signature)
		if err != nil || s.Box != f.Boxes[i].ID().String() || !f.Boxes[i].Signed(statement, signature) {
			return fmt.Errorf("%w: the signature of box %q is not its own, or what it signed was changed", ErrTranscript, t.Body.Boxes[i].Name)
		}
	}
	return nil
}

// Sign adds a custodian's signature.
func (t *Transcript) Sign(f *bundle.Fleet, c *Custodian) error {
	hash, err := t.Body.hash()
	if err != nil {
		return err
	}
	t.Custodians, err = c.sign(f, bundle.TranscriptStatement(f.ID, hash), t.Custodians)
	return err
}

// CheckCustodians tells whether enough custodians signed: bundle.ErrQuorum.
func (t *Transcript) CheckCustodians(f *bundle.Fleet) error {
	hash, err := t.Body.hash()
	if err != nil {
		return err
	}
	signatures, err := signaturesOf(t.Custodians)
	if err != nil {
		return err
	}
	return f.CheckTranscript(hash, signatures)
}

// Encode gives the file.
func (t *Transcript) Encode() ([]byte, error) {
	text, err := json.MarshalIndent(t, "", "  ")
	return append(text, '\n'), err
}
