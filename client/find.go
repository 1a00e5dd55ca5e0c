package client

import (
	"context"

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
}

// homes says where the account could be; nobody is asked but the relay.
func (v *Vault) homes(ctx context.Context) (*whereabouts, error) {
	l, err := v.layouts(ctx)
	if err != nil {
		return nil, err
	}
	w := &whereabouts{vault: v, layouts: l, home: v.islandOf(l, l.Home(v.Account))}
	for _, pin := range l.OlderHomes(l.Newest(), v.Account) {
		w.older = append(w.older, v.islandOf(l, pin))
	}
	return w, nil
}

// find asks where the account is. What a cut left on its way is brought home
// by the way. Free of charge.
func (v *Vault) find(ctx context.Context) (*whereabouts, error) {
	w, err := v.homes(ctx)
	if err != nil {
		return nil, err
	}
	return w, w.find(ctx)
}

func (w *whereabouts) find(ctx context.Context) error {
	if err := w.look(ctx); err != nil {
		return err
	}
	if w.at != w.home || w.status.State != wire.StateArriving {
		return nil
	}
	// Whoever began this move is gone, with the password and the key; what is
	// left of it needs neither, unless something lives elsewhere.
	status, err := w.arrive(ctx, w.status.Generation, nil)
	switch {
	case err == nil:
		w.status, w.atHome = status, status
	case transient(err):
		return unreachable(err)
	}
	return nil // it stays arriving: only its owner brings it further
}

// look asks the home, then the older homes until one has the account. The
// home's word goes first where it ever was open; a record that lives goes
// before the memory of one that is gone, and is enough where others are silent:
// an account is open on one island at most.
func (w *whereabouts) look(ctx context.Context) error {
	var silent error
	w.atHome, silent = w.vault.status(ctx, w.home)
	w.at, w.status = w.home, w.atHome
	if silent == nil && !closed(w.atHome.State) {
		return nil
	}
	for _, at := range w.older {
		status, err := w.vault.status(ctx, at)
		if err != nil {
			silent = err
			continue
		}
		if live(status.State) {
			w.at, w.status = at, status
			return nil
		}
		if w.at == w.home && w.atHome.State != wire.StateArriving && !closed(status.State) {
			w.at, w.status = at, status
		}
	}
	return silent
}

// closed: the account is not open there, as far as its state tells.
func closed(s wire.State) bool {
	return s == wire.StateNone || s == wire.StateArriving || s == wire.StateDeparted
}

func live(s wire.State) bool { return s == wire.StateLive || s == wire.StateExhausted }

// closedAtHome: the account has been elsewhere, and has not arrived.
func (w *whereabouts) closedAtHome() bool { return len(w.older) > 0 && closed(w.atHome.State) }
