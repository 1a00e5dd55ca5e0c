package serve

import (
	"strongroom/host/node"
	"strongroom/protocol/bundle"
)

// Node is for tests that play custodians.
func (s *Server) Node() *node.Node { return s.node }

// After is what a node makes of its file when it is told of a newer one.
func (f *IslandFile) After(fleet *bundle.Fleet, newer *IslandFile) (*IslandFile, error) {
	r, err := rosterOf(fleet, f)
	if err != nil {
		return nil, err
	}
	if r, err = r.after(fleet, newer); err != nil {
		return nil, err
	}
	return r.IslandFile, nil
}
