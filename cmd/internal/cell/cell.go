// Package cell is the program of a box in its own process: it composes the
// HSM, the wall and the box. The node starts it as "strongroomd box".
package cell

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"strongroom/box"
	"strongroom/box/wall"
	"strongroom/hsm/soft"
	"strongroom/hsm/tpm"
	"strongroom/protocol/wire"
	"strongroom/vault/hal"
)

// Command is the word that makes strongroomd a box.
const Command = "box"

// lockedWithin is how long the HSM of a box that was killed a moment ago may
// still be locked: the kernel ends a process in its own time.
const (
	lockedWithin = 5 * time.Second
	lockedLook   = 20 * time.Millisecond
)

// ErrProvider: this program has no HSM of that kind.
var ErrProvider = errors.New("cell: no such HSM provider")

// Run is the process of a box, from its first line to its end. wrap may put
// something around the HSM (tests count there); nil is nothing. The error was
// told to the node already.
func Run(wrap func(hal.HAL) hal.HAL) error {
	// Nobody but the node, over the pipe, tells a box to stop.
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGXFSZ)
	entered := wall.Enter()
	c := box.Child{In: os.Stdin, Out: os.Stdout, Rand: rand.Reader, Confine: wall.Confine}
	c.Open = func(settings wire.HSM) (hal.HAL, error) {
		if entered != nil {
			return nil, entered
		}
		h, err := Open(settings)
		if err == nil && wrap != nil {
			h = wrap(h)
		}
		return h, err
	}
	return c.Serve()
}

// Open opens the HSM that the node named, with all the descriptors that it will
// ever have.
func Open(settings wire.HSM) (hal.HAL, error) {
	var open func() (hal.HAL, error)
	switch settings.Provider {
	case soft.Kind:
		open = func() (hal.HAL, error) { return soft.Open(settings.Place, settings.Secret) }
	case tpm.Kind:
		open = func() (hal.HAL, error) {
			return tpm.Open(settings.Place, tpm.Options{Path: settings.Device, OwnerAuth: settings.Secret})
		}
	default:
		return nil, fmt.Errorf("%w: %q", ErrProvider, settings.Provider)
	}
	ctx, cancel := context.WithTimeout(context.Background(), lockedWithin)
	defer cancel()
	for {
		h, err := open()
		if err == nil {
			return h, nil
		}
		if !errors.Is(err, soft.ErrLocked) && !errors.Is(err, tpm.ErrLocked) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(lockedLook):
		}
	}
}
