package serve

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"strongroom/protocol/bundle"
	"strongroom/protocol/wire"
)

// What the admin address of one of several boxes has for a cold start. Neither
// needs a secret: the box judges an order by its signatures.
const (
	ColdStartPath = "/coldstart" // GET: what custodians sign
	OrderPath     = "/order"     // POST: what they signed
)

// ColdStart is what one box shows.
type ColdStart struct {
	Document []byte   `json:"document"` // the fleet's
	Name     string   `json:"name,omitempty"`
	Leader   string   `json:"leader,omitempty"` // the box that leads, as this one knows; "": none
	Shown    ShownBox `json:"shown"`

	// Replacements are the certificates of boxes in the place of lost ones that
	// the box's node knows.
	Replacements [][]byte `json:"replacements,omitempty"`
}

// ShownBox is wire.Shown for people.
type ShownBox struct {
	Box  string `json:"box"`
	Boot string `json:"boot"`
	Term uint64 `json:"term"`
	Last uint64 `json:"last"`
}

// ShownOf gives it.
func ShownOf(s wire.Shown) ShownBox {
	return ShownBox{s.Box.String(), hex.EncodeToString(s.Boot[:]), s.Term, s.Last}
}

// Wire undoes ShownOf.
func (s ShownBox) Wire() (w wire.Shown, err error) {
	box, errBox := hex.DecodeString(s.Box)
	boot, errBoot := hex.DecodeString(s.Boot)
	if errBox != nil || errBoot != nil || len(box) != len(w.Box) || len(boot) != len(w.Boot) {
		return w, fmt.Errorf("%w: box %q does not show itself in %d and %d hex digits", ErrUsage, s.Box, 2*len(w.Box), 2*len(w.Boot))
	}
	return wire.Shown{Box: wire.BoxID(box), Boot: wire.Boot(boot), Term: s.Term, Last: s.Last}, nil
}

// handleColdStart adds what custodians are shown.
func (s *Server) handleColdStart(mux *http.ServeMux, document []byte) {
	mux.HandleFunc("GET "+ColdStartPath, func(w http.ResponseWriter, _ *http.Request) {
		r := s.node.Island()
		if r == nil {
			http.Error(w, "the box has just started and shows nothing yet; ask again", http.StatusServiceUnavailable)
			return
		}
		island := s.island.Load()
		c := ColdStart{Document: document, Name: island.name(island.own()), Shown: ShownOf(r.Shown), Replacements: island.Replacements}
		if r.Leader != (wire.BoxID{}) {
			c.Leader = r.Leader.String()
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(c)
	})
}

// mayObey says why the box will not obey an order: it judges for itself, and
// does not say.
func (s *Server) mayObey(o bundle.Order) error {
	if err := s.Fleet.CheckOrder(s.island.Load().boxes, o); err != nil {
		return err
	}
	r := s.node.Island()
	if r == nil {
		return fmt.Errorf("the box has just started; show it to the custodians first")
	}
	at := slices.IndexFunc(o.Shown, func(shown wire.Shown) bool { return shown.Box == r.Box })
	switch {
	case at < 0:
		return fmt.Errorf("the order does not name this box. It joins the others by itself when they serve")
	case o.Shown[at].Boot != r.Shown.Boot:
		return fmt.Errorf("this box has started again since it was shown: ask the custodians for another order (strongroomd coldstart show)")
	}
	return nil
}
