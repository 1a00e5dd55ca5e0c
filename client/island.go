package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"strongroom/protocol/bundle"
	"strongroom/protocol/wire"
)

// island is one island of the fleet: whom a request is sealed to, and the way.
type island struct {
	*bundle.Fleet
	pin  bundle.Pin
	name string // at the relay: "" for the founder, which every relay knows
}

// layouts are the fleet's islands as the relay shows them, checked against the
// pin. They are fetched once. Errors: ErrUnreachable, ErrPin, ErrLayout.
//
// The attack that LayoutSeen stops: who has an account's tokens and the line
// shows an old layout, in which the account is at home where it was before,
// and has the person register there anew, at an island that nobody looks after.
func (v *Vault) layouts(ctx context.Context) (*bundle.Layouts, error) {
	if _, err := v.Fleet(ctx); err != nil {
		return nil, err
	}
	v.once.Lock()
	defer v.once.Unlock()
	if v.known != nil {
		return v.known, nil
	}
	shown, err := v.fetchLayouts(ctx)
	if err != nil {
		return nil, err
	}
	known, err := bundle.CheckLayouts(*shown)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPin, err)
	}
	if known.Newest() < v.LayoutSeen {
		return nil, fmt.Errorf("%w: its newest is number %d, and this device has seen number %d", ErrLayout, known.Newest(), v.LayoutSeen)
	}
	v.LayoutSeen, v.known = known.Newest(), known
	return known, nil
}

// fetchLayouts: an old relay, and one of a fleet of one island, has none.
func (v *Vault) fetchLayouts(ctx context.Context) (*wire.Layouts, error) {
	shown := new(wire.Layouts)
	base, err := v.base()
	if err != nil {
		return nil, err
	}
	encoded, err := v.fetch(ctx, base.JoinPath("v1", "layouts").String(), wire.LayoutsBytesMax)
	var status statusError
	switch {
	case errors.As(err, &status) && status == http.StatusNotFound:
		shown.Founder, err = v.fleet.Encode()
		return shown, err
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	if shown, err = wire.DecodeLayouts(encoded); err != nil {
		return nil, fmt.Errorf("%w: its layouts do not parse: %w", ErrAnswer, err)
	}
	if bundle.PinOf(shown.Founder) != v.Pin {
		return nil, fmt.Errorf("%w: its layouts are of another founder", ErrPin)
	}
	v.shown = encoded
	return shown, nil
}

// forgetLayouts has them fetched again.
func (v *Vault) forgetLayouts() {
	v.once.Lock()
	defer v.once.Unlock()
	v.known = nil
}

// NewestLayout is the number of the newest layout that was ever seen, for
// LayoutSeen of the next run.
func (v *Vault) NewestLayout() uint64 {
	v.once.Lock()
	defer v.once.Unlock()
	return v.LayoutSeen
}

// islandOf is how to speak to an island of the layouts.
func (v *Vault) islandOf(l *bundle.Layouts, pin bundle.Pin) *island {
	fleet, _ := l.Island(pin) // CheckLayouts saw to it that each is there
	at := &island{fleet, pin, pin.IslandName()}
	if pin == v.Pin {
		at.name = ""
	}
	return at
}
