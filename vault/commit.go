package vault

import (
	"strongroom/protocol/wire"
	"strongroom/vault/hal"
	"strongroom/vault/internal/ledger"
	"strongroom/vault/internal/record"
)

// write is what was written into the log and waits for being anchored.
type write struct {
	head ledger.Head
	then func()
}

// propose has a command carried out, on every box of the island. What it does
// is decided only when it is committed: by then another may have come first.
// Then answers who asked; nil when nobody did.
func (v *Vault) propose(h *held, c record.Command, then func(record.Outcome)) {
	c.Account = h.account
	plaintext, err := c.Encode()
	if err != nil {
		v.fail(err)
		return
	}
	h.pins++
	if v.group != nil {
		v.group.propose(v, h, plaintext, then)
		return
	}
	var heads []ledger.Head
	heads = v.write([][]byte{plaintext}, func() {
		head := heads[0]
		v.head = head
		o := v.apply(head.Index, h, &c)
		if then != nil {
			then(o)
		}
		v.unpin(h)
	})
}

// write appends to the log, and goes on when that is anchored. It gives the
// head after each.
func (v *Vault) write(plaintexts [][]byte, then func()) (heads []ledger.Head) {
	for _, plaintext := range plaintexts {
		e, err := v.ledger.Append(v.rand, plaintext)
		if err != nil {
			v.fail(err)
			return heads
		}
		v.out.Append = append(v.out.Append, e)
		heads = append(heads, v.ledger.Head())
	}
	v.writes = append(v.writes, write{v.ledger.Head(), then})
	return heads
}

// anchor asks for the newest durable head to be written into the HSM's
// memory; one such job is out at a time, so a busy box writes once for many.
// Order of every commit: the host's fsync, the anchor, the answer. A host that
// throws away what it called durable is found out at the next start.
func (v *Vault) anchor() {
	if v.anchoring || v.durable == v.anchored.Index {
		return
	}
	head := v.anchored
	for _, w := range v.writes {
		if w.head.Index > v.durable {
			break
		}
		head = w.head
	}
	if head == v.anchored {
		return
	}
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

func (a anchored) enter(v *Vault) {
	if a.err != nil {
		v.fail(a.err) // whether it was written is not known: the restart finds out
		return
	}
	v.anchoring = false
	v.anchored = a.head
	v.finish()
}

// finish goes on with everything up to the anchored head.
func (v *Vault) finish() {
	for len(v.writes) > 0 && v.writes[0].head.Index <= v.anchored.Index {
		w := v.writes[0]
		v.writes = v.writes[1:]
		w.then()
	}
}

// apply carries out a committed command, the log's entry of that index.
func (v *Vault) apply(index uint64, h *held, c *record.Command) record.Outcome {
	before := h.record
	after, o := c.Apply(before, v.policyOf(h.account))
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
