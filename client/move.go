package client

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"

	"strongroom/protocol/wire"
)

// errStays: the account can not move now. It is usable where it is.
var errStays = errors.New("the account stays at its older island for now")

// move takes the account home: a registration that waits there, a receipt of
// each older home, and then it is in force. Cut off anywhere it goes on at
// the next success, or at the next question (whereabouts.find): at no moment
// is the record nowhere.
func (w *whereabouts) move(ctx context.Context, secret []byte, p Payload) (wire.StatusReport, error) {
	if newest := w.layouts.Newest(); w.atHome.Layout < newest {
		return w.status, fmt.Errorf("%w: its new island knows layout %d, the newest is %d", errStays, w.atHome.Layout, newest)
	}
	owner, err := ownerKey(p.Key, w.home.ID, w.vault.Account)
	if err != nil {
		return w.status, err
	}
	e := &enrolment{vault: w.vault, at: w.home, payload: p, arrives: true}
	if w.atHome.State == wire.StateArriving {
		e.replaces = &w.atHome.Generation
	}
	status, err := e.run(ctx, secret)
	if err != nil || live(status.State) {
		return status, err
	}
	return w.arrive(ctx, e.started.Generation, owner)
}

// arrive brings the registration that waits at home into force. owner may be
// nil, where nothing lives elsewhere.
func (w *whereabouts) arrive(ctx context.Context, there wire.Generation, owner ed25519.PrivateKey) (wire.StatusReport, error) {
	var receipts []wire.Receipt
	for _, from := range w.older {
		r, err := w.depart(ctx, from, there, owner)
		if err != nil {
			return w.status, err
		}
		receipts = append(receipts, *r)
	}
	for i, newest := range receipts {
		if i != wire.Newest(receipts) {
			newest.Past = nil // all of them fit into one request
			receipts[i] = newest
		}
	}
	return w.open(ctx, there, receipts)
}

// open is the last step. The status is the judge: a lost answer may have
// opened the account, and then the receipts mean nothing any more.
func (w *whereabouts) open(ctx context.Context, there wire.Generation, receipts []wire.Receipt) (wire.StatusReport, error) {
	v := w.vault
	for try := 1; ; try++ {
		_, _, err := v.ask(ctx, w.home, wire.First{Arrive: &wire.Arrive{Generation: there, Receipts: receipts}})
		status, statusErr := v.status(ctx, w.home)
		if statusErr == nil && status.Generation == there && live(status.State) {
			return status, nil
		}
		if err == nil {
			return status, errors.Join(ErrRaced, statusErr)
		}
		if !transient(err) && !isHearsay(err) {
			return status, err
		}
		if try == triesMax || v.pause(ctx, try) != nil {
			return status, unreachable(err)
		}
	}
}

// depart closes the account at one of its older homes and gives the receipt.
// It can be repeated without harm.
func (w *whereabouts) depart(ctx context.Context, from *island, there wire.Generation, owner ed25519.PrivateKey) (*wire.Receipt, error) {
	v := w.vault
	for try := 1; ; try++ {
		status, err := v.status(ctx, from)
		if err != nil {
			return nil, err
		}
		d := &wire.Depart{To: w.home.pin, Layout: w.layouts.Newest(), Generation: there}
		switch {
		case status.Layout < d.Layout:
			return nil, fmt.Errorf("%w: that one knows layout %d, the newest is %d", errStays, status.Layout, d.Layout)
		case owner == nil && live(status.State):
			return nil, fmt.Errorf("%w: its owner has not asked for more", errStays)
		case owner != nil && needsOwner(status, d):
			d.Signature = ed25519.Sign(owner, d.Statement(from.ID, v.Account, status.Generation))
		}
		answer, _, err := v.ask(ctx, from, wire.First{Depart: d})
		if err == nil && answer.Depart == nil {
			return nil, ErrAnswer
		}
		if err == nil {
			return &answer.Depart.Receipt, nil
		}
		if !transient(err) && !isHearsay(err) {
			return nil, err
		}
		if try == triesMax || v.pause(ctx, try) != nil {
			return nil, unreachable(err)
		}
	}
}

// needsOwner: a record that lives or arrives there is its owner's to take away,
// and of one that left it is for the same owner to choose another registration.
func needsOwner(s wire.StatusReport, d *wire.Depart) bool {
	switch s.State {
	case wire.StateLive, wire.StateExhausted, wire.StateArriving:
		return true
	case wire.StateDeparted:
		return s.Departed.To != d.To || s.Departed.Generation != d.Generation
	}
	return false
}
