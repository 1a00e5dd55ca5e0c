package sim

import (
	"testing"
	"testing/cryptotest"
	"time"

	"strongroom/protocol/wire"
)

// Directed schedules: what two hundred seeds may or may not come to, each of
// these comes to every time.

// directed makes an island of three that can not be put back, all voting, and
// gives its leader and the two others.
func directed(t *testing.T) (s *Sim, leader *box, others []*box) {
	t.Helper()
	c := Config{Seed: 1, Boxes: 3, Epoch: 24 * time.Hour}
	cryptotest.SetGlobalRandom(t, c.Seed)
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	t.Cleanup(func() {
		for _, v := range s.Violations() {
			t.Error(v)
		}
	})
	s.startAll()
	s.runFor(time.Second)
	s.coldStart()
	s.must(t, "all vote", func() bool { return s.leader() != nil && s.all((*box).votes) })
	leader = s.leader()
	for _, b := range s.boxes {
		if b != leader {
			others = append(others, b)
		}
	}
	return s, leader, others
}

// must runs until something holds.
func (s *Sim) must(t *testing.T, what string, holds func() bool) {
	t.Helper()
	if !s.runUntil(s.now+serving, holds) {
		for _, b := range s.boxes {
			t.Logf("box %d: up %t, %s of term %d, leader %x", b.number, b.up(), b.report.Role, b.report.Term, b.report.Leader[:2])
		}
		t.Fatalf("not within %s: %s", serving, what)
	}
}

// apart cuts a box off from all others, or joins it again.
func (b *box) apart(cut bool) {
	for n := range b.boxes {
		b.net.cut[b.number][n], b.net.cut[n][b.number] = cut, cut
	}
}

// does runs something of a client to its end.
func (a *account) does(t *testing.T, what string, do func(c *client)) {
	t.Helper()
	done := false
	a.client(func(c *client) { do(c); done = true })
	a.must(t, what, func() bool { return done })
}

// A box that votes, stops and resumes as who it was has voted: nobody else gets
// its vote of that term. The one that it voted for leads, and is cut off before
// a word of it arrives; the leader of before, who heard of none of this, then
// asks for the same term.
func TestVoteOutlivesItsBox(t *testing.T) {
	s, before, others := directed(t)
	term := before.report.Term
	leads := func(b *box) bool { return b.report.Role == wire.RoleLeader && b.report.Term == term+1 }
	s.lost = func(from, _ *box) bool { return leads(from) } // it says nothing, not even that
	before.apart(true)
	for _, b := range others {
		b.lose(before) // they ask for votes in turn, and split none
	}
	s.must(t, "another box leads", func() bool { return leads(others[0]) || leads(others[1]) })
	chosen, voter := others[0], others[1]
	if leads(voter) {
		chosen, voter = voter, chosen
	}
	if voter.report.Term != term+1 {
		t.Fatalf("box %d is at term %d: it voted for nobody", voter.number, voter.report.Term)
	}
	chosen.still = true // or it would find out that it is alone
	chosen.apart(true)
	s.must(t, "the one before knows that it leads no more", func() bool { return before.report.Role != wire.RoleLeader })
	if before.report.Term != term {
		t.Fatalf("box %d is at term %d, and was to hear of none after %d", before.number, before.report.Term, term)
	}
	voter.crash()
	voter.restart()
	before.apart(false)
	chosen.apart(true)
	s.must(t, "the two agree on a leader", func() bool {
		return len(s.Violations()) > 0 || before.report.Leader != (wire.BoxID{}) && before.report.Leader == voter.report.Leader
	})
	if len(s.Violations()) > 0 {
		return
	}
	if before.report.Term <= term+1 {
		t.Errorf("they agree in term %d, which box %d leads", before.report.Term, chosen.number)
	}
	s.lost, chosen.still = nil, false
	chosen.apart(false)
	a := s.newAccount()
	a.does(t, "all comes back", func(c *client) {
		if !c.comeBack() {
			t.Error("no login when all is well again")
		}
	})
	a.check()
}

// A leader that was replaced answers nobody from what it knew, whatever its
// host does: here it gets no ticks and hears nobody, so that it finds out of
// nothing by itself.
func TestReplacedLeaderIsSilent(t *testing.T) {
	s, before, _ := directed(t)
	a := s.newAccount()
	a.does(t, "register", func(c *client) {
		if !c.register("the right one", "a key") {
			t.Error("no registration")
		}
	})
	before.still = true
	before.apart(true)
	s.must(t, "another box leads", func() bool { return s.leader() != before })
	s.only = s.leader()
	a.does(t, "a wrong guess at the new leader", func(c *client) {
		if _, why := c.login("a wrong one"); why != wire.CodeProof {
			t.Errorf("the guess came to %q", why)
		}
	})
	s.runFor(time.Millisecond) // what comes now comes after it
	s.only = before
	a.does(t, "a question to the one before", func(c *client) {
		if got, _ := c.first(wire.First{Status: &wire.StatusRequest{}}, operation{kind: opStatus}); got.Answer != nil {
			t.Errorf("box %d was replaced, and says: slot %d", before.number, got.Status.Slot)
		}
	})
	s.only, before.still = nil, false
	before.apart(false)
	a.does(t, "all comes back", func(c *client) {
		if !c.comeBack() {
			t.Error("no login when all is well again")
		}
	})
	a.check()
}

// A box that came back with an old disk, and was let in again, is who it is now
// also after the next power cut of all, before any checkpoint: else a second
// lost disk would leave one of three, and only custodians could help.
func TestLetInAgainResumes(t *testing.T) {
	s, leader, others := directed(t)
	first, second := others[0], others[1]
	old := first.backup()
	a := s.newAccount()
	a.does(t, "register", func(c *client) { c.register("a password", "a key") })
	first.crash()
	first.putBack(old)
	first.restart()
	s.must(t, "all vote again", func() bool { return s.all((*box).votes) })
	for _, b := range s.boxes {
		b.crash()
	}
	second.disk = newDisk()
	for _, b := range s.boxes {
		b.restart()
	}
	s.must(t, "the two of them choose a leader", func() bool {
		return leader.report.Leader != (wire.BoxID{}) && leader.report.Leader == first.report.Leader
	})
	s.must(t, "all vote again", func() bool { return s.all((*box).votes) })
	if s.Counts.ColdStarts != 1 {
		t.Errorf("custodians were needed %d times", s.Counts.ColdStarts)
	}
}

// A box with an old disk is nobody until it is let in again, however often it
// starts: what it voted for and acknowledged since is forgotten at each.
func TestOldDiskStartsTwice(t *testing.T) {
	s, _, others := directed(t)
	b := others[0]
	old := b.backup()
	a := s.newAccount()
	a.does(t, "register", func(c *client) { c.register("a password", "a key") })
	b.apart(true)
	b.crash()
	b.putBack(old)
	for range 3 {
		b.restart()
		s.runFor(time.Second)
		if b.report.Role != wire.RoleNone {
			t.Errorf("box %d is %s, with a disk of before what it acknowledged", b.number, b.report.Role)
		}
		b.crash()
	}
	b.restart()
	b.apart(false)
	s.must(t, "all vote again", func() bool { return s.all((*box).votes) })
}
