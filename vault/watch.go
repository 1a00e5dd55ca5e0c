package vault

import (
	"slices"

	"strongroom/protocol/wire"
)

// watching is a Watch that the box holds. Its record is pinned.
type watching struct {
	request     *request
	untilMillis uint64
}

// watchers stand in the order in which they came, and so in that of their
// ends.
//
// The attack that it stops: whoever holds accounts' tokens fills the box, and
// the node's places, with requests that are not answered. At most
// wire.WatchersMax are held, for which the node has places of their own; one
// an account, and none for long.
type watchers struct {
	list     []watching
	stopping bool // the node is about to stop
}

// watch holds a Watch until something new happens, unless something is new
// already, or there is no place.
func (v *Vault) watch(r *request) {
	w := &v.watchers
	v.wake(r.record)
	if r.first.Watch.After != r.record.record.Events || w.stopping || len(w.list) == wire.WatchersMax {
		v.answer(r, wire.Answer{})
		return
	}
	w.list = append(w.list, watching{r, v.ownMillis + wire.WatchMillisMax})
}

// wake answers who watches an account: something happened, or a newer Watch
// came.
func (v *Vault) wake(h *held) {
	w := &v.watchers
	at := slices.IndexFunc(w.list, func(one watching) bool { return one.request.record == h })
	if at < 0 {
		return
	}
	r := w.list[at].request
	w.list = slices.Delete(w.list, at, at+1)
	v.answer(r, wire.Answer{})
}

// endWatches answers those that were held long enough, or all of them.
func (v *Vault) endWatches(stopping bool) {
	stopping = stopping || !v.leads()
	w := &v.watchers
	w.stopping = stopping
	for len(w.list) > 0 && (stopping || v.ownMillis >= w.list[0].untilMillis) {
		r := w.list[0].request
		w.list = slices.Delete(w.list, 0, 1)
		v.answer(r, wire.Answer{})
	}
}
