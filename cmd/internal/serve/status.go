package serve

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"strongroom/host/peer"
	"strongroom/protocol/wire"
)

// Status is what the admin address shows at /status: one node's view of its
// island. It names no account, and no secret.
type Status struct {
	At       time.Time `json:"at"`
	Program  string    `json:"program"`
	Revision string    `json:"revision"`

	Fleet     string `json:"fleet"`
	Pin       string `json:"pin"`
	Isolation string `json:"isolation"`
	Box       string `json:"box,omitempty"` // "": the only one, without an identity
	Name      string `json:"name,omitempty"`
	Trouble   string `json:"trouble,omitempty"` // why requests are not served; "": they are
	Warning   string `json:"warning,omitempty"` // what an operator must look at

	Leader  string      `json:"leader,omitempty"` // "": none is known, or the box is the only one
	Term    uint64      `json:"term,omitempty"`
	Commit  uint64      `json:"commit,omitempty"`  // Raft index
	Applied uint64      `json:"applied,omitempty"` // Raft index
	Boxes   []StatusBox `json:"boxes"`

	Layout  uint64         `json:"layout,omitempty"`  // the newest that this node knows
	Islands []StatusIsland `json:"islands,omitempty"` // of the fleet, where there are layouts, or the island waits for one

	InFlight int `json:"in_flight"`

	LogBytes     int64             `json:"log_bytes"`
	RecordsBytes int64             `json:"records_bytes"`
	Refused      map[string]uint64 `json:"refused_nodes,omitempty"` // connections of nodes, by reason
}

// StatusBox is one box of the island, as this node knows it. What only the box
// itself knows (Applied, Epoch, Root) comes by its own node.
type StatusBox struct {
	Box      string `json:"box,omitempty"`
	Name     string `json:"name,omitempty"`
	Self     bool   `json:"self,omitempty"`
	HSM      string `json:"hsm"`
	Rollback string `json:"rollback"` // what keeps its memory from being put back
	Role     string `json:"role"`
	Member   string `json:"member,omitempty"` // its Raft identity, hex; "": not in the configuration
	Heard    bool   `json:"heard"`

	Lag     *uint64 `json:"lag,omitempty"` // entries that the leader has and it does not; nil: not known
	Term    uint64  `json:"term,omitempty"`
	Applied uint64  `json:"applied,omitempty"`
	Epoch   uint64  `json:"epoch,omitempty"`
	Root    string  `json:"root,omitempty"` // of its newest checkpoint
	RootAt  uint64  `json:"root_at,omitempty"`

	Line *StatusLine `json:"line,omitempty"` // nil: this node itself
}

// StatusLine is the way between this node and another box's.
type StatusLine struct {
	Address         string      `json:"address"`
	Connected       bool        `json:"connected"`  // this node to it
	Connecting      bool        `json:"connecting"` // it to this node
	Since           time.Time   `json:"since,omitzero"`
	Failure         string      `json:"failure,omitempty"`
	RoundTripMillis float64     `json:"round_trip_ms"`
	Reported        time.Time   `json:"reported,omitzero"` // when it last told of its box
	Counts          peer.Counts `json:"counts"`
}

// Status is this node's view of now.
func (s *Server) Status() Status {
	version, revision, _ := Build()
	status := Status{
		At: time.Now().UTC().Truncate(time.Millisecond), Program: version, Revision: revision,
		Fleet: hex.EncodeToString(s.Fleet.ID[:]), Pin: s.Pin.String(), Isolation: s.Fleet.Isolation,
		InFlight: s.node.InFlight(), LogBytes: s.disk.Bytes(), RecordsBytes: s.disk.RecordBytes(),
	}
	if err := s.node.Healthy(); err != nil {
		status.Trouble = err.Error()
	}
	known := s.layouts.now.Load()
	if status.Layout = known.Newest(); status.Layout > 0 || s.Own != s.Pin {
		status.Islands = IslandsOf(known, s.Own)
	}
	island := s.island.Load()
	if island == nil {
		status.Boxes = []StatusBox{{Self: true, HSM: s.Fleet.HSM, Rollback: s.Fleet.Rollback, Role: "alone", Heard: true}}
		return status
	}
	s.islandStatus(&status, island)
	return status
}

func (s *Server) islandStatus(status *Status, island *roster) {
	own := island.own()
	status.Box, status.Name = own.String(), island.name(own)
	status.Refused = s.peers.Refused()
	view := newView(own, s.node.Island(), s.peers.Status())
	if r := view.own; r != nil {
		status.Term, status.Commit, status.Applied = r.Term, r.Commit, r.Applied
		if r.Leader != (wire.BoxID{}) {
			status.Leader = r.Leader.String()
		}
	}
	for _, b := range island.Boxes {
		id, _, err := b.parse()
		if err != nil {
			continue // validate saw to it
		}
		row := view.box(id)
		row.Name = b.Name
		row.HSM, row.Rollback = island.hsm(id)
		status.Boxes = append(status.Boxes, row)
	}
	status.Warning = warning(status.Boxes)
	if stranger, found := island.stranger(view); found {
		status.Warning = fmt.Sprintf("box %s took a lost one's place, and this node does not know where it is. Send it the new box's %s: strongroomd ceremony admit", stranger, IslandFileName)
	}
}

// warning is what the table alone tells only to who compares it.
func warning(boxes []StatusBox) string {
	roots := map[uint64]string{}
	for _, b := range boxes {
		if other, seen := roots[b.RootAt]; seen && b.Root != "" && other != b.Root {
			return "two boxes have different roots of the same place: one has other records than were agreed on. It stops by itself (ErrRoot); take it out and let it join again from an empty folder"
		}
		if b.Root != "" {
			roots[b.RootAt] = b.Root
		}
	}
	return missing(boxes)
}

// missing says how far an island is from standing still.
func missing(boxes []StatusBox) string {
	var names []string
	for _, b := range boxes {
		if !b.Heard {
			names = append(names, cmp.Or(b.Name, short(b.Box)))
		}
	}
	if len(names) == 0 {
		return ""
	}
	spare := len(boxes) - len(names) - (len(boxes)/2 + 1)
	what := "no majority is left that it hears"
	switch {
	case spare == 0:
		what = "with one more gone requests stop"
	case spare > 0:
		what = fmt.Sprintf("%d more may go before requests stop", spare)
	}
	return fmt.Sprintf("this box does not hear %s; %s", strings.Join(names, ", "), what)
}

// view is what is known of an island: what this box says, what the leader's
// says, and what each other one says of itself.
type view struct {
	self   wire.BoxID
	own    *wire.IslandReport
	lead   *wire.IslandReport // the leader's word
	byPeer map[wire.BoxID]peer.Status
}

func newView(self wire.BoxID, own *wire.IslandReport, peers []peer.Status) view {
	v := view{self: self, own: own, byPeer: map[wire.BoxID]peer.Status{}}
	for _, p := range peers {
		if !p.Connects {
			p.Report = nil // of a box that does not speak any more
		}
		v.byPeer[p.Box] = p
		if p.Report != nil && p.Report.Role == wire.RoleLeader && (v.lead == nil || p.Report.Term > v.lead.Term) {
			v.lead = p.Report
		}
	}
	if own != nil && own.Role == wire.RoleLeader && (v.lead == nil || own.Term >= v.lead.Term) {
		v.lead = own
	}
	return v
}

// box is the row of one box.
func (v view) box(id wire.BoxID) StatusBox {
	b := StatusBox{Box: id.String(), Self: id == v.self, Role: "not heard"}
	said := v.own // of itself
	if p, other := v.byPeer[id]; other {
		said = p.Report
		b.Line = &StatusLine{
			Address: p.Address, Connected: p.Connected, Connecting: p.Connects, Since: p.Since, Failure: p.Failure,
			RoundTripMillis: float64(p.RoundTrip.Microseconds()) / 1000, Reported: p.Heard, Counts: p.Counts,
		}
	}
	b.Heard = b.Self || v.heard(id)
	if of := boxReport(v.lead, id); of != nil && of.Member != 0 {
		b.Member = fmt.Sprintf("%016x", of.Member)
		lag := v.lead.Commit - min(v.lead.Commit, of.Match)
		b.Lag = &lag
		b.Role = of.Role.String()
	}
	if said != nil {
		b.Role = said.Role.String()
		b.Term, b.Applied, b.Epoch = said.Term, said.Applied, said.Epoch
		if said.RootAt > 0 {
			b.Root, b.RootAt = hex.EncodeToString(said.Root[:]), said.RootAt
		}
	}
	return b
}

// heard: the nodes are connected both ways, and the boxes have a session.
func (v view) heard(id wire.BoxID) bool {
	of, p := boxReport(v.own, id), v.byPeer[id]
	return of != nil && of.Heard && p.Connected && p.Connects
}

func boxReport(r *wire.IslandReport, id wire.BoxID) *wire.BoxReport {
	if r == nil {
		return nil
	}
	for i := range r.Boxes {
		if r.Boxes[i].Box == id {
			return &r.Boxes[i]
		}
	}
	return nil
}

// SentBytes and ReceivedBytes are for the page.
func (l *StatusLine) SentBytes() int64     { return int64(l.Counts.SentBytes) }
func (l *StatusLine) ReceivedBytes() int64 { return int64(l.Counts.ReceivedBytes) }
