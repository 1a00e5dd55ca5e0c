package vault

import (
	"strongroom/protocol/wire"
	"strongroom/vault/hal"
	"strongroom/vault/internal/ledger"
	"strongroom/vault/internal/record"
)

// proposal is an entry on its way to being committed.
type proposal struct {
	command record.Command
	record  *held // pinned
	head    ledger.Head
	then    func(record.Outcome) // answers who asked; nil when nobody did
}

// propose appends a command to the log. What it does is decided only when it
// is committed: by then another may have come first.
func (v *Vault) propose(h *held, c record.Command, then func(record.Outcome)) {
	c.Account = h.account
	plaintext, err := c.Encode()
	if err != nil {
		v.fail(err)
		return
	}
	e, err := v.ledger.Append(v.rand, plaintext)
	if err != nil {
		v.fail(err)
		return
	}
	h.pins++
	v.out.Append = append(v.out.Append, e)
	v.proposed = append(v.proposed, proposal{c, h, v.ledger.Head(), then})
}

// anchor asks for the newest durable head to be written into the HSM's
// memory; one such job is out at a time, so a busy box writes once for many.
// Order of every commit: the host's fsync, the anchor, the answer. A host that
// throws away what it called durable is found out at the next start.
func (v *Vault) anchor() {
	if v.anchoring || v.durable == v.committed {
		return
	}
	head := v.proposed[v.durable-v.committed-1].head
	v.anchoring = true
	v.out.Anchor = anchorJob{head, ledger.Anchor{Head: head, Boot: v.boot}.Encode(v.fleet.ID)}
}

type anchorJob struct {
	head   ledger.Head
	memory []byte
}

func (j anchorJob) Run(h hal.HAL) Result { return anchored{j.head, h.WriteMemory(j.memory)} }

type anchored struct {
	head ledger.Head
	err  error
}

// enter commits everything up to the anchored head.
func (a anchored) enter(v *Vault) {
	if a.err != nil {
		v.fail(a.err) // whether it was written is not known: the restart finds out
		return
	}
	v.anchoring = false
	for v.committed < a.head.Index {
		p := v.proposed[0]
		v.proposed = v.proposed[1:]
		v.committed++
		v.head = p.head
		o := v.apply(v.committed, p.record, &p.command)
		if p.then != nil {
			p.then(o)
		}
		v.unpin(p.record)
	}
}

// apply carries out a committed command, the log's entry of that index.
func (v *Vault) apply(index uint64, h *held, c *record.Command) record.Outcome {
	before := h.record
	after, o := c.Apply(before, v.policy)
	if o.Changed {
		h.record = after
		v.touch(h)
		v.remind(h)
		v.count(c, before, after)
		v.alert(index, h, o.Events)
		if o.Events != nil {
			v.wake(h)
		}
	}
	return o
}

// count goes by what became of the record: a registration that only waits is
// none yet.
func (v *Vault) count(c *record.Command, before, r record.Record) {
	n := &v.out.Counts
	switch {
	case c.Debit != nil:
		n.Debited++
	case c.Refill != nil:
		n.Recovered++
	case r.Generation != before.Generation:
		n.Registered++
	case r.State == wire.StateDeleted && before.State != r.State:
		n.Deleted++
	case r.State == wire.StateDestroyed && before.State != r.State:
		n.Destroyed++
	}
}
