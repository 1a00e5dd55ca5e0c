package vault

import (
	"slices"

	"strongroom/protocol/wire"
	"strongroom/vault/hal"
	"strongroom/vault/internal/ledger"
	"strongroom/vault/internal/record"
)

// proposal is an entry on its way to being committed.
type proposal struct {
	command record.Command
	head    ledger.Head
	then    func(record.Outcome) // answers who asked; nil when nobody did
}

// propose appends a command to the log. What it does is decided only when it
// is committed: by then another may have come first.
func (v *Vault) propose(c record.Command, then func(record.Outcome)) {
	plaintext, err := c.Encode()
	if err != nil {
		v.out.Fatal = err
		return
	}
	e, err := v.ledger.Append(v.rand, plaintext)
	if err != nil {
		v.out.Fatal = err
		return
	}
	v.out.Append = append(v.out.Append, e)
	v.proposed = append(v.proposed, proposal{c, v.ledger.Head(), then})
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
	v.out.Anchor = anchorJob{head, ledger.Anchor(v.fleet.ID, head)}
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
		v.out.Fatal = a.err // whether it was written is not known: the restart finds out
		return
	}
	v.anchoring = false
	for v.committed < a.head.Index {
		p := v.proposed[0]
		v.proposed = v.proposed[1:]
		v.committed++
		o := v.apply(&p.command)
		if p.then != nil {
			p.then(o)
		}
	}
}

// apply carries out a committed command.
func (v *Vault) apply(c *record.Command) record.Outcome {
	r, o := c.Apply(v.records[c.Account], v.policy)
	if !o.Changed {
		return o
	}
	v.records[c.Account] = r
	v.count(c)
	if r.State == wire.StateExhausted {
		v.expiring[c.Account] = r.OpenUntilMillis
	} else {
		delete(v.expiring, c.Account)
	}
	return o
}

func (v *Vault) count(c *record.Command) {
	n := &v.out.Counts
	switch {
	case c.Register != nil:
		n.Registered++
	case c.Debit != nil:
		n.Debited++
	case c.Refill != nil:
		n.Recovered++
	case c.Delete != nil:
		n.Deleted++
	case c.Destroy != nil:
		n.Destroyed++
	}
}

// expire proposes the destruction of records whose last attempt was not
// proven in time.
func (v *Vault) expire() {
	due := []string{}
	for account, at := range v.expiring {
		if v.nowMillis > at {
			due = append(due, account)
		}
	}
	slices.Sort(due) // the same input gives the same output
	for _, account := range due {
		delete(v.expiring, account) // proposed once; a restart finds it again
		r := v.records[account]
		v.propose(record.Command{Account: account, Destroy: &record.Destroy{
			Generation: r.Generation, Slot: r.Slot, NowMillis: v.nowMillis,
		}}, nil)
	}
}
