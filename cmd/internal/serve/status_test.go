package serve

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"strongroom/host/peer"
	"strongroom/protocol/wire"
)

// A view puts together what this box says, what the leader's says, and what
// each other one says of itself.
func TestView(t *testing.T) {
	self, leads, gone := wire.BoxID{1}, wire.BoxID{2}, wire.BoxID{3}
	boxes := func(match ...uint64) (all []wire.BoxReport) {
		for k, id := range []wire.BoxID{self, leads, gone} {
			all = append(all, wire.BoxReport{Box: id, Member: 7, Role: wire.RoleFollower, Heard: true, Match: match[k]})
		}
		return all
	}
	own := &wire.IslandReport{Box: self, Role: wire.RoleFollower, Leader: leads, Term: 3, Applied: 90, Epoch: 2, Root: [32]byte{1}, RootAt: 80, Boxes: boxes(0, 0, 0)}
	lead := &wire.IslandReport{Box: leads, Role: wire.RoleLeader, Leader: leads, Term: 3, Commit: 100, Applied: 100, Epoch: 5, Root: [32]byte{2}, RootAt: 80, Boxes: boxes(95, 100, 40)}
	old := &wire.IslandReport{Box: gone, Role: wire.RoleLeader, Term: 2, Commit: 50}
	v := newView(self, own, []peer.Status{
		{Box: leads, Connected: true, Connects: true, Report: lead},
		{Box: gone, Report: old}, // its last word, of before
	})
	rows := []StatusBox{v.box(self), v.box(leads), v.box(gone)}
	for k, want := range []struct {
		role    string
		lag     uint64
		applied uint64
		epoch   uint64
		heard   bool
	}{{"follower", 5, 90, 2, true}, {"leader", 0, 100, 5, true}, {"follower", 60, 0, 0, false}} {
		b := rows[k]
		if b.Role != want.role || b.Lag == nil || *b.Lag != want.lag || b.Applied != want.applied || b.Epoch != want.epoch || b.Heard != want.heard {
			t.Errorf("box %d: %+v, expected %+v", k+1, b, want)
		}
	}
	if w := warning(rows); !strings.Contains(w, "different roots") {
		t.Errorf("two roots of one place: %q", w)
	}
	rows[0].Root = rows[1].Root
	if w := warning(rows); !strings.Contains(w, "does not hear 03000000; with one more gone requests stop") {
		t.Error(w)
	}
	rows[2].Heard = true
	if w := warning(rows); w != "" {
		t.Error(w)
	}
	none := newView(self, nil, nil)
	if b := none.box(self); b.Role != "not heard" || b.Lag != nil || !b.Heard {
		t.Errorf("before its first word: %+v", b)
	}
}

// Whatever a peer's error says, it is text on the page.
func TestPageEscapes(t *testing.T) {
	var b bytes.Buffer
	s := Status{At: time.Now(), Box: "01", Trouble: "<script>", Boxes: []StatusBox{{Box: "02", Line: &StatusLine{Failure: "<img src=x>"}}}}
	if err := page.Execute(&b, s); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "<script") || strings.Contains(b.String(), "<img") {
		t.Fatal(b.String())
	}
}
