package wire

import "encoding/hex"

// BoxID names a box: the first bytes of the SHA-256 of its identity key (SEC1
// compressed). Its zero value names none.
type BoxID [BoxIDBytes]byte

func (b BoxID) String() string { return hex.EncodeToString(b[:]) }

// Received is a message of another box. From is the node's word; the message
// says itself whose it is.
type Received struct {
	From  BoxID  `cbor:"1,keyasint"`
	Bytes []byte `cbor:"2,keyasint"`
}

// Send is a message to another box: sealed, or signed. It may get lost; a node
// never waits for a peer with it.
type Send struct {
	To    BoxID  `cbor:"1,keyasint"`
	Bytes []byte `cbor:"2,keyasint"`
}

// IslandReport is what a box tells its node of the island: where requests go,
// and what an operator is shown. It is the box's word of a moment.
type IslandReport struct {
	Box     BoxID       `cbor:"1,keyasint"`
	Role    Role        `cbor:"2,keyasint"`
	Leader  BoxID       `cbor:"3,keyasint"` // all zero: none is known
	Term    uint64      `cbor:"4,keyasint"`
	Commit  uint64      `cbor:"5,keyasint"` // Raft index
	Applied uint64      `cbor:"6,keyasint"` // Raft index
	Root    [32]byte    `cbor:"7,keyasint"` // of the newest checkpoint
	RootAt  uint64      `cbor:"8,keyasint"` // the Raft index that it stands for
	Epoch   uint64      `cbor:"9,keyasint"` // this box's
	Boxes   []BoxReport `cbor:"10,keyasint"`
	Shown   Shown       `cbor:"11,keyasint"` // for an order of a cold start
	Group   GroupID     `cbor:"12,keyasint"` // all zero: of none yet

	// Changing: who belongs to the island changes just now, and majorities of
	// both its old and its new members are needed. Take no box down meanwhile.
	Changing bool `cbor:"13,keyasint,omitempty"`
}

// Shown is what a box shows of itself to custodians.
type Shown struct {
	Box  BoxID  `cbor:"1,keyasint"`
	Boot Boot   `cbor:"2,keyasint"` // drawn at this start: an order for it is good for no other
	Term uint64 `cbor:"3,keyasint"` // of the last entry of its log; 0 for none
	Last uint64 `cbor:"4,keyasint"` // that entry's Raft index
}

// BoxReport tells of one box of the island.
type BoxReport struct {
	Box    BoxID  `cbor:"1,keyasint"`
	Member uint64 `cbor:"2,keyasint"` // its Raft identity; 0: not in the configuration
	Role   Role   `cbor:"3,keyasint"`
	Match  uint64 `cbor:"4,keyasint"` // Raft index up to which it has the log; 0 where only the leader knows
	Heard  bool   `cbor:"5,keyasint"` // the reporting box hears it
}

// Role is what a box is in its island.
type Role uint8

// The roles. A box that is none of the others is not in the configuration yet.
const (
	RoleNone      Role = 0
	RoleLearner   Role = 1
	RoleFollower  Role = 2
	RoleCandidate Role = 3
	RoleLeader    Role = 4
)

func (r Role) String() string {
	return [...]string{"none", "learner", "follower", "candidate", "leader"}[min(r, RoleLeader)]
}

func (c *check) sends(sends []Send) {
	c.length("sends", len(sends), 0, FrameItemsMax)
	for _, s := range sends {
		c.length("send", len(s.Bytes), 1, PeerBytesMax)
	}
}

func (c *check) received(received []Received) {
	c.length("received", len(received), 0, FrameItemsMax)
	for _, r := range received {
		c.length("received", len(r.Bytes), 1, PeerBytesMax)
	}
}

// Validate checks a report against every limit; its error is a *Malformed.
func (r *IslandReport) Validate() error {
	c := check{}
	c.island(r)
	return c.result()
}

func (c *check) island(r *IslandReport) {
	if r == nil {
		return
	}
	c.value("role", r.Role <= RoleLeader)
	c.length("boxes", len(r.Boxes), 0, BoxesMax)
	for _, b := range r.Boxes {
		c.value("role", b.Role <= RoleLeader)
	}
}
