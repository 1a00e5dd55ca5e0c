package vault

import (
	"fmt"

	"strongroom/protocol/wire"
	"strongroom/vault/hal"
	"strongroom/vault/internal/ledger"
	"strongroom/vault/internal/record"
	"strongroom/vault/internal/tree"
)

// arriving is another box's record tree on its way here. It is sealed in this
// box's epoch and kept beside the old tree, whose place it takes when all of it
// is there and its root is the one that was named.
type arriving struct {
	from       *peer
	id         uint64
	head       wire.StreamHead
	state      groupState
	tree       *tree.Tree
	generation uint32
	due        map[tree.Path]uint64

	next    uint64 // part
	serial  uint64 // of the checkpoint that is on its way; 0 for none
	busy    bool   // a part is being sealed or kept
	last    bool   // it is the last one
	whole   bool   // the tree is kept, and the checkpoint that names it is on its way
	touched uint64 // ticks at the last part
}

// part takes a part of a stream. What does not fit is not acknowledged, and
// comes again.
func (g *group) part(v *Vault, p *peer, run wire.GroupID, part wire.StreamPart) {
	if a := g.arriving; a != nil && (a.from != p || a.id != part.Stream) && !a.whole && !a.busy && g.ticks > a.touched+streamTicks {
		g.arriving = nil // its sender is gone
	}
	if g.arriving == nil && part.Head != nil && part.Number == 0 && v.saving == nil && g.joins(v, run, true) {
		g.arrive(v, p, part)
	}
	a := g.arriving
	if a == nil || a.from != p || a.id != part.Stream {
		return
	}
	a.touched = g.ticks
	switch {
	case part.Number < a.next:
		p.parcels = append(p.parcels, wire.Parcel{Took: &wire.StreamTook{Stream: a.id, Number: a.next - 1}})
	case part.Number > a.next || a.busy:
	default:
		a.take(v, part)
	}
}

// arrive begins a stream.
func (g *group) arrive(v *Vault, p *peer, part wire.StreamPart) {
	state, err := decodeState(part.Head.State)
	if err != nil {
		return
	}
	if state.Applied.Index <= g.applied.Index { // it has all of it: Raft says so
		p.parcels = append(p.parcels, wire.Parcel{Took: &wire.StreamTook{Stream: part.Stream, Number: part.Number, Ended: true}})
		g.must(v, g.raft.Step(part.Head.Raft))
		return
	}
	g.arriving = &arriving{
		from: p, id: part.Stream, head: *part.Head, state: state, tree: tree.New(tree.Root{}), generation: v.generation + 1,
		due: map[tree.Path]uint64{},
	}
}

// take has the records of a part sealed.
func (a *arriving) take(v *Vault, part wire.StreamPart) {
	job := arriveJob{a, saveJob{fleet: v.fleet.ID, generation: a.generation, hasher: v.hasher, epochs: v.epochs}}
	for _, plaintext := range part.Records {
		account, r, err := record.Decode(plaintext)
		if err != nil {
			v.fail(err)
			return
		}
		p := v.hasher.Path(account)
		job.records = append(job.records, savedRecord{p, account, r})
		if at, found := r.DueMillis(); found && len(a.due) < dueMax {
			a.due[p] = at
		}
	}
	if err := job.drawSalts(v.rand); err != nil {
		v.fail(err)
		return
	}
	a.busy, a.last = true, part.Last
	v.out.Jobs = append(v.out.Jobs, job)
}

type arriveJob struct {
	arriving *arriving
	saveJob
}

// Run seals. The job beside it is the checkpoint's.
func (j arriveJob) Run(hal.HAL) Result { return arrived{j.arriving, j.seal()} }

type arrived struct {
	arriving *arriving
	sealedRecords
}

// enter puts the records of a part into the new tree and has them kept.
func (r arrived) enter(v *Vault) {
	a, g := r.arriving, v.group
	if g.arriving != a {
		return
	}
	if r.err != nil {
		v.fail(r.err)
		return
	}
	pages := r.pages
	if len(r.leaves) > 0 {
		for _, p := range a.tree.Apply(r.leaves) {
			pages = append(pages, wire.Page{Key: nodeKey(a.generation, p.Key), Bytes: p.Bytes})
		}
	}
	if len(pages) == 0 {
		a.kept(v)
		return
	}
	a.serial = v.nextSerial()
	v.out.Pages = pages
	v.out.Checkpoint = &wire.Checkpoint{Serial: a.serial}
	if a.next == 0 {
		v.out.Checkpoint.Drop = prefixes(a.generation) // of a stream that broke off
	}
}

// keptPart takes the host's word for pages of a stream, or for the checkpoint
// that ends it.
func (g *group) keptPart(v *Vault, serial uint64) bool {
	a := g.arriving
	if a == nil || a.serial == 0 || serial < a.serial {
		return false
	}
	a.serial = 0
	if a.whole {
		g.settled(v)
	} else {
		a.kept(v)
	}
	return true
}

// kept acknowledges a part, and after the last one looks at what came.
func (a *arriving) kept(v *Vault) {
	a.tree.Kept()
	a.tree.Shrink(nodesMax)
	a.busy = false
	a.next++
	if !a.last {
		a.from.parcels = append(a.from.parcels, wire.Parcel{Took: &wire.StreamTook{Stream: a.id, Number: a.next - 1}})
		return
	}
	if root := a.tree.Root(); root.Hash != a.head.Root || root.Leaves != a.head.Leaves {
		v.fail(fmt.Errorf("%w: of the stream from box %s", ErrRoot, a.from.box))
		return
	}
	v.group.install(v)
}

// install puts the new tree in the place of the old one: from here on the box
// knows nothing of what it had before, and a checkpoint says so to its next
// start.
func (g *group) install(v *Vault) {
	a := g.arriving
	v.tree, v.due = a.tree, a.due
	old := v.generation
	v.generation = a.generation
	v.held, v.clock, v.loading, v.reads, v.changed = map[tree.Path]*held{}, nil, map[tree.Path]*loading{}, map[uint64]reading{}, nil
	v.soonest = 0
	v.turn.reads = 0
	for _, waits := range g.queue {
		if waits.last != nil {
			g.must(v, g.raft.Applied(*waits.last)) // the tree has them
		}
	}
	g.queue, g.places = nil, map[uint64]ledger.Head{}
	if err := g.take(v, a.state); err != nil {
		v.fail(err)
		return
	}
	state := g.state(v)
	c := ledger.Checkpoint{Serial: v.nextSerial(), Head: v.anchored, Root: v.tree.Root(), EpochMillis: v.saved.EpochMillis, Due: v.dueList()}
	var err error
	if c.Group, err = encodeState(state); err != nil {
		v.fail(err)
		return
	}
	sealed, err := c.Seal(v.rand, v.fleet.ID, v.epochs)
	if err != nil {
		v.fail(err)
		return
	}
	a.whole, a.serial = true, c.Serial
	v.saved, v.head = c, v.anchored
	v.out.Pages = []wire.Page{{Key: checkpointKey(), Bytes: sealed}}
	v.out.Checkpoint = &wire.Checkpoint{Serial: c.Serial, Index: c.Head.Index, Drop: prefixes(old)}
}

// settled gives Raft what it waits for: the box has all of it now.
func (g *group) settled(v *Vault) {
	a := g.arriving
	g.arriving = nil
	v.savedMillis = v.ownMillis
	if v.between() {
		v.turn.begin(v)
	}
	a.from.parcels = append(a.from.parcels, wire.Parcel{Took: &wire.StreamTook{Stream: a.id, Number: a.next - 1, Ended: true}})
	g.must(v, g.raft.Step(a.head.Raft))
}
