package record

import (
	"errors"

	"strongroom/protocol/wire"
)

const commandVersion = 1

// ErrCommand: an entry of the log does not parse, though it opened. It was
// written by another version of the program.
var ErrCommand = errors.New("record: the log holds a command of an unknown kind or version")

// Command is one entry of the log: what happens to one account. Exactly one
// of the pointers is set.
type Command struct {
	Version  uint8     `cbor:"1,keyasint"`
	Account  string    `cbor:"2,keyasint"`
	Register *Register `cbor:"3,keyasint,omitempty"`
	Debit    *Debit    `cbor:"4,keyasint,omitempty"`
	Refill   *Refill   `cbor:"5,keyasint,omitempty"`
	Delete   *Delete   `cbor:"6,keyasint,omitempty"`
	Destroy  *Destroy  `cbor:"7,keyasint,omitempty"`
	Mark     *Mark     `cbor:"8,keyasint,omitempty"`
	Cancel   *Cancel   `cbor:"9,keyasint,omitempty"`
	Mature   *Mature   `cbor:"10,keyasint,omitempty"`
	Depart   *Depart   `cbor:"11,keyasint,omitempty"`
	Arrive   *Arrive   `cbor:"12,keyasint,omitempty"`

	// Homes are the fleet's layouts (bundle.Homes), for all accounts: Account is
	// empty, and no record changes.
	Homes []byte `cbor:"13,keyasint,omitempty"`
}

// Outcome is what applying a command came to.
type Outcome struct {
	Refused wire.Code
	Ticket  Ticket // of a debit
	Changed bool   // the record is another than before

	Events []wire.Event // what happened, each by itself; none unless Changed
}

// Encode gives the bytes of the log entry, still to be sealed.
func (c Command) Encode() ([]byte, error) {
	c.Version = commandVersion
	return wire.Encode(c)
}

// DecodeCommand undoes Encode, or gives ErrCommand.
func DecodeCommand(b []byte) (Command, error) {
	var c Command
	if err := wire.Decode(b, &c); err != nil || c.Version != commandVersion || c.count() != 1 {
		return Command{}, ErrCommand
	}
	return c, nil
}

func (c *Command) count() int {
	n := 0
	for _, set := range []bool{c.Register != nil, c.Debit != nil, c.Refill != nil, c.Delete != nil, c.Destroy != nil, c.Mark != nil, c.Cancel != nil, c.Mature != nil, c.Depart != nil, c.Arrive != nil, len(c.Homes) > 0} {
		if set {
			n++
		}
	}
	return n
}

// Apply carries out a committed command. It is the only way a record changes.
func (c *Command) Apply(r Record, p Policy) (Record, Outcome) {
	after, o := c.carryOut(r, p)
	if o.Changed {
		o.Events = c.chronicle(r, &after)
	}
	return after, o
}

func (c *Command) carryOut(r Record, p Policy) (Record, Outcome) {
	var o Outcome
	before, slot := r.Changes, r.Slot
	switch {
	case c.Debit != nil:
		var v Verdict
		r, v = c.Debit.Apply(r, p)
		return r, Outcome{Refused: v.Refused, Ticket: v.Ticket, Changed: r.Slot != slot}
	case c.Refill != nil:
		forgiven := r.Forgiven
		r, o.Refused = c.Refill.Apply(r, p)
		o.Changed = r.Forgiven != forgiven
		return r, o
	case c.Mark != nil:
		r, o.Changed, o.Refused = c.Mark.Apply(r)
		return r, o
	case c.Register != nil:
		r, o.Refused = c.Register.Apply(r, p)
	case c.Delete != nil:
		r, o.Refused = c.Delete.Apply(r, p)
	case c.Cancel != nil:
		r, o.Refused = c.Cancel.Apply(r)
	case c.Mature != nil:
		r, _ = c.Mature.Apply(r, p)
	case c.Destroy != nil:
		r, _ = c.Destroy.Apply(r)
	case c.Depart != nil:
		r, o.Refused = c.Depart.Apply(r, p)
	case c.Arrive != nil:
		r, o.Refused = c.Arrive.Apply(r, p)
	}
	o.Changed = r.Changes != before
	return r, o
}
