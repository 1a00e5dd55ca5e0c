package wire

// The door between a box (trusted) and its node (its host, not trusted):
// everything that passes it, in both directions. Ids of requests are the
// node's; the box only repeats them.

// In is what a node puts through the door.
type In struct {
	NowMillis uint64    // the node's clock, Unix time in milliseconds
	Durable   uint64    // every entry up to this index is on stable storage
	Requests  []Request // sealed requests
}

// Request is one sealed request.
type Request struct {
	ID     uint64
	Sealed []byte
}

// Out is what a box gives to its node.
type Out struct {
	Append  []Entry // to be made durable in this order before In.Durable names them
	Replies []Reply
	Counts  Counts
}

// Entry is one sealed entry of the log. Its index starts at 1 and has no gaps.
type Entry struct {
	Index uint64
	Bytes []byte
}

// Reply answers the request of the same id: either Sealed, or, where the
// request could not be opened, Refused in clear.
type Reply struct {
	ID      uint64
	Sealed  []byte
	Refused Code
}

// Counts is what the box counted since its last Out. It names no account.
type Counts struct {
	Registered uint64 // records made or replaced
	Debited    uint64 // attempts charged
	Recovered  uint64 // proofs accepted
	Destroyed  uint64 // records destroyed
	Deleted    uint64 // records deleted by their owner
	Refused    uint64 // requests refused, whatever the reason
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
