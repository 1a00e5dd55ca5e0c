package tpm

import (
	"errors"

	"strongroom/vault/hal"
)

// triesMax is how often do begins.
const triesMax = 2

// do runs f with the TPM to itself. A connection that turns out to be lost,
// because the TPM was restarted, is made anew once and f runs again from its
// start. A TPM that just does not answer in time is not asked twice.
func (h *HSM) do(f func(*attached) error) error {
	if h.isClosed() {
		return hal.ErrGone
	}
	select {
	case h.turn <- struct{}{}:
		defer func() { <-h.turn }()
	case <-h.closed:
		return hal.ErrGone
	}
	for try := 1; ; try++ {
		err := h.connect()
		again := lost(err)
		if err == nil {
			err = f(h.at)
			// What f uses has no password, or one that we made: if the TPM
			// refuses it, the session is out of step.
			again = lost(err) || is(err, codesSecret) || h.at.socket && is(err, codesCrowd)
		}
		if h.at != nil && (again || h.at.broken != nil) && !h.renew() {
			h.at.detach()
			h.at = nil
		}
		if !again || try == triesMax || errors.Is(err, errLate) || h.isClosed() {
			return explain(err)
		}
	}
}

// renew puts into the TPM what was lost from it over the same line: behind the
// wall of a box in its own process no other can be opened.
func (h *HSM) renew() bool {
	return h.at.broken == nil && h.at.sweep() == nil && h.at.open(h.options, h.keys.salt, h.keys.storage[:]) == nil
}

func (h *HSM) connect() (err error) {
	if h.at == nil {
		h.at, err = attach(h.options, h.keys.salt, h.keys.storage[:], h.closed)
	}
	return err
}

func (h *HSM) isClosed() bool {
	select {
	case <-h.closed:
		return true
	default:
		return false
	}
}

// hold runs f, which asks the TPM nothing, while keys and root stay.
func (h *HSM) hold(f func() error) error {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.gone {
		return hal.ErrGone
	}
	return f()
}
