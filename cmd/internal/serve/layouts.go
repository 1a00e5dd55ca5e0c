package serve

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"strongroom/protocol/bundle"
	"strongroom/protocol/wire"
)

// LayoutsName is the file of vault/ that says which islands the fleet has.
// Nothing in it is secret, and nobody believes it: box and client check it
// against the founder's document.
const LayoutsName = "layouts.cbor"

// layoutsLook is how often a vault that serves looks for a newer one.
const layoutsLook = time.Second

// ErrLayouts: layouts.cbor does not say what is needed, or says it of another
// fleet.
var ErrLayouts = errors.New(LayoutsName + " can not be used")

// Layouts is what a data folder says of the fleet's islands, checked.
type Layouts struct {
	*bundle.Layouts
	Shown *wire.Layouts // as it is handed to the box
	bytes []byte        // of Shown, for clients
}

// CheckLayouts checks what is shown of a fleet whose founder has a pin. Its
// error is ErrLayouts.
func CheckLayouts(founder bundle.Pin, shown *wire.Layouts) (*Layouts, error) {
	if bundle.PinOf(shown.Founder) != founder {
		return nil, fmt.Errorf("%w: it is of another founder than %s", ErrLayouts, founder)
	}
	l, err := bundle.CheckLayouts(*shown)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLayouts, err)
	}
	encoded, err := wire.Encode(shown)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLayouts, err)
	}
	return &Layouts{l, shown, encoded}, nil
}

// ReadLayouts reads those of a data folder. A founder without the file is its
// fleet's only island. Its error is ErrLayouts.
func ReadLayouts(data string) (*Layouts, error) {
	document, fleet, err := ReadFleet(data)
	if err != nil {
		return nil, err
	}
	founder := fleet.Founder
	if founder == (bundle.Pin{}) {
		founder = bundle.PinOf(document)
	}
	b, err := os.ReadFile(inVault(data, LayoutsName))
	switch {
	case errors.Is(err, os.ErrNotExist) && founder == bundle.PinOf(document):
		return CheckLayouts(founder, &wire.Layouts{Founder: document})
	case errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("%w: it is not there, and this island's document names a founder. Put the one that the ceremony made into %s", ErrLayouts, inVault(data, ""))
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrLayouts, err)
	}
	shown, err := wire.DecodeLayouts(b)
	if err != nil {
		return nil, fmt.Errorf("%w: it does not parse: %w", ErrLayouts, err)
	}
	return CheckLayouts(founder, shown)
}

// InstallLayouts puts newer ones into a data folder, where a vault that serves
// finds them. It refuses, with ErrLayouts, what does not go on from those that
// are there.
func InstallLayouts(data string, shown *wire.Layouts) (*Layouts, error) {
	there, err := ReadLayouts(data)
	if err != nil {
		return nil, err
	}
	l, err := CheckLayouts(there.Founder(), shown)
	if err != nil {
		return nil, err
	}
	if !l.Follows(&there.Homes) {
		return nil, fmt.Errorf("%w: number %d does not go on from number %d, which %s has. Nothing was changed", ErrLayouts, l.Newest(), there.Newest(), data)
	}
	return l, ReplaceFile(inVault(data, LayoutsName), l.bytes)
}

// Join gives shown with an island's document in it.
func Join(shown wire.Layouts, document []byte) wire.Layouts {
	known := func(d []byte) bool { return bytes.Equal(d, document) }
	if !known(shown.Founder) && !slices.ContainsFunc(shown.Islands, known) {
		shown.Islands = append(slices.Clone(shown.Islands), document)
	}
	return shown
}

// follower keeps the newest layouts that were ever seen.
type follower struct{ now atomic.Pointer[Layouts] }

// take tells whether l is newer than what is known, and goes on from it.
func (f *follower) take(l *Layouts) bool {
	now := f.now.Load()
	if now != nil && (l.Newest() <= now.Newest() || !l.Follows(&now.Homes)) {
		return false
	}
	f.now.Store(l)
	return true
}

// shown is the relay's answer to clients: nil while there are no layouts.
func (f *follower) shown() []byte {
	if l := f.now.Load(); l != nil && l.Newest() > 0 {
		return l.bytes
	}
	return nil
}

// followLayouts hands newer layouts of the data folder to the box, until the
// vault stops. A file that can not be used changes nothing; it is said once.
func (s *Server) followLayouts() {
	tick := time.NewTicker(layoutsLook)
	defer tick.Stop()
	var last os.FileInfo
	for {
		select {
		case <-s.done:
			return
		case <-tick.C:
		}
		info, err := os.Stat(inVault(s.Data, LayoutsName))
		if err != nil || last != nil && os.SameFile(info, last) && info.ModTime().Equal(last.ModTime()) {
			continue
		}
		last = info
		s.lookForLayouts()
	}
}

func (s *Server) lookForLayouts() {
	l, err := ReadLayouts(s.Data)
	if err != nil {
		s.log.Error("newer layouts were not taken; nothing changed, and the vault serves on with those it knows", "error", err)
		return
	}
	if s.layouts.take(l) {
		s.node.Layouts(l.Shown)
		s.log.Info("layout", "newest", l.Newest(), "islands", len(l.Pins(l.Newest())))
	}
}
