package client

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"

	"strongroom/protocol/wire"
)

var (
	// errStays: the account can not move now. It is usable where it is.
	errStays = errors.New("the account stays at its older island for now")
	// errOnItsWay: nothing is lost, and the next question goes on.
	errOnItsWay = errors.New("the account left its older island and has not arrived at its new one yet")
)

// move takes the account home: a registration that waits there, a receipt of
// each older home, and then it is in force. Cut off anywhere it goes on at
// the next success, or at the next question (whereabouts.find): at no moment
// is the record nowhere. With an error, the status is where it was: see stopped.
func (w *whereabouts) move(ctx context.Context, secret []byte, p Payload) (wire.StatusReport, error) {
	owner, order, err := w.ready(ctx, p.Key)
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
	w.atHome = status
	there := e.started.Generation
	receipts, err := w.leave(ctx, order, there, owner)
	if err != nil {
		return w.status, err
	}
	return w.open(ctx, w.home, there, receipts)
}

// anew registers where nothing is live: the older homes are told of the
// registration before it is made, so that nothing waits which could be woken
// later, and that nobody who waits is in its way. The caller has the key in
// safety; cut off anywhere, it begins again.
func (w *whereabouts) anew(ctx context.Context, secret []byte, p Payload) (wire.StatusReport, error) {
	owner, order, err := w.ready(ctx, p.Key)
	if err != nil {
		return w.status, err
	}
	e := &enrolment{vault: w.vault, at: w.home, payload: p}
	if err := e.prepare(ctx, secret); err != nil {
		return w.status, err
	}
	if e.finish.Receipts, err = w.leave(ctx, order, e.started.Generation, owner); err != nil {
		return w.status, err
	}
	return e.complete(ctx)
}

// ready gives the key that signs the departures, and the older homes in the
// order in which to leave them: the one where the record lives is the last.
//
// The attack that it stops: an older home that does not answer, was not told of
// the layout, or has a stranger's registration waiting, gives no receipt; and
// where the live record was closed before, it would be usable nowhere.
func (w *whereabouts) ready(ctx context.Context, k Key) (owner ed25519.PrivateKey, order []*island, err error) {
	if owner, err = ownerKey(k, w.home.ID, w.vault.Account); err != nil {
		return nil, nil, err
	}
	newest := w.layouts.Newest()
	if w.atHome.Layout < newest {
		return nil, nil, fmt.Errorf("%w: its new island knows layout %d, the newest is %d", errStays, w.atHome.Layout, newest)
	}
	var last []*island
	for _, from := range w.older {
		status, err := w.vault.status(ctx, from)
		switch {
		case err != nil:
			return nil, nil, fmt.Errorf("%w: %w", errStays, err)
		case status.Layout < newest:
			return nil, nil, fmt.Errorf("%w: one that it was at knows layout %d, the newest is %d", errStays, status.Layout, newest)
		case status.State == wire.StateExhausted:
			return nil, nil, fmt.Errorf("%w: %w", errStays, ErrExhausted)
		case live(status.State):
			last = append(last, from)
		default:
			order = append(order, from)
		}
	}
	return owner, append(order, last...), nil
}

// leave closes the account at the older homes, for a registration at home.
func (w *whereabouts) leave(ctx context.Context, order []*island, there wire.Generation, owner ed25519.PrivateKey) ([]wire.Receipt, error) {
	var receipts []wire.Receipt
	for _, from := range order {
		r, err := w.depart(ctx, from, passage{to: w.home, layout: w.layouts.Newest(), there: there, owner: owner})
		if err != nil {
			return nil, err
		}
		receipts = append(receipts, *r)
	}
	return short(receipts), nil
}

// short has all of them fit into one request.
func short(receipts []wire.Receipt) []wire.Receipt {
	for i := range receipts {
		if i != wire.Newest(receipts) {
			receipts[i].Past = nil
		}
	}
	return receipts
}

// open is the last step. The status is the judge: a lost answer may have
// opened the account, and then the receipts mean nothing any more.
func (w *whereabouts) open(ctx context.Context, at *island, there wire.Generation, receipts []wire.Receipt) (wire.StatusReport, error) {
	v := w.vault
	for try := 1; ; try++ {
		_, _, err := v.ask(ctx, at, wire.First{Arrive: &wire.Arrive{Generation: there, Receipts: receipts}})
		status, statusErr := v.status(ctx, at)
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

// stopped is how an account stands whose move ended with an error, and what
// that means.
func (w *whereabouts) stopped(ctx context.Context, err error) (wire.StatusReport, error) {
	if codeOf(err) == wire.CodeLayout {
		w.vault.forgetLayouts()
	}
	if !w.left {
		return w.status, err
	}
	now, findErr := w.vault.find(ctx)
	switch {
	case findErr != nil:
		return w.atHome, fmt.Errorf("%w: %w", errOnItsWay, err)
	case !live(now.status.State):
		return now.status, fmt.Errorf("%w: %w", errOnItsWay, err)
	case now.at == now.home:
		return now.status, nil
	}
	return now.status, err
}

// passage is for a registration at an island, which a layout makes the home.
type passage struct {
	to     *island
	layout uint64
	there  wire.Generation
	owner  ed25519.PrivateKey // may be nil, where nothing lives
}

// depart closes the account at one of its older homes and gives the receipt.
// It can be repeated without harm.
func (w *whereabouts) depart(ctx context.Context, from *island, p passage) (*wire.Receipt, error) {
	v := w.vault
	for try := 1; ; try++ {
		status, err := v.status(ctx, from)
		if err != nil {
			return nil, err
		}
		d := &wire.Depart{To: p.to.pin, Layout: p.layout, Generation: p.there}
		switch {
		case status.Layout < d.Layout:
			return nil, fmt.Errorf("%w: that one knows layout %d, the newest is %d", errStays, status.Layout, d.Layout)
		case p.owner == nil && live(status.State):
			return nil, fmt.Errorf("%w: its owner has not asked for more", errStays)
		case p.owner != nil && needsOwner(status, d):
			d.Signature = ed25519.Sign(p.owner, d.Statement(from.ID, v.Account, status.Generation))
		}
		w.left = w.left || live(status.State)
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
	case wire.StateLive, wire.StateArriving:
		return true
	case wire.StateDeparted:
		return s.Departed.To != d.To || s.Departed.Generation != d.Generation
	}
	return false
}
