package serve

import "strongroom/host/node"

// Node is for tests that play custodians.
func (s *Server) Node() *node.Node { return s.node }
