package vault

import (
	"fmt"

	"strongroom/protocol/wire"
	"strongroom/vault/internal/consensus"
	"strongroom/vault/internal/ledger"
	"strongroom/vault/internal/record"
)

// applying is a committed entry on its way to being applied.
type applying struct {
	entry   consensus.Entry
	stamp   stamp
	payload []byte // after the stamp
	command record.Command
	record  *held // pinned; nil while it is on its way
	waits   bool  // for the record
	last    *consensus.Work
}

// work carries out what Raft wants done.
func (g *group) work(v *Vault, w consensus.Work) {
	if w.Write != nil {
		g.write(v, w.Write)
	}
	for _, m := range w.Messages {
		g.post(m)
	}
	for _, s := range w.Snapshots {
		g.send(v, s)
	}
	if w.Confirmed > 0 {
		g.release(v, w.Confirmed)
	}
	for i, e := range w.Committed {
		a := &applying{entry: e}
		if i == len(w.Committed)-1 {
			a.last = &w
		}
		g.fetch(v, a)
		g.queue = append(g.queue, a)
	}
}

// write puts Raft's write into the journal. Acknowledgements and votes that
// hang on it leave when it is anchored: the host's word alone, that it is on
// the disk, lets none out.
func (g *group) write(v *Vault, w *consensus.Write) {
	var plaintexts [][]byte
	add := func(r journalRecord) {
		plaintext, err := wire.Encode(r)
		if err != nil {
			v.fail(err)
		}
		plaintexts = append(plaintexts, plaintext)
	}
	for i := range w.Entries {
		add(journalRecord{Entry: &w.Entries[i]})
	}
	if w.State != nil {
		add(journalRecord{State: w.State})
	}
	raft := g.raft
	heads := v.write(plaintexts, func() {
		if raft == g.raft { // it takes part in this run still
			g.must(v, raft.Durable(w))
		}
	})
	for i, e := range w.Entries[:min(len(w.Entries), len(heads))] {
		g.places[e.Index] = heads[i]
	}
	v.finish() // a write of nothing waits for those before it, and for no other
}

// fetch decodes a committed entry, and gets the record that it is about.
func (g *group) fetch(v *Vault, a *applying) {
	if a.entry.IsChange() || len(a.entry.Data) == 0 {
		return
	}
	var err error
	if a.stamp, a.payload, err = parseStamp(a.entry.Data); err == nil && a.stamp.kind == stampCommand {
		a.command, err = record.DecodeCommand(a.payload)
	}
	if err != nil {
		v.fail(fmt.Errorf("%w: entry %d", err, a.entry.Index))
		return
	}
	if a.stamp.kind == stampCommand {
		a.waits = true
		v.hold(a.command.Account, func(h *held) { a.record, a.waits = h, false })
	}
}

// apply applies what is committed and there, in its order.
func (g *group) apply(v *Vault) {
	for len(g.queue) > 0 && !g.queue[0].waits && v.out.Fatal == nil {
		a := g.queue[0]
		g.queue = g.queue[1:]
		if a.entry.Index > g.applied.Index { // a stream may have had it
			g.carryOut(v, a)
		}
		if a.record != nil {
			v.unpin(a.record)
		}
		if a.last != nil {
			g.must(v, g.raft.Applied(*a.last))
		}
	}
}

func (g *group) carryOut(v *Vault, a *applying) {
	g.applied = a.entry.Position()
	v.head = g.journalHead(v)
	v.nowMillis = max(v.nowMillis, a.stamp.millis)
	switch {
	case a.entry.IsChange():
		g.change(v, a.entry)
	case a.stamp.kind == stampMark:
		g.marked(v, a.payload)
	case a.stamp.kind == stampReplacement:
		g.replacedBy(v, a.payload)
	case a.stamp.kind == stampLayout:
		v.layouts.learn(v, a.payload)
	case a.stamp.kind == stampCommand:
		o := v.apply(a.entry.Index, a.record, &a.command)
		if p, ours := g.pending[a.stamp.serial]; ours && a.stamp.boot == v.boot {
			delete(g.pending, a.stamp.serial)
			g.end(v, p, o)
		}
	}
}

// journalHead is from where a start may read on that has all that is applied:
// everything, where all that is anchored is applied.
func (g *group) journalHead(v *Vault) ledger.Head {
	if g.raft != nil && g.applied.Index >= g.raft.Last() && len(v.writes) == 0 {
		return v.anchored
	}
	if head := g.places[g.applied.Index]; head.Index > v.head.Index {
		return head
	}
	return v.head
}
