// Package vault is the trusted heart of a box: Step(in) -> out. It decides;
// it does no I/O, reads no clock, starts no goroutine, and neither multiplies
// nor calls the HSM: what costs time it gives out as jobs, and their results
// come back as inputs.
//
// The life of a guess: a sealed request comes in -> job: open it, check the
// token -> Debit is proposed to the log -> the host made the entry durable ->
// job: the HSM's memory holds the new head -> the debit is applied and gives a
// record.Ticket -> job: evaluate, with that ticket -> the answer leaves.
package vault

import (
	"crypto/hpke"
	"fmt"
	"io"
	"iter"

	"strongroom/protocol/bundle"
	"strongroom/protocol/opaque"
	"strongroom/protocol/wire"
	"strongroom/vault/hal"
	"strongroom/vault/internal/ledger"
	"strongroom/vault/internal/record"
)

// Vault is the state of one box. It is not safe for concurrent use: one loop
// calls Step.
type Vault struct {
	fleet       *bundle.Fleet
	suite       *opaque.Suite
	policy      record.Policy
	server      *opaque.Server // its AKE key multiplies in the HSM: for jobs only
	channel     hpke.PrivateKey
	island      *island
	ticketLabel string
	rand        io.Reader

	nowMillis uint64 // the node's clock, never going back
	records   map[string]record.Record
	due       map[string]uint64 // accounts -> record.DueMillis
	soonest   uint64            // none of them is due before
	ledger    *ledger.Ledger
	proposed  []proposal // in the order of the log, not yet committed
	durable   uint64     // the host says: on stable storage
	committed uint64     // anchored in the HSM, applied
	anchoring bool       // an anchor job is out

	out Output // of the Step that runs now
}

// Input is what Step is given.
type Input struct {
	wire.In
	Done []Result
}

// Output is what Step gives. Fatal stops the box: nothing else of the output
// may be used then.
type Output struct {
	wire.Out
	Jobs   []Job
	Anchor Job // the one job that writes the HSM's memory, nil for none
	Fatal  error
}

// Open starts a box from what its HSM and its host keep. It reads the whole
// log and refuses one that was changed or is older than the HSM's anchor.
// Rand must be a cryptographically secure generator.
func Open(h hal.HAL, rand io.Reader, document, sealedIsland []byte, entries iter.Seq2[wire.Entry, error]) (*Vault, error) {
	fleet, err := bundle.Decode(document)
	if err != nil {
		return nil, err
	}
	v := &Vault{
		fleet: fleet, rand: rand,
		policy: record.Policy{
			Attempts: fleet.Policy.Attempts, TicketMillis: fleet.Policy.TicketMillis, WaitsMillis: fleet.Policy.WaitsMillis,
			Lifetime: fleet.Policy.Lifetime, ResetMillis: fleet.Policy.ResetMillis,
		},
		ticketLabel: fmt.Sprintf("strongroom/v1/ticket %x", fleet.ID),
		records:     map[string]record.Record{}, due: map[string]uint64{},
	}
	if v.suite, err = opaque.SuiteByID(fleet.Suite); err != nil {
		return nil, err
	}
	if v.island, err = openIsland(h, document, sealedIsland); err != nil {
		return nil, err
	}
	if v.channel, err = v.island.channelKey(h); err != nil {
		return nil, err
	}
	v.server = &opaque.Server{
		Suite: v.suite, Context: []byte(wire.OpaqueContext), Identity: fleet.ID[:], PublicKey: fleet.AKE,
		AKE: multiplier(func(p []byte) ([]byte, error) { return h.Multiply(keyAKE, p) }),
	}
	return v, v.replay(h, entries)
}

// replay applies the log and compares it with the anchor.
func (v *Vault) replay(h hal.HAL, entries iter.Seq2[wire.Entry, error]) error {
	memory, err := h.ReadMemory()
	if err != nil {
		return err
	}
	anchor, err := ledger.ParseAnchor(v.fleet.ID, memory)
	if err != nil {
		return err
	}
	v.ledger = ledger.New(v.fleet.ID, &v.island.Log)
	reached := v.ledger.Head() == anchor
	for e, err := range entries {
		if err != nil {
			return err
		}
		plaintext, err := v.ledger.Replay(e)
		if err != nil {
			return err
		}
		c, err := record.DecodeCommand(plaintext)
		if err != nil {
			return fmt.Errorf("%w: entry %d", err, e.Index)
		}
		v.apply(&c)
		reached = reached || v.ledger.Head() == anchor
	}
	head := v.ledger.Head()
	if !reached {
		return fmt.Errorf("%w: it ends at entry %d, the anchor stands at %d", ledger.ErrRollback, head.Index, anchor.Index)
	}
	v.durable, v.committed = head.Index, head.Index
	v.out = Output{}
	return h.WriteMemory(ledger.Anchor(v.fleet.ID, head))
}

// Fleet is the fleet's document, for the program around the box.
func (v *Vault) Fleet() *bundle.Fleet { return v.fleet }

// Step takes everything that happened since the last call.
func (v *Vault) Step(in Input) Output {
	v.out = Output{}
	v.nowMillis = max(v.nowMillis, in.NowMillis)
	v.durable = max(v.durable, min(in.Durable, v.ledger.Head().Index))
	for _, r := range in.Requests {
		v.request(r)
	}
	for _, done := range in.Done {
		done.enter(v)
	}
	v.expire()
	v.anchor()
	return v.out
}
