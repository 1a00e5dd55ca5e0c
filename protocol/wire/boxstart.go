package wire

import (
	"fmt"
	"unicode/utf8"
)

// Secret is a passphrase or PIN that refuses to print.
type Secret []byte

func (Secret) String() string             { return "wire.Secret(hidden)" }
func (Secret) GoString() string           { return "wire.Secret(hidden)" }
func (Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, "wire.Secret(hidden)") }

// HSM says which HSM a box opens. It is the node's word: a wrong place or
// secret opens nothing, and another HSM does not open the island's keys.
type HSM struct {
	Provider string `cbor:"1,keyasint"` // "soft" or "tpm"
	Place    string `cbor:"2,keyasint"` // the absolute path of its folder
	Secret   Secret `cbor:"3,keyasint"`
	Device   string `cbor:"4,keyasint,omitempty"` // of tpm: the absolute path of the device or unix socket
}

// Start is what a box's process is told first.
type Start struct {
	HSM      HSM    `cbor:"1,keyasint"`
	Document []byte `cbor:"2,keyasint"` // the fleet's document
	Island   []byte `cbor:"3,keyasint"` // the island's sealed keys
	Workers  uint16 `cbor:"4,keyasint"` // goroutines that run jobs; 0 means one a core

	// Replacements are the certificates of boxes that the document does not
	// name, in the order in which the island agreed on them.
	Replacements [][]byte `cbor:"5,keyasint,omitempty"`
}

// Want asks for entries of the log while the box opens. Out asks for pages
// then, and gives those of a checkpoint; the node answers each frame before
// the next comes.
type Want struct {
	After uint64 `cbor:"1,keyasint"` // the index
}

// Entries answers Want: some entries after its index; none where the log ends.
type Entries struct {
	Entries []Entry `cbor:"1,keyasint,omitempty"`
}

// Ready says that the log was taken and requests are served.
type Ready struct {
	Walls []string `cbor:"1,keyasint"` // what the kernel gave to keep the box in, in words
}

// Fault names why a box stopped.
type Fault string

const (
	FaultFrame   Fault = "frame"   // the node sent what does not belong on the pipe
	FaultSecret  Fault = "secret"  // the HSM's passphrase or PIN is wrong
	FaultHSM     Fault = "hsm"     // the HSM does not open
	FaultWall    Fault = "wall"    // the kernel does not give what keeps a box in
	FaultLog     Fault = "log"     // document, island keys or log were refused
	FaultStopped Fault = "stopped" // it ran, and its HSM or its log failed
)

// Failed is the last word of a box's process.
type Failed struct {
	Fault   Fault  `cbor:"1,keyasint"`
	Message string `cbor:"2,keyasint"`
}

// Validate checks a message against every limit; its error is a *Malformed.
func (s Start) Validate() error {
	c := check{}
	c.length("provider", len(s.HSM.Provider), 1, providerMax)
	c.length("place", len(s.HSM.Place), 1, PlaceBytesMax)
	c.length("secret", len(s.HSM.Secret), 0, SecretBytesMax)
	c.length("device", len(s.HSM.Device), 0, PlaceBytesMax)
	c.length("document", len(s.Document), 1, DocumentBytesMax)
	c.length("island", len(s.Island), 1, IslandBytesMax)
	c.value("workers", s.Workers <= workersMax)
	c.length("replacements", len(s.Replacements), 0, ReplacementsMax)
	for _, r := range s.Replacements {
		c.length("replacement", len(r), 1, ReplacementBytesMax)
	}
	return c.result()
}

// Validate checks a message against every limit; its error is a *Malformed.
func (e Entries) Validate() error {
	c := check{}
	c.entries(e.Entries)
	return c.result()
}

// Validate checks a message against every limit; its error is a *Malformed.
func (Want) Validate() error { return nil }

// Validate checks a message against every limit; its error is a *Malformed.
func (in In) Validate() error {
	c := check{}
	c.length("requests", len(in.Requests), 0, FrameItemsMax)
	for _, r := range in.Requests {
		c.length("request", len(r.Sealed), 0, RequestBytesMax)
	}
	c.length("found", len(in.Found), 0, FrameItemsMax)
	for _, f := range in.Found {
		c.length("values", len(f.Values), 1, ReadKeysMax)
		for _, v := range f.Values {
			c.length("value", len(v), 0, PageBytesMax)
		}
	}
	c.received(in.Received)
	c.length("order", len(in.Order), 0, OrderBytesMax)
	c.length("replacement", len(in.Replacement), 0, ReplacementBytesMax)
	if in.Layouts != nil && c.err == nil {
		return in.Layouts.Validate()
	}
	return c.result()
}

// Validate checks a message against every limit; its error is a *Malformed.
func (r Ready) Validate() error {
	c := check{}
	c.length("walls", len(r.Walls), 0, WallsMax)
	for _, w := range r.Walls {
		c.length("wall", len(w), 1, WallBytesMax)
	}
	return c.result()
}

// Validate checks a message against every limit; its error is a *Malformed.
func (o Out) Validate() error {
	c := check{}
	c.entries(o.Append)
	c.alerts(o.Alerts)
	c.length("replies", len(o.Replies), 0, FrameItemsMax)
	for _, r := range o.Replies {
		c.length("reply", len(r.Sealed), 0, AnswerBytesMax)
		c.code(r.Refused)
		c.value("reply", (len(r.Sealed) == 0) != (r.Refused == ""))
	}
	c.pages(o)
	c.sends(o.Sends)
	c.island(o.Island)
	return c.result()
}

// pages checks what an Out asks of the node's disk.
func (c *check) pages(o Out) {
	c.length("reads", len(o.Reads), 0, FrameItemsMax)
	for _, r := range o.Reads {
		c.length("keys", len(r.Keys), 1, ReadKeysMax)
		for _, k := range r.Keys {
			c.length("key", len(k), 1, KeyBytesMax)
		}
	}
	c.length("pages", len(o.Pages), 0, FrameItemsMax)
	for _, p := range o.Pages {
		c.length("key", len(p.Key), 1, KeyBytesMax)
		c.length("page", len(p.Bytes), 1, PageBytesMax)
	}
	if o.Checkpoint != nil {
		c.length("drop", len(o.Checkpoint.Drop), 0, FrameItemsMax)
		for _, prefix := range o.Checkpoint.Drop {
			c.length("drop", len(prefix), 1, KeyBytesMax)
		}
	}
	c.value("checkpoint", o.Checkpoint == nil || o.Checkpoint.Serial > 0 && len(o.Pages) > 0)
}

// Validate checks a message against every limit; its error is a *Malformed.
func (f Failed) Validate() error {
	c := check{}
	switch f.Fault {
	case FaultFrame, FaultSecret, FaultHSM, FaultWall, FaultLog, FaultStopped:
	default:
		c.fail(ReasonValue, "fault")
	}
	c.length("message", len(f.Message), 0, FaultBytesMax)
	c.value("message", utf8.ValidString(f.Message))
	return c.result()
}

// entries have indices without a gap.
func (c *check) entries(entries []Entry) {
	c.length("entries", len(entries), 0, FrameItemsMax)
	for i, e := range entries {
		c.length("entry", len(e.Bytes), 1, EntryBytesMax)
		c.value("index", e.Index != 0 && e.Index == entries[0].Index+uint64(i))
	}
}
