package serve

import (
	"io"
	"net/http"

	"strongroom/protocol/bundle"
	"strongroom/protocol/wire"
)

// ReplacementPath is where the admin address of one of several boxes takes the
// island.json of a box that takes a lost one's place (POST). It needs no
// secret: the certificates in it are signed by the custodians. Address and pin
// are not: whoever can post here can break the line to that box, and no more.
const ReplacementPath = "/replacement"

// handleReplacement adds it.
func (s *Server) handleReplacement(mux *http.ServeMux) {
	mux.HandleFunc("POST "+ReplacementPath, func(w http.ResponseWriter, req *http.Request) {
		text, err := io.ReadAll(http.MaxBytesReader(w, req.Body, islandFileBytesMax))
		if err != nil {
			http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
			return
		}
		newer, err := ParseIslandFile(text)
		if err == nil {
			err = s.takeReplacement(newer)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusAccepted)
		io.WriteString(w, "the box judges it; GET /status tells when the new one takes part\n")
	})
}

// takeReplacement has node and box take a box in a lost one's place, now and at
// every later start.
func (s *Server) takeReplacement(newer *IslandFile) error {
	s.taking.Lock()
	defer s.taking.Unlock()
	before := s.island.Load()
	next, err := before.after(s.Fleet, newer)
	if err != nil {
		return err
	}
	text, err := next.Encode()
	if err != nil {
		return err
	}
	if err := ReplaceFile(s.folder.vault(IslandFileName), text); err != nil {
		return err
	}
	s.island.Store(next)
	s.peers.Become(next.others())
	for _, certificate := range next.Replacements {
		s.node.Replace(certificate) // what the box knows already it leaves alone
	}
	s.log.Info("another box takes a lost one's place", "boxes", len(next.Boxes), "certificates", len(next.Replacements))
	return nil
}

// stranger is a box that the island agreed on, as this box or another says, and
// of which this node's file does not tell: it was down when one took a lost
// one's place.
func (r *roster) stranger(v view) (id wire.BoxID, found bool) {
	reports := []*wire.IslandReport{v.own}
	for _, p := range v.byPeer { // its own does not hear the others where the new one leads
		reports = append(reports, p.Report)
	}
	gone := map[wire.BoxID]bool{} // the island may not have agreed on it yet
	for _, b := range r.Replacements {
		if c, err := bundle.DecodeReplacement(b); err == nil {
			gone[c.Old] = true
		}
	}
	for _, report := range reports {
		if report == nil {
			continue
		}
		for _, b := range report.Boxes {
			if _, known := r.box(b.Box); !known && !gone[b.Box] {
				return b.Box, true
			}
		}
	}
	return id, false
}
