package client

import (
	"context"
	"fmt"

	"strongroom/protocol/bundle"
	"strongroom/protocol/wire"
)

// whereabouts is where an account is (spec/layout.md).
type whereabouts struct {
	vault   *Vault
	layouts *bundle.Layouts
	home    *island   // in the newest layout
	older   []*island // its homes before, the newest first

	at     *island           // where it is, or where it would be registered
	status wire.StatusReport // there
	atHome wire.StatusReport

	said   map[bundle.Pin]wire.StatusReport // of all who were asked, when look returned
	behind bool                             // one of them knows a newer layout than the relay shows
	left   bool                             // move has asked its island to close the live record
}

// homes says where the account could be; nobody is asked but the relay.
func (v *Vault) homes(ctx context.Context) (*whereabouts, error) {
	l, err := v.layouts(ctx)
	if err != nil {
		return nil, err
	}
	w := &whereabouts{vault: v, layouts: l, home: v.islandOf(l, l.Home(v.Account))}
	w.older = w.before(l.Newest())
	return w, nil
}

// before is the account's homes before that in a layout.
func (w *whereabouts) before(layout uint64) (islands []*island) {
	for _, pin := range w.layouts.OlderHomes(layout, w.vault.Account) {
		islands = append(islands, w.vault.islandOf(w.layouts, pin))
	}
	return islands
}

// find asks where the account is. What a cut left on its way is brought on by
// the way. Free of charge.
func (v *Vault) find(ctx context.Context) (*whereabouts, error) {
	w, err := v.homes(ctx)
	if err != nil {
		return nil, err
	}
	return w, w.find(ctx)
}

// find fills w in.
//
// The attack that its second look stops: a stolen relay shows a new device an
// old layout, in which the account was at an island that it left since, and has
// "nothing is registered" said. What an island knows comes sealed.
func (w *whereabouts) find(ctx context.Context) error {
	err := w.look(ctx)
	if w.behind {
		w.vault.forgetLayouts()
		again, err := w.vault.homes(ctx)
		if err != nil {
			return err
		}
		*w = *again
		return w.found(ctx, w.look(ctx))
	}
	return w.found(ctx, err)
}

// found settles what look has found.
func (w *whereabouts) found(ctx context.Context, err error) error {
	switch {
	case w.behind && !live(w.status.State):
		w.vault.forgetLayouts()
		return fmt.Errorf("%w: its newest is number %d, and one of the islands knows a newer one", ErrLayout, w.layouts.Newest())
	case err != nil || w.status.State != wire.StateArriving:
		return err
	}
	return w.resume(ctx)
}

// look asks the home, then the older homes until one has the account. The
// home's word goes first where it ever was open; a record that lives goes
// before the memory of one that is gone, and is enough where others are silent:
// an account is open on one island at most. What waits for receipts goes after
// both: it was made while they were there, or before.
func (w *whereabouts) look(ctx context.Context) (silent error) {
	w.said = map[bundle.Pin]wire.StatusReport{}
	w.atHome, silent = w.ask(ctx, w.home)
	w.at, w.status = w.home, w.atHome
	if silent == nil && !closed(w.atHome.State) {
		return nil
	}
	for _, at := range w.older {
		status, err := w.ask(ctx, at)
		switch {
		case err != nil:
			silent = err
		case live(status.State):
			w.at, w.status = at, status
			return nil
		case closed(w.status.State) && !closed(status.State),
			w.status.State != wire.StateArriving && closed(w.status.State) && status.State == wire.StateArriving:
			w.at, w.status = at, status
		}
	}
	return silent
}

func (w *whereabouts) ask(ctx context.Context, at *island) (wire.StatusReport, error) {
	status, err := w.vault.status(ctx, at)
	if err == nil {
		w.said[at.pin] = status
		w.behind = w.behind || status.Layout > w.layouts.Newest()
	}
	return status, err
}

// resume goes on where a move was cut off: whoever began it is gone, with the
// password and the key, and what is left of it needs neither. A layout that
// came since makes no difference: what left for an island arrives there.
func (w *whereabouts) resume(ctx context.Context) error {
	for _, at := range append([]*island{w.home}, w.older...) {
		waits := w.said[at.pin]
		if waits.State != wire.StateArriving {
			continue
		}
		status, err := w.bring(ctx, at, waits.Generation)
		switch {
		case err == nil:
			w.at, w.status, w.said[at.pin] = at, status, status
			w.atHome = w.said[w.home.pin]
			return nil
		case transient(err):
			return unreachable(err)
		}
	}
	return nil // it stays arriving: only its owner brings it further
}

// bring opens what waits at an island, if all that is missing is to be told
// again, or of islands that never had the account.
//
// The attack that it stops: the owner deleted his record, or it was destroyed,
// while what he registered before waits elsewhere; and his own device, asking
// how things are, closes the tombstone, and wakes that one. Nor does it close
// what waits for another move: that may be the only copy.
func (w *whereabouts) bring(ctx context.Context, to *island, there wire.Generation) (wire.StatusReport, error) {
	layout := w.layouts.Latest(w.vault.Account, to.pin)
	var receipts []wire.Receipt
	for _, from := range w.before(layout) {
		p := passage{to: to, layout: layout, there: there}
		switch s := w.said[from.pin]; {
		case s.State == wire.StateDeparted && s.Departed.To == to.pin && s.Departed.Generation == there:
			p.layout = s.Departed.Layout
		case s.State != wire.StateNone:
			return w.status, errStays
		}
		r, err := w.depart(ctx, from, p)
		if err != nil {
			return w.status, err
		}
		receipts = append(receipts, *r)
	}
	return w.open(ctx, to, there, short(receipts))
}

// closed: the account is not open there, as far as its state tells.
func closed(s wire.State) bool {
	return s == wire.StateNone || s == wire.StateArriving || s == wire.StateDeparted
}

func live(s wire.State) bool { return s == wire.StateLive || s == wire.StateExhausted }

// closedAtHome: the account has been elsewhere, and has not arrived.
func (w *whereabouts) closedAtHome() bool { return len(w.older) > 0 && closed(w.atHome.State) }
