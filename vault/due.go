package vault

import (
	"bytes"
	"cmp"
	"math"
	"slices"

	"strongroom/protocol/wire"
	"strongroom/vault/internal/ledger"
	"strongroom/vault/internal/record"
)

// dueMax is how many records the box remembers to which something happens by
// itself: the last attempt of one is over, the wait of a reset. It finds the
// others when somebody asks for them, and when it walks over all records to
// seal them again.
const dueMax = 4 << 10

// remind remembers when something happens to a record.
func (v *Vault) remind(h *held) {
	at, found := h.record.DueMillis()
	if _, watched := v.due[h.path]; !found {
		delete(v.due, h.path)
	} else if watched || len(v.due) < dueMax {
		v.due[h.path] = at
		v.soonest = min(v.soonest, at)
	}
}

// expire proposes what happens by itself.
func (v *Vault) expire() {
	if v.nowMillis <= v.soonest || !v.leads() {
		return
	}
	v.soonest = math.MaxUint64
	for _, d := range v.dueList() {
		if v.nowMillis <= d.Millis {
			v.soonest = d.Millis
			break
		}
		delete(v.due, d.Path) // proposed once; a restart finds it again
		v.holdPath(d.Path, "", func(h *held) {
			v.proposeDue(h)
			v.unpin(h)
		})
	}
}

func (v *Vault) proposeDue(h *held) {
	r := &h.record
	at, found := r.DueMillis()
	switch {
	case !found || v.nowMillis <= at:
		v.remind(h) // another one, meanwhile
	case r.State == wire.StateExhausted:
		v.propose(h, record.Command{Destroy: &record.Destroy{Generation: r.Generation, Slot: r.Slot, NowMillis: v.nowMillis}}, nil)
	default:
		v.propose(h, record.Command{Mature: &record.Mature{DueMillis: r.Pending.DueMillis, NowMillis: v.nowMillis}}, nil)
	}
}

// dueList is what a checkpoint tells of the records to which something will
// happen, soonest first: the same input gives the same output.
func (v *Vault) dueList() (list []ledger.Due) {
	for p, at := range v.due {
		list = append(list, ledger.Due{Path: p, Millis: at})
	}
	slices.SortFunc(list, func(a, b ledger.Due) int {
		return cmp.Or(cmp.Compare(a.Millis, b.Millis), bytes.Compare(a.Path[:], b.Path[:]))
	})
	return list
}
