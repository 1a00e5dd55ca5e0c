package vault

import (
	"math"
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
	before := v.records[c.Account]
	r, o := c.Apply(before, v.policy)
	if !o.Changed {
		return o
	}
	v.records[c.Account] = r
	v.count(c, before, r)
	if at, found := r.DueMillis(); found {
		v.due[c.Account] = at
		v.soonest = min(v.soonest, at)
	} else {
		delete(v.due, c.Account)
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

// expire proposes what happens by itself: the destruction of records whose
// last attempt was not proven in time, and what waited long enough.
func (v *Vault) expire() {
	if v.nowMillis <= v.soonest {
		return
	}
	due := []string{}
	v.soonest = math.MaxUint64
	for account, at := range v.due {
		if v.nowMillis > at {
			due = append(due, account)
		} else {
			v.soonest = min(v.soonest, at)
		}
	}
	slices.Sort(due) // the same input gives the same output
	for _, account := range due {
		delete(v.due, account) // proposed once; a restart finds it again
		v.propose(v.dueCommand(account), nil)
	}
}

func (v *Vault) dueCommand(account string) record.Command {
	r := v.records[account]
	if r.State == wire.StateExhausted {
		return record.Command{Account: account, Destroy: &record.Destroy{
			Generation: r.Generation, Slot: r.Slot, NowMillis: v.nowMillis,
		}}
	}
	return record.Command{Account: account, Mature: &record.Mature{DueMillis: r.Pending.DueMillis, NowMillis: v.nowMillis}}
}
