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
	Found     []Found   `cbor:"6,keyasint,omitempty"` // answers to Out.Reads
	Kept      uint64    `cbor:"7,keyasint,omitempty"` // the checkpoint of this serial is on stable storage
	Epoch     bool      `cbor:"8,keyasint,omitempty"` // begin a new epoch now, not only when it is time

	// Of an island of several boxes (spec/island.md).
	Ticks    uint32     `cbor:"9,keyasint,omitempty"`  // of TickMillis each, since the last In
	Received []Received `cbor:"10,keyasint,omitempty"` // from other boxes, in the order in which they came
	Order    []byte     `cbor:"11,keyasint,omitempty"` // a cold start's, of the custodians (bundle.Order)

	// Replacement is the custodians' certificate for a box in the place of a
	// lost one (bundle.Replacement). The box that leads has the island agree on it.
	Replacement []byte `cbor:"12,keyasint,omitempty"`

	// Layouts are the fleet's islands as the host knows them; shown once, and
	// again whenever there is a newer layout.
	Layouts *Layouts `cbor:"13,keyasint,omitempty"`

	// Gone are boxes whose processes ended, as far as the node can tell: their
	// lines broke, both ways. The box need not wait for them in silence.
	Gone []BoxID `cbor:"14,keyasint,omitempty"`
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

	// Reads and Pages are carried out in the order in which they come: a read
	// sees every page that came before it, and none that comes after.
	Reads []Read `cbor:"5,keyasint,omitempty"`

	// Pages replace those of the same keys, but only with the Checkpoint that
	// comes with the last of them: all of them or none.
	Pages      []Page      `cbor:"6,keyasint,omitempty"`
	Checkpoint *Checkpoint `cbor:"7,keyasint,omitempty"`

	// Of an island of several boxes.
	Sends  []Send        `cbor:"8,keyasint,omitempty"`
	Island *IslandReport `cbor:"9,keyasint,omitempty"` // when it is another one than before
}

// Read asks for pages that the node keeps for the box.
type Read struct {
	ID   uint64   `cbor:"1,keyasint"` // the box's; the node only repeats it
	Keys [][]byte `cbor:"2,keyasint"`
}

// Found answers the Read of the same id.
type Found struct {
	ID     uint64   `cbor:"1,keyasint"`
	Values [][]byte `cbor:"2,keyasint"` // one a key, in their order; empty for a page that is not there
}

// Page is what the node keeps for the box under a key. Both mean nothing to it.
type Page struct {
	Key   []byte `cbor:"1,keyasint"`
	Bytes []byte `cbor:"2,keyasint"`
}

// Checkpoint says that the pages stand for all entries of the log up to an
// index: the node may drop those when it keeps the pages.
type Checkpoint struct {
	Serial uint64   `cbor:"1,keyasint"`
	Index  uint64   `cbor:"2,keyasint"`
	Drop   [][]byte `cbor:"3,keyasint,omitempty"` // pages whose keys begin so are dropped before the new ones are kept
}

// Disk is what a box asks its node for while it opens.
type Disk interface {
	// Entries gives some entries after an index, in order; none where the log
	// ends. Where the log begins later than that it answers an error.
	Entries(after uint64) ([]Entry, error)
	// Read gives a value a key, as Found does.
	Read(keys [][]byte) ([][]byte, error)
	// Keep makes a checkpoint durable, as Out.Checkpoint asks.
	Keep([]Page, Checkpoint) error
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

	Epochs       uint64 `cbor:"7,keyasint,omitempty"`  // epochs begun
	Shredded     uint64 `cbor:"8,keyasint,omitempty"`  // keys of old epochs that the HSM destroyed
	AlertsLost   uint64 `cbor:"10,keyasint,omitempty"` // alerts that a start could not hold
	EpochsFailed uint64 `cbor:"9,keyasint,omitempty"`  // times that the HSM refused to make or destroy one; it is tried again
}

// Add adds another count.
func (c *Counts) Add(o Counts) {
	c.Registered += o.Registered
	c.Debited += o.Debited
	c.Recovered += o.Recovered
	c.Destroyed += o.Destroyed
	c.Deleted += o.Deleted
	c.Refused += o.Refused
	c.Epochs += o.Epochs
	c.Shredded += o.Shredded
	c.EpochsFailed += o.EpochsFailed
	c.AlertsLost += o.AlertsLost
}
