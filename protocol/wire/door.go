package wire

// The door between a box (trusted) and its node (its host, not trusted):
// everything that passes it, in both directions. Ids of requests are the
// node's; the box only repeats them.

// In is what a node puts through the door.
type In struct {
	NowMillis uint64    `cbor:"1,keyasint"`           // the node's clock, Unix time in milliseconds
	Durable   uint64    `cbor:"2,keyasint,omitempty"` // every entry up to this index is on stable storage
	Requests  []Request `cbor:"3,keyasint,omitempty"` // sealed requests
	Alerted   uint64    `cbor:"4,keyasint,omitempty"` // every alert of entries up to this index is on stable storage
	Stopping  bool      `cbor:"5,keyasint,omitempty"` // the node is about to stop: nobody is held any more
}

// Request is one sealed request.
type Request struct {
	ID     uint64 `cbor:"1,keyasint"`
	Sealed []byte `cbor:"2,keyasint"`
}

// Out is what a box gives to its node.
type Out struct {
	Append  []Entry        `cbor:"1,keyasint,omitempty"` // to be made durable in this order before In.Durable names them
	Replies []Reply        `cbor:"2,keyasint,omitempty"`
	Counts  Counts         `cbor:"3,keyasint"`
	Alerts  []SealedAlerts `cbor:"4,keyasint,omitempty"` // in the order of the log
}

// Entry is one sealed entry of the log. Its index starts at 1 and has no gaps.
type Entry struct {
	Index uint64 `cbor:"1,keyasint"`
	Bytes []byte `cbor:"2,keyasint"`
}

// Reply answers the request of the same id: either Sealed, or, where the
// request could not be opened, Refused in clear.
type Reply struct {
	ID      uint64 `cbor:"1,keyasint"`
	Sealed  []byte `cbor:"2,keyasint,omitempty"`
	Refused Code   `cbor:"3,keyasint,omitempty"`
}

// Counts is what the box counted since its last Out. It names no account.
type Counts struct {
	Registered uint64 `cbor:"1,keyasint,omitempty"` // records made or replaced
	Debited    uint64 `cbor:"2,keyasint,omitempty"` // attempts charged
	Recovered  uint64 `cbor:"3,keyasint,omitempty"` // proofs accepted
	Destroyed  uint64 `cbor:"4,keyasint,omitempty"` // records destroyed
	Deleted    uint64 `cbor:"5,keyasint,omitempty"` // records deleted by their owner
	Refused    uint64 `cbor:"6,keyasint,omitempty"` // requests refused, whatever the reason
}

// Add adds another count.
func (c *Counts) Add(o Counts) {
	c.Registered += o.Registered
	c.Debited += o.Debited
	c.Recovered += o.Recovered
	c.Destroyed += o.Destroyed
	c.Deleted += o.Deleted
	c.Refused += o.Refused
}
