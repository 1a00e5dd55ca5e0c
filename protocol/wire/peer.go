package wire

import (
	"crypto/sha256"
)

// What boxes of one island say to one another. Each message is version (1) ||
// kind (1) || the rest; offer and setup are signed by the identity of the box
// that they name, data is sealed under the session that they made.

// PeerKind tells the messages between boxes apart.
type PeerKind uint8

const (
	PeerOffer PeerKind = 1
	PeerSetup PeerKind = 2
	PeerData  PeerKind = 3
)

// Boot is drawn by a box at each start.
type Boot [16]byte

// Offer is a box's word that it can not hear another one yet: a key for one
// handshake.
type Offer struct {
	Fleet     FleetID `cbor:"1,keyasint"`
	From      BoxID   `cbor:"2,keyasint"`
	To        BoxID   `cbor:"3,keyasint"`
	Boot      Boot    `cbor:"4,keyasint"` // of From
	Number    uint64  `cbor:"5,keyasint"` // of this offer, in this boot
	Key       []byte  `cbor:"6,keyasint"` // HPKE public key, MLKEM768-P256
	Signature []byte  `cbor:"7,keyasint"` // by From's identity
}

// Setup answers an offer: from then on its sender can be heard.
type Setup struct {
	Fleet     FleetID  `cbor:"1,keyasint"`
	From      BoxID    `cbor:"2,keyasint"`
	To        BoxID    `cbor:"3,keyasint"`
	Boot      Boot     `cbor:"4,keyasint"` // of From
	Member    uint64   `cbor:"5,keyasint"` // From's Raft identity in this boot
	Offered   [32]byte `cbor:"6,keyasint"` // digest of the offer
	Enc       []byte   `cbor:"7,keyasint"`
	Signature []byte   `cbor:"8,keyasint"` // by From's identity
}

// Digest is what From signs: the SHA-256 of a label and of all but the
// signature.
func (o Offer) Digest() [32]byte {
	o.Signature = nil
	return digest("strongroom/v1/peer/offer", o)
}

// Digest is what From signs.
func (s Setup) Digest() [32]byte {
	s.Signature = nil
	return digest("strongroom/v1/peer/setup", s)
}

func digest(label string, v any) [32]byte {
	encoded, err := encoding.Marshal(v)
	if err != nil {
		panic(err) // of a struct of fixed fields
	}
	return sha256.Sum256(append([]byte(label), encoded...))
}

// Info binds a session to who speaks, who hears, and to the offer.
func (s Setup) Info() []byte {
	info := append([]byte("strongroom/v1/peer"), s.Fleet[:]...)
	info = append(append(info, s.From[:]...), s.To[:]...)
	return append(append(info, s.Boot[:]...), s.Offered[:]...)
}

// Validate checks a message against every limit; its error is a *Malformed.
func (o Offer) Validate() error {
	c := check{}
	c.length("key", len(o.Key), 1, peerKeyBytesMax)
	c.length("signature", len(o.Signature), SignatureBytes, SignatureBytes)
	return c.result()
}

// Validate checks a message against every limit; its error is a *Malformed.
func (s Setup) Validate() error {
	c := check{}
	c.length("enc", len(s.Enc), 1, peerKeyBytesMax)
	c.length("signature", len(s.Signature), SignatureBytes, SignatureBytes)
	c.value("member", s.Member != 0)
	return c.result()
}

// Parcel is the plaintext of data between boxes.
type Parcel struct {
	ClockMillis uint64      `cbor:"1,keyasint"`           // of the sender's node
	Raft        [][]byte    `cbor:"2,keyasint,omitempty"` // messages, in their order
	Part        *StreamPart `cbor:"3,keyasint,omitempty"`
	Took        *StreamTook `cbor:"4,keyasint,omitempty"`
	Group       GroupID     `cbor:"5,keyasint"` // that Raft and Part belong to
}

// GroupID names the run of an island from one cold start to the next: the
// first bytes of the SHA-256 of the custodians' order.
type GroupID [16]byte

// StreamPart is a part of a snapshot: records in the order of their paths.
type StreamPart struct {
	Stream  uint64      `cbor:"1,keyasint"`           // drawn by the sender
	Number  uint64      `cbor:"2,keyasint"`           // from 0, without gaps
	Head    *StreamHead `cbor:"3,keyasint,omitempty"` // of the first
	Records [][]byte    `cbor:"4,keyasint,omitempty"` // as a record's page has them, not sealed
	Last    bool        `cbor:"5,keyasint,omitempty"`
}

// StreamHead says what a stream is of.
type StreamHead struct {
	Root   [32]byte `cbor:"1,keyasint"`
	Leaves uint64   `cbor:"2,keyasint"`
	State  []byte   `cbor:"3,keyasint"` // what the island agreed on beside records
	Raft   []byte   `cbor:"4,keyasint"` // the message that Raft gets when all is there
}

// StreamTook acknowledges all parts up to a number, or ends a stream.
type StreamTook struct {
	Stream uint64 `cbor:"1,keyasint"`
	Number uint64 `cbor:"2,keyasint"`
	Ended  bool   `cbor:"3,keyasint,omitempty"` // it is not wanted, or all of it is there
}

// Validate checks a message against every limit; its error is a *Malformed.
func (p Parcel) Validate() error {
	c := check{}
	c.length("raft", len(p.Raft), 0, FrameItemsMax)
	if p.Part != nil {
		c.length("records", len(p.Part.Records), 0, FrameItemsMax)
	}
	return c.result()
}

// PeerFrame puts version and kind before a message.
func PeerFrame(kind PeerKind, message any) ([]byte, error) {
	encoded, err := Encode(message)
	if err != nil {
		return nil, err
	}
	return append([]byte{Version, byte(kind)}, encoded...), nil
}

// PeerKindOf tells what a message between boxes is; 0 for none of this version.
func PeerKindOf(b []byte) PeerKind {
	if len(b) < 2 || b[0] != Version || len(b) > PeerBytesMax {
		return 0
	}
	return PeerKind(b[1])
}

// DecodePeer reads what follows version and kind, or a parcel: ErrMalformed.
func DecodePeer[M Offer | Setup | Parcel](b []byte) (m M, err error) {
	if err := decodeBy(pipeDecoding, PeerBytesMax, b, &m); err != nil {
		return m, err
	}
	return m, any(m).(interface{ Validate() error }).Validate()
}
