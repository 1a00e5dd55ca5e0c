// Package vault is the trusted heart of a box: Step(in) -> out. It decides;
// it does no I/O, reads no clock, starts no goroutine, and neither multiplies
// nor calls the HSM: what costs time it gives out as jobs, and their results
// come back as inputs.
//
// The life of a guess: a sealed request comes in -> job: open it, check the
// token -> the host shows the account's record, which must lead to the root
// that the box keeps -> Debit is proposed to the log -> the host made the entry durable ->
// job: the HSM's memory holds the new head -> the debit is applied and gives a
// record.Ticket -> job: evaluate, with that ticket -> the answer leaves.
package vault

import (
	"crypto/hpke"
	"fmt"
	"io"
	"math"

	"strongroom/protocol/bundle"
	"strongroom/protocol/opaque"
	"strongroom/protocol/wire"
	"strongroom/vault/hal"
	"strongroom/vault/internal/ledger"
	"strongroom/vault/internal/record"
	"strongroom/vault/internal/tree"
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

	// nowMillis is the time by which the rules go, never going back: the node's
	// clock, or what the boxes of an island agree on. ownMillis is the node's
	// clock, never going back; 0 before the first Step.
	nowMillis, ownMillis uint64

	group *group // nil: the island has one box

	// The record tree (shelf.go, page.go, due.go).
	hasher     *tree.Hasher
	generation uint32     // of the tree's pages
	tree       *tree.Tree // as the newest checkpoint left it
	held       map[tree.Path]*held
	clock      []*held // all of held, in the order in which shrink comes by
	loading    map[tree.Path]*loading
	reads      map[uint64]reading
	lastRead   uint64
	due        map[tree.Path]uint64 // -> record.DueMillis
	soonest    uint64               // none of them is due before

	layouts  layouts  // layout.go
	alerts   alerts   // alert.go
	watchers watchers // watch.go

	// The log (commit.go).
	ledger    *ledger.Ledger
	writes    []write     // in the order of the log, not yet anchored
	durable   uint64      // the host says: on stable storage
	anchored  ledger.Head // in the HSM
	head      ledger.Head // what is applied: a start may read on from there
	boot      ledger.Boot // of this start
	anchoring bool        // an anchor job is out

	// Checkpoints and epochs (checkpoint.go, turn.go).
	changed     []*held // since the last checkpoint began
	saving      *saving // nil for none
	saved       ledger.Checkpoint
	serial      uint64 // the last that was given to the host
	savedMillis uint64
	epochs      ledger.Epochs
	turn        turn

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

// Open starts a box from what its HSM and its host keep: the checkpoint and
// the log after it. It refuses what was changed or is older than the HSM's
// anchor. Rand must be a cryptographically secure generator. Replacements are
// certificates of boxes that the document does not name, in their order; the
// island agrees on those that it does not know.
func Open(h hal.HAL, rand io.Reader, document, sealedIsland []byte, disk wire.Disk, replacements ...[]byte) (*Vault, error) {
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
		held:        map[tree.Path]*held{}, loading: map[tree.Path]*loading{}, reads: map[uint64]reading{},
		due: map[tree.Path]uint64{}, soonest: math.MaxUint64,
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
	v.layouts = newLayouts(fleet, document)
	if v.alerts, err = openAlerts(fleet); err != nil {
		return nil, err
	}
	if v.hasher, err = tree.NewHasher(v.island.Secret[:]); err != nil {
		return nil, err
	}
	v.server = &opaque.Server{
		Suite: v.suite, Context: []byte(wire.OpaqueContext), Identity: fleet.ID[:], PublicKey: fleet.AKE,
		AKE: multiplier(func(p []byte) ([]byte, error) { return h.Multiply(keyAKE, p) }),
	}
	if len(fleet.Boxes) > 0 {
		if v.group, err = newGroup(v, h, replacements); err != nil {
			return nil, err
		}
	}
	return v, v.restore(h, disk)
}

// Fleet is the fleet's document, for the program around the box.
func (v *Vault) Fleet() *bundle.Fleet { return v.fleet }

// Step takes everything that happened since the last call.
func (v *Vault) Step(in Input) Output {
	v.out = Output{}
	v.tell(in.NowMillis)
	v.durable = max(v.durable, min(in.Durable, v.ledger.Head().Index))
	for _, f := range in.Found {
		v.found(f)
	}
	v.kept(in.Kept) // after what was read before it
	if v.group != nil {
		v.group.hear(v, in.In)
	}
	for _, r := range in.Requests {
		v.request(r)
	}
	for _, done := range in.Done {
		done.enter(v)
	}
	v.expire()
	v.layouts.show(v, in.Layouts)
	v.layouts.propose(v)
	v.endWatches(in.Stopping)
	if v.group != nil {
		v.group.run(v, in.Stopping)
	}
	v.giveAlerts(in.Alerted)
	v.turnEpoch(in.Epoch)
	v.save()
	v.shrink()
	v.anchor()
	return v.out
}

// tell tells the time. What began while the box opened began at the first time
// that it was told.
func (v *Vault) tell(nowMillis uint64) {
	if v.ownMillis == 0 {
		v.savedMillis, v.turn.since = nowMillis, nowMillis
		if v.saved.EpochMillis == 0 {
			v.saved.EpochMillis = nowMillis
		}
	}
	v.ownMillis = max(v.ownMillis, nowMillis)
	if v.group == nil {
		v.nowMillis = v.ownMillis
	}
}

// fail stops the box, for the first reason.
func (v *Vault) fail(err error) {
	if v.out.Fatal == nil {
		v.out.Fatal = err
	}
}
