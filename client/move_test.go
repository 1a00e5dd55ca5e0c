package client_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"strongroom/client"
	"strongroom/protocol/bundle"
	"strongroom/protocol/wire"
)

// homeOnly fails unless the account is live at one island, and departed or
// unknown at all others.
func homeOnly(t *testing.T, f *fleet, account string, home int) wire.StatusReport {
	t.Helper()
	for place, i := range f.islands {
		s := f.at(t, i, account)
		if open := s.State == wire.StateLive; open != (place == home) {
			t.Errorf("%s: state %d at island %d, its home is %d", account, s.State, place, home)
		}
	}
	return f.at(t, f.islands[home], account)
}

// Whichever message of a move is the last that a device gets through, its
// answer lost or the request itself: the payload comes, the next device has
// it too, at the new island, and no guess was given back or charged twice.
func TestMoveCutAnywhere(t *testing.T) {
	f, p := newFleet(t, 2), payload()
	const cutsMax = 24
	accounts := f.boundFor(1, 2*cutsMax)
	for _, a := range accounts {
		_, err := f.vaultOf(t, a, nil).Register(within(t), right, p)
		must(t, err)
	}
	f.layout(t, 0, 1)
	for _, early := range []bool{false, true} {
		whole := 0
		for cut := 1; whole == 0 && cut < cutsMax; cut++ {
			a := accounts[0]
			accounts = accounts[1:]
			t.Run(fmt.Sprintf("early=%v cut=%d", early, cut), func(t *testing.T) {
				l := &line{drop: func(post int) bool { return post >= cut }, early: early}
				got, _, err := f.vaultOf(t, a, l).Recover(within(t), right)
				if err == nil && !same(got, p) {
					t.Error("another payload")
				}
				if err == nil && l.count() < cut {
					whole = cut
				}
				got, status, err := f.vaultOf(t, a, nil).Recover(within(t), right)
				must(t, err)
				// The first device's guess was charged at most once, and stays so
				// where its proof never came.
				if !same(got, p) || status.Left != 10 || status.Slot > 2 || status.WrongEver > 1 {
					t.Errorf("another payload, or %+v", status)
				}
				homeOnly(t, f, a, 1)
			})
		}
		if whole < 8 {
			t.Errorf("a move of %d messages", whole)
		}
	}
}

// One message of a move is lost, and the same device goes on: nobody notices.
func TestMoveOverABadLine(t *testing.T) {
	f, p := newFleet(t, 2), payload()
	accounts := f.boundFor(1, 12)
	for _, a := range accounts {
		_, err := f.vaultOf(t, a, nil).Register(within(t), right, p)
		must(t, err)
	}
	f.layout(t, 0, 1)
	for lost, a := range accounts {
		l := &line{drop: func(post int) bool { return post == lost+1 }}
		guess, err := f.vaultOf(t, a, l).Begin(right)
		must(t, err)
		got, status, err := guess.Run(within(t))
		must(t, err)
		if !same(got, p) || status.Left != 10 || guess.Stays() != nil {
			t.Errorf("message %d lost: %v, %+v", lost+1, guess.Stays(), status)
		}
		homeOnly(t, f, a, 1)
	}
}

// Wrong guesses are counted where the account is, and what was counted, its
// marks and its history come along.
func TestMoveTakesCountsAlong(t *testing.T) {
	f, p := newFleet(t, 2), payload()
	a := f.boundFor(1, 1)[0]
	v := func() *client.Vault { return f.vaultOf(t, a, nil) }
	_, err := v().Register(within(t), right, p)
	must(t, err)
	for n := range 3 {
		if n == 2 {
			f.layout(t, 0, 1)
		}
		var wrong *client.ErrWrongPassword
		if _, _, err := v().Recover(within(t), "a wrong password"); !errors.As(err, &wrong) || wrong.AttemptsLeft != 9-n {
			t.Fatal(err)
		}
	}
	mark := client.Mark{Device: [16]byte{7}, Sequence: 5, Head: [32]byte{9}}
	if s, err := v().Mark(within(t), p.Key, mark); err != nil || len(s.Marks) != 1 {
		t.Fatalf("at the older island: %+v, %v", s, err)
	}
	_, status, err := v().Recover(within(t), right)
	must(t, err)
	there := homeOnly(t, f, a, 1)
	if status.WrongEver != 3 || there.WrongEver != 3 || len(there.Marks) != 1 || there.Marks[0] != mark || there.Left != 10 {
		t.Errorf("%+v", there)
	}
	kinds := map[wire.EventKind]bool{}
	for _, e := range there.History {
		kinds[e.Kind] = true
	}
	if !kinds[wire.EventRegistered] || !kinds[wire.EventArrived] {
		t.Errorf("history %+v", there.History)
	}
	mark.Sequence = 4
	if _, err := v().Mark(within(t), p.Key, mark); !errors.Is(err, client.ErrStale) {
		t.Errorf("an older mark after the move: %v", err)
	}
}

// A budget that was begun at one island ends at it: a record that was
// destroyed there stays destroyed, and its owner begins anew at the new one.
func TestDestroyedBeforeTheMove(t *testing.T) {
	f, p := newFleet(t, 2), payload()
	a := f.boundFor(1, 1)[0]
	_, err := f.vaultOf(t, a, nil).Register(within(t), right, p)
	must(t, err)
	f.layout(t, 0, 1)
	before := f.evaluations()
	for range 10 {
		_, _, _ = f.vaultOf(t, a, nil).Recover(within(t), "a wrong password")
	}
	if _, _, err := f.vaultOf(t, a, nil).Recover(within(t), right); !errors.Is(err, client.ErrExhausted) && !errors.Is(err, client.ErrDestroyed) {
		t.Errorf("after ten wrong guesses: %v", err)
	}
	if n := f.evaluations() - before; n != 10 {
		t.Errorf("%d guesses evaluated", n)
	}
}

// Whatever an owner does with an account that has not moved, it is done to
// the one record that there is.
func TestOwnersOfAccountsThatHaveNotMoved(t *testing.T) {
	f, p := newFleet(t, 2), payload()
	accounts := f.boundFor(1, 5)
	for _, a := range accounts[:4] {
		_, err := f.vaultOf(t, a, nil).Register(within(t), right, p)
		must(t, err)
	}
	f.layout(t, 0, 1)
	ctx := within(t)

	t.Run("replace", func(t *testing.T) {
		v := f.vaultOf(t, accounts[0], nil)
		if _, err := v.Register(ctx, another, p); !errors.Is(err, client.ErrLive) {
			t.Errorf("register: %v", err)
		}
		stranger := payload()
		if _, err := v.Replace(ctx, another, stranger); !errors.Is(err, client.ErrOwner) {
			t.Errorf("with another key: %v", err)
		}
		_, err := v.Replace(ctx, another, p)
		must(t, err)
		homeOnly(t, f, accounts[0], 1)
		got, _, err := v.Recover(ctx, another)
		must(t, err)
		if !same(got, p) {
			t.Error("another payload")
		}
	})
	t.Run("reset and cancel", func(t *testing.T) {
		v := f.vaultOf(t, accounts[1], nil)
		s, err := v.Reset(ctx, another, payload())
		must(t, err)
		if s.Pending == nil || f.at(t, f.islands[0], accounts[1]).Pending == nil {
			t.Errorf("%+v", s)
		}
		s, err = v.Cancel(ctx, p.Key)
		must(t, err)
		if s.Pending != nil {
			t.Errorf("%+v", s)
		}
		homeOnly(t, f, accounts[1], 0)
	})
	t.Run("delete and begin anew", func(t *testing.T) {
		v := f.vaultOf(t, accounts[2], nil)
		s, err := v.Delete(ctx, p.Key)
		must(t, err)
		if s.State != wire.StateDeleted {
			t.Errorf("%+v", s)
		}
		if s, err = v.Status(ctx); err != nil || s.State != wire.StateDeleted {
			t.Errorf("%+v, %v", s, err)
		}
		_, err = v.Register(ctx, another, p)
		must(t, err)
		homeOnly(t, f, accounts[2], 1)
	})
	t.Run("watch", func(t *testing.T) {
		v := f.vaultOf(t, accounts[3], nil)
		before, err := v.Status(ctx)
		must(t, err)
		newest := before.History[len(before.History)-1].Number
		s, err := v.Watch(ctx, newest-1)
		must(t, err)
		if len(s.History) == 0 {
			t.Errorf("%+v", s)
		}
	})
	t.Run("a name that nobody has", func(t *testing.T) {
		v := f.vaultOf(t, accounts[4], nil)
		_, err := v.Register(ctx, right, p)
		must(t, err)
		homeOnly(t, f, accounts[4], 1)
	})
}

// A thief with tokens who waits at the new island keeps an account where it
// is, and gets nothing; the person has the payload.
func TestSquatterAtTheNewIsland(t *testing.T) {
	f, p := newFleet(t, 2), payload()
	a := f.boundFor(1, 1)[0]
	ctx := within(t)
	_, err := f.vaultOf(t, a, nil).Register(ctx, right, p)
	must(t, err)
	f.layout(t, 0, 1)
	must(t, client.SquatAt(ctx, f.vaultOf(t, a, nil), "the thief's own", payload()))
	guess, err := f.vaultOf(t, a, nil).Begin(right)
	must(t, err)
	got, status, err := guess.Run(ctx)
	must(t, err)
	if !same(got, p) || status.Left != 10 || !errors.Is(guess.Stays(), client.ErrArriving) {
		t.Errorf("%v, %+v", guess.Stays(), status)
	}
	if _, _, err := f.vaultOf(t, a, nil).Recover(ctx, "the thief's own"); err == nil {
		t.Error("the thief's password opens something")
	}
	homeOnly(t, f, a, 0)
}

// An island that was not told of the layout delays moves, and one that is down
// stops those only who are there.
func TestIslandsThatDoNotAnswer(t *testing.T) {
	f, p := newFleet(t, 2), payload()
	a := f.boundFor(1, 1)[0]
	ctx := within(t)
	_, err := f.vaultOf(t, a, nil).Register(ctx, right, p)
	must(t, err)
	f.sign(t, 0, 1)
	again := func(what string, moved bool) {
		t.Helper()
		guess, err := f.vaultOf(t, a, nil).Begin(right)
		must(t, err)
		got, _, err := guess.Run(ctx)
		if err != nil || !same(got, p) || (guess.Stays() == nil) != moved {
			t.Fatalf("%s: %v, stays: %v", what, err, guess.Stays())
		}
	}
	again("nobody was told", false)
	f.tell(t, f.islands[1])
	again("the old island was not told", false)
	f.tell(t, f.islands[0])
	f.silence(f.islands[1])
	again("the new island is down", false)
	f.silence(nil)
	again("all is well", true)
	f.silence(f.islands[1])
	if _, _, err := f.vaultOf(t, a, nil).Recover(ctx, right); !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("its island is down: %v", err)
	}
	f.silence(f.islands[0])
	again("the island where it was is down", true)
}

// A third island, then two of the three left out: accounts follow, from
// wherever they are.
func TestThreeIslands(t *testing.T) {
	f, p := newFleet(t, 3), payload()
	accounts := f.boundFor(2, 6)
	ctx := within(t)
	for _, a := range accounts {
		_, err := f.vaultOf(t, a, nil).Register(ctx, right, p)
		must(t, err)
	}
	visit := func() {
		for _, a := range accounts[:4] {
			got, status, err := f.vaultOf(t, a, nil).Recover(ctx, right)
			if err != nil || !same(got, p) || status.Left != 10 {
				t.Fatalf("%s: %v, %+v", a, err, status)
			}
		}
	}
	for _, layout := range [][]int{{0, 1}, {0, 1, 2}, {1}, {0, 2}} {
		f.layout(t, layout...)
		visit()
	}
	for _, a := range accounts[4:] { // for the first time since layout 0
		_, _, err := f.vaultOf(t, a, nil).Recover(ctx, right)
		must(t, err)
	}
	for _, a := range accounts {
		homeOnly(t, f, a, 2)
	}
}

// A device that was not there when the account moved can tell that move from a
// stranger's registration.
func TestMovedByItsOwner(t *testing.T) {
	f, p := newFleet(t, 2), payload()
	accounts := f.boundFor(1, 2)
	ctx := within(t)
	var known []wire.Generation
	for _, a := range accounts {
		s, err := f.vaultOf(t, a, nil).Register(ctx, right, p)
		must(t, err)
		known = append(known, s.Generation)
	}
	f.layout(t, 0, 1)
	_, moved, err := f.vaultOf(t, accounts[0], nil).Recover(ctx, right)
	must(t, err)
	_, err = f.vaultOf(t, accounts[1], nil).Delete(ctx, p.Key)
	must(t, err)
	stranger, err := f.vaultOf(t, accounts[1], nil).Register(ctx, another, payload())
	must(t, err)
	for n, c := range []struct {
		known wire.Generation
		now   wire.StatusReport
		want  bool
	}{{known[0], moved, true}, {known[1], stranger, false}, {wire.Generation{1}, moved, false}} {
		account := accounts[min(n%2, 1)]
		if got, err := f.vaultOf(t, account, nil).Moved(ctx, c.known, c.now); err != nil || got != c.want {
			t.Errorf("%d: %v, %v", n, got, err)
		}
	}
}

// A device that has seen a layout takes no older one, and one that the
// founder's custodians did not sign nobody takes.
func TestOldLayoutsAreRefused(t *testing.T) {
	f := newFleet(t, 2)
	old := f.show(nil)
	f.layout(t, 0, 1)
	a := f.boundFor(1, 1)[0]
	v := f.vaultOf(t, a, nil)
	if _, err := v.Status(within(t)); err != nil || v.NewestLayout() != 1 {
		t.Fatalf("%v, layout %d", err, v.NewestLayout())
	}
	f.show(old)
	later, l := f.vaultOf(t, a, nil), &line{}
	later.HTTP.Transport, later.LayoutSeen = l, v.NewestLayout()
	if _, err := later.Status(within(t)); !errors.Is(err, client.ErrLayout) || l.count() != 0 {
		t.Errorf("%v, %d requests", err, l.count())
	}
	f.check(t)
	f.sign(t, 0, 1)
	last := f.show(nil).Layouts[0]
	last[len(last)-1] ^= 1
	if _, err := f.vaultOf(t, a, nil).Status(within(t)); !errors.Is(err, client.ErrPin) {
		t.Errorf("a forged layout: %v", err)
	}
}

// What a second island signed is checked with the founder's pin alone.
func TestEvidenceOfAnotherIsland(t *testing.T) {
	f := newFleet(t, 2)
	f.layout(t, 0, 1)
	a := f.boundFor(1, 1)[0]
	v := f.vaultOf(t, a, nil)
	_, err := v.Register(within(t), right, payload())
	must(t, err)
	e, _, err := v.SignedStatus(within(t))
	must(t, err)
	text, err := e.Encode()
	must(t, err)
	s, fleet, err := client.CheckEvidence(f.pin, text)
	must(t, err)
	if s.Account != a || s.Report.State != wire.StateLive || fleet.Founder != f.pin {
		t.Errorf("%+v", s)
	}
	if _, _, err := client.CheckEvidence(bundle.Pin{1}, text); !errors.Is(err, bundle.ErrPin) {
		t.Errorf("another pin: %v", err)
	}
	e.Layouts = nil // an island that no layout names
	text, err = json.Marshal(e)
	must(t, err)
	if _, _, err := client.CheckEvidence(f.pin, text); err == nil {
		t.Error("an island without a layout is believed")
	}
}
