package wire

import "crypto/sha256"

// PinBytes is the length of an island's pin: the SHA-256 of its document.
const PinBytes = 32

// Limits of a fleet of several islands (spec/layout.md).
const (
	IslandsMax     = 16      // islands of a fleet, with those that were left out
	LayoutsMax     = 64      // layouts of a fleet, ever
	LayoutBytesMax = 4 << 10 // one of them

	LayoutsBytesMax = 512 << 10 // Layouts, as relays and files have them
	ReceiptsMax     = IslandsMax - 1
)

// Layouts is what a host knows of the fleet's islands. The box checks it.
type Layouts struct {
	Founder []byte   `cbor:"1,keyasint"`           // the founder's document
	Islands [][]byte `cbor:"2,keyasint,omitempty"` // the other islands' documents, in any order
	Layouts [][]byte `cbor:"3,keyasint,omitempty"` // bundle.Layout, all of them, from number 1
}

// DecodeLayouts reads what Encode gave of Layouts, or gives ErrMalformed: they
// are longer than any message.
func DecodeLayouts(b []byte) (*Layouts, error) {
	l := new(Layouts)
	if err := decodeBy(pipeDecoding, LayoutsBytesMax, b, l); err != nil {
		return nil, err
	}
	return l, l.Validate()
}

// Depart asks an island to close the account, for ever up to a layout, and
// for the receipt that opens it at its home in that layout. A live record, or
// one that arrived not long ago, departs by its owner's Signature over
// Statement only; a departed one, for another generation, by that of the owner
// who left.
type Depart struct {
	To         [PinBytes]byte `cbor:"1,keyasint"`           // the account's home in Layout, another island than the one asked
	Layout     uint64         `cbor:"2,keyasint"`           // the newest that the island asked knows
	Generation Generation     `cbor:"3,keyasint"`           // the registration at To
	Signature  []byte         `cbor:"4,keyasint,omitempty"` // SignatureBytes, or empty
}

// Arrive opens the account where a registration waits for it.
type Arrive struct {
	Generation Generation `cbor:"1,keyasint"`
	Receipts   []Receipt  `cbor:"2,keyasint"` // one of each older home
}

// DepartAnswer carries the receipt.
type DepartAnswer struct {
	Receipt Receipt `cbor:"1,keyasint"`
}

// Receipt is an island's word, signed by its status key over Statement, that
// the account is closed there up to Layout, so that the registration that was
// named may open at its home. It carries what was counted there.
type Receipt struct {
	From      [PinBytes]byte `cbor:"1,keyasint"`
	Layout    uint64         `cbor:"2,keyasint"`
	Before    State          `cbor:"3,keyasint"`           // what was there before it departed
	Opened    uint64         `cbor:"4,keyasint,omitempty"` // one more than the layout since which it was last open at From; 0: it never was
	Signed    bool           `cbor:"5,keyasint,omitempty"` // the owner of a live record named this registration
	Slot      uint64         `cbor:"6,keyasint,omitempty"`
	Wrong     uint32         `cbor:"7,keyasint,omitempty"` // wrong attempts of the lifetime
	Root      [32]byte       `cbor:"8,keyasint,omitzero"`
	Resets    uint32         `cbor:"9,keyasint,omitempty"`
	Changes   uint64         `cbor:"10,keyasint"`
	Events    uint64         `cbor:"11,keyasint,omitempty"` // number of the newest event
	PastHash  [32]byte       `cbor:"12,keyasint"`           // Past.Hash
	Spent     uint32         `cbor:"15,keyasint,omitempty"` // of Wrong, the guesses since the last proof when a live record left
	Owner     [32]byte       `cbor:"16,keyasint,omitzero"`  // where Signed: who signed
	Signature []byte         `cbor:"13,keyasint"`           // ECDSA P-256, as Attestation's

	// Past is needed of the receipt that was opened last; of the others it may
	// be left out, so that all of them fit into one request.
	Past *Past `cbor:"14,keyasint,omitempty"`
}

// Past is the long part of what a receipt carries.
type Past struct {
	History []Event      `cbor:"1,keyasint,omitempty"`
	Marks   []MarkReport `cbor:"2,keyasint,omitempty"`
}

// Hash is what a receipt's signature covers of it.
func (p *Past) Hash() [32]byte { return sha256.Sum256(must(Encode(*p))) }

// Departed tells where an account went.
type Departed struct {
	To         [PinBytes]byte `cbor:"1,keyasint"`
	Layout     uint64         `cbor:"2,keyasint"`
	Generation Generation     `cbor:"3,keyasint"`           // the registration at To that the receipt is for
	Signed     bool           `cbor:"4,keyasint,omitempty"` // by the owner of the live record that left
}

// Newest gives the place, among receipts, of the one that was opened last; -1
// for none.
func Newest(receipts []Receipt) int {
	newest := -1
	for i, r := range receipts {
		if newest < 0 || r.Opened > receipts[newest].Opened {
			newest = i
		}
	}
	return newest
}

func (c *check) receipts(receipts []Receipt, least int) {
	c.length("receipts", len(receipts), least, ReceiptsMax)
	for i := range receipts {
		c.receipt(&receipts[i])
	}
}

func (c *check) receipt(r *Receipt) {
	c.value("state", r.Before >= StateNone && r.Before <= StateArriving && r.Before != StateDeparted && r.Before != StateExhausted)
	c.value("layout", r.Layout > 0 && r.Layout <= LayoutsMax)
	c.value("opened", r.Opened <= r.Layout)
	c.value("spent", uint64(r.Spent) <= r.Slot)
	c.length("signature", len(r.Signature), SignatureBytes, SignatureBytes)
	if r.Past != nil {
		c.length("marks", len(r.Past.Marks), 0, MarksMax)
		c.history(r.Past.History)
	}
}

// Validate checks what a host says of layouts; its error is a *Malformed.
func (l *Layouts) Validate() error {
	c := check{}
	c.length("founder", len(l.Founder), 1, DocumentBytesMax)
	c.length("islands", len(l.Islands), 0, IslandsMax)
	for _, d := range l.Islands {
		c.length("island", len(d), 1, DocumentBytesMax)
	}
	c.length("layouts", len(l.Layouts), 0, LayoutsMax)
	for _, b := range l.Layouts {
		c.length("layout", len(b), 1, LayoutBytesMax)
	}
	return c.result()
}

const (
	departContext  = "strongroom/v1/depart"
	receiptContext = "strongroom/v1/receipt"
)

// Statement is what the owner of the live generation signs to have it depart;
// live is also the generation of an owner who left.
func (d *Depart) Statement(fleet FleetID, account string, live Generation) []byte {
	unsigned := *d
	unsigned.Signature = nil
	return must(Encode(departStatement{departContext, fleet, account, live, unsigned}))
}

type departStatement struct {
	Context string     `cbor:"1,keyasint"`
	Fleet   FleetID    `cbor:"2,keyasint"`
	Account string     `cbor:"3,keyasint"`
	Live    Generation `cbor:"4,keyasint"`
	Depart  Depart     `cbor:"5,keyasint"` // without its signature
}

// Passage says whose move a receipt is for: what its reader must know by
// itself. Digest is of the receipt's layout (bundle.Homes.Digest): two islands
// that know different layouts by one number do not understand one another.
type Passage struct {
	Fleet      FleetID        `cbor:"1,keyasint"`
	Account    string         `cbor:"2,keyasint"`
	To         [PinBytes]byte `cbor:"3,keyasint"`
	Generation Generation     `cbor:"4,keyasint"`
	Digest     [32]byte       `cbor:"5,keyasint"`
}

// Statement is what the island's HSM signs: everything of the receipt but the
// signature and the long part, for which its hash stands.
func (r *Receipt) Statement(p Passage) []byte {
	unsigned := *r
	unsigned.Signature, unsigned.Past = nil, nil
	return must(Encode(receiptStatement{receiptContext, p, unsigned}))
}

type receiptStatement struct {
	Context string  `cbor:"1,keyasint"`
	Passage Passage `cbor:"2,keyasint"`
	Receipt Receipt `cbor:"3,keyasint"`
}
