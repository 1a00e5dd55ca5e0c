package serve

import (
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"

	"strongroom/host/node"
	"strongroom/protocol/bundle"
	"strongroom/protocol/wire"
)

const orderBytesMax = 64 << 10

// Report is what a box says of its island, as GET /island at the admin
// address gives it: ids in hexadecimal digits. It names no account.
type Report struct {
	Box     string      `json:"box"`
	Name    string      `json:"name,omitempty"`
	Role    string      `json:"role"`             // none, learner, follower, candidate or leader
	Leader  string      `json:"leader,omitempty"` // "": none is known
	Term    uint64      `json:"term"`
	Commit  uint64      `json:"commit"`  // Raft index
	Applied uint64      `json:"applied"` // Raft index
	Root    string      `json:"root"`    // of the newest checkpoint
	RootAt  uint64      `json:"root_at"`
	Epoch   uint64      `json:"epoch"`
	Run     string      `json:"run,omitempty"` // of the island since its last cold start; "": of none yet
	Shown   ReportShown `json:"shown"`
	Boxes   []ReportBox `json:"boxes"`
}

// ReportShown is what custodians are shown of the box, for a cold start.
type ReportShown struct {
	Boot string `json:"boot"` // drawn at this start
	Term uint64 `json:"term"`
	Last uint64 `json:"last"`
}

// ReportBox is one box of the island, as the reporting one sees it.
type ReportBox struct {
	Box    string `json:"box"`
	Name   string `json:"name,omitempty"`
	Member uint64 `json:"member,string"` // its Raft identity; 0: not in the configuration
	Role   string `json:"role"`
	Match  uint64 `json:"match"` // Raft index; 0 where only the leader knows
	Heard  bool   `json:"heard"` // the boxes have a session, and the nodes are connected
}

// reportOf gives it. A box hears whom its sessions let it: of one that is gone
// the nodes' lines tell (view).
func reportOf(r *wire.IslandReport, v view, name func(wire.BoxID) string) Report {
	report := Report{
		Box: r.Box.String(), Name: name(r.Box), Role: r.Role.String(), Term: r.Term, Commit: r.Commit, Applied: r.Applied,
		Root: hex.EncodeToString(r.Root[:]), RootAt: r.RootAt, Epoch: r.Epoch,
		Shown: ReportShown{hex.EncodeToString(r.Shown.Boot[:]), r.Shown.Term, r.Shown.Last},
	}
	if r.Leader != (wire.BoxID{}) {
		report.Leader = r.Leader.String()
	}
	if r.Group != (wire.GroupID{}) {
		report.Run = hex.EncodeToString(r.Group[:])
	}
	for _, b := range r.Boxes {
		report.Boxes = append(report.Boxes, ReportBox{b.Box.String(), name(b.Box), b.Member, b.Role.String(), b.Match, b.Box == r.Box || v.heard(b.Box)})
	}
	return report
}

// handleIsland adds what an island of several has at its admin address.
func (s *Server) handleIsland(mux *http.ServeMux, n *node.Node) {
	mux.HandleFunc("GET /island", func(w http.ResponseWriter, _ *http.Request) {
		r := n.Island()
		if r == nil {
			http.Error(w, "the box has not said anything yet", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(reportOf(r, newView(r.Box, r, s.peers.Status()), s.island.Load().name))
	})
	// Whoever can post here starts nothing: the box looks for the custodians'
	// signatures, and for its own fresh boot under them.
	mux.HandleFunc("POST "+OrderPath, func(w http.ResponseWriter, req *http.Request) {
		text, err := io.ReadAll(http.MaxBytesReader(w, req.Body, orderBytesMax))
		if err != nil {
			http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
			return
		}
		order, err := bundle.DecodeOrder(text)
		if err == nil {
			err = s.mayObey(order)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		n.Order(text)
		w.WriteHeader(http.StatusAccepted)
		io.WriteString(w, "the box judges it; GET /island tells what it did\n")
	})
}
