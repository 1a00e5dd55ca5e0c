package client_test

import (
	"context"
	"errors"
	"testing"

	"strongroom/client"
	"strongroom/protocol/wire"
)

// cutMove gives an account whose move from island 0 to the last one was cut
// where the statuses there say so: live or departed, arriving.
func cutMove(t *testing.T, f *fleet, older wire.State) (string, client.Payload) {
	t.Helper()
	p, n := payload(), len(f.islands)
	const cutsMax = 24
	accounts := f.boundFor(n-1, cutsMax)
	for _, a := range accounts {
		_, err := f.vaultOf(t, a, nil).Register(within(t), right, p)
		must(t, err)
	}
	f.layout(t, n-1)
	for cut, a := range accounts {
		l := &line{drop: func(post int) bool { return post > cut }, early: true}
		_, _, _ = f.vaultOf(t, a, l).Recover(within(t), right)
		if f.at(t, f.islands[0], a).State == older && f.at(t, f.islands[n-1], a).State == wire.StateArriving {
			return a, p
		}
	}
	t.Fatalf("no cut leaves state %d", older)
	return "", client.Payload{}
}

// stays fails unless a right guess gives the payload, leaves the account live
// at an island, and says so.
func stays(t *testing.T, f *fleet, a string, p client.Payload, at int) {
	t.Helper()
	guess, err := f.vaultOf(t, a, nil).Begin(right)
	must(t, err)
	got, status, err := guess.Run(within(t))
	must(t, err)
	if !same(got, p) || guess.Stays() == nil || status.State != wire.StateLive {
		t.Errorf("stays: %v, %+v", guess.Stays(), status)
	}
	if now := f.at(t, f.islands[at], a); now.State != wire.StateLive || now.Generation != status.Generation {
		t.Errorf("%+v there, and %+v was said", now, status)
	}
}

// A record stays live where it is while any of its older homes would not give
// a receipt: one that is down, was not told, or has a stranger's registration.
func TestNoIslandIsLeftForNothing(t *testing.T) {
	f, p := newFleet(t, 3), payload()
	a := f.boundFor(2, 1)[0]
	_, err := f.vaultOf(t, a, nil).Register(within(t), right, p)
	must(t, err)
	f.layout(t, 1)
	_, _, err = f.vaultOf(t, a, nil).Recover(within(t), right)
	must(t, err)
	f.sign(t, 2)
	f.tell(t, f.islands[1])
	f.tell(t, f.islands[2])
	stays(t, f, a, p, 1) // island 0 was not told
	if s := f.at(t, f.islands[2], a); s.State != wire.StateNone {
		t.Errorf("what can not arrive waits: %+v", s)
	}
	f.tell(t, f.islands[0])
	f.silence(f.islands[0])
	stays(t, f, a, p, 1)
	f.silence(nil)
	_, _, err = f.vaultOf(t, a, nil).Recover(within(t), right)
	must(t, err)
	homeOnly(t, f, a, 2)
}

func TestSquatterAtAnOlderHome(t *testing.T) {
	f, p := newFleet(t, 3), payload()
	a := f.boundFor(2, 1)[0]
	_, err := f.vaultOf(t, a, nil).Register(within(t), right, p)
	must(t, err)
	f.layout(t, 1)
	must(t, client.SquatAt(within(t), f.vaultOf(t, a, nil), "the thief's own", payload()))
	f.layout(t, 2)
	stays(t, f, a, p, 0)
	homeOnly(t, f, a, 0)
}

// Who has the key in safety need not wait until a squatter's time is over.
func TestReplacePassesASquatter(t *testing.T) {
	f, p := newFleet(t, 2), payload()
	a := f.boundFor(1, 1)[0]
	_, err := f.vaultOf(t, a, nil).Register(within(t), right, p)
	must(t, err)
	f.layout(t, 1)
	must(t, client.SquatAt(within(t), f.vaultOf(t, a, nil), "the thief's own", payload()))
	s, err := f.vaultOf(t, a, nil).Replace(within(t), another, p)
	must(t, err)
	if there := homeOnly(t, f, a, 1); there.Generation != s.Generation {
		t.Errorf("%+v, and %+v was said", there, s)
	}
	got, _, err := f.vaultOf(t, a, nil).Recover(within(t), another)
	must(t, err)
	if !same(got, p) {
		t.Error("another payload")
	}
}

// The last step of a move is cut: the status is no longer that of the record
// that was live.
func TestCutAfterTheDeparture(t *testing.T) {
	f, p := newFleet(t, 2), payload()
	accounts := f.boundFor(1, 24)
	for _, a := range accounts {
		_, err := f.vaultOf(t, a, nil).Register(within(t), right, p)
		must(t, err)
	}
	f.layout(t, 1)
	seen := 0
	for cut, a := range accounts {
		l := &line{drop: func(post int) bool { return post > cut }, early: true}
		guess, err := f.vaultOf(t, a, l).Begin(right)
		must(t, err)
		_, status, err := guess.Run(within(t))
		if err != nil {
			continue
		}
		left := f.at(t, f.islands[0], a).State == wire.StateDeparted
		arrived := f.at(t, f.islands[1], a).State == wire.StateLive
		if left && !arrived {
			seen++
		}
		if live := status.State == wire.StateLive; live && left && !arrived || arrived && guess.Stays() == nil != live {
			t.Errorf("cut %d: left %v, arrived %v, but %+v, stays: %v", cut, left, arrived, status, guess.Stays())
		}
	}
	if seen == 0 {
		t.Error("no cut came between departure and arrival")
	}
}

// A layout comes between a departure and its arrival, and makes another island
// the home, or the old one again: what left arrives where it was sent, with
// the password alone, and goes on from there.
func TestLayoutBetweenDepartureAndArrival(t *testing.T) {
	for _, next := range []int{0, 1} {
		f := newFleet(t, 3)
		a, p := cutMove(t, f, wire.StateDeparted)
		f.layout(t, next)
		got, status, err := f.vaultOf(t, a, nil).Recover(within(t), right)
		must(t, err)
		if !same(got, p) || status.Left != 10 {
			t.Errorf("%+v", status)
		}
		homeOnly(t, f, a, next)
	}
}

// The only copy waits where a layout left it, guarded by nobody any more, and a
// stranger waits at the new home: a look does not close the one for the other.
func TestLookLeavesTheOnlyCopy(t *testing.T) {
	f := newFleetUnder(t, 3, 1)
	a, p := cutMove(t, f, wire.StateDeparted)
	f.layout(t, 1)
	must(t, client.SquatAt(within(t), f.vaultOf(t, a, nil), "the thief's own", payload()))
	got, _, err := f.vaultOf(t, a, nil).Recover(within(t), right)
	must(t, err)
	if !same(got, p) {
		t.Error("another payload")
	}
}

// Deleted is deleted: nothing that waited elsewhere comes to life by a look,
// and nothing of it is kept.
func TestDeletedStaysDeleted(t *testing.T) {
	f := newFleet(t, 2)
	a, p := cutMove(t, f, wire.StateLive)
	s, err := f.vaultOf(t, a, nil).Delete(within(t), p.Key)
	must(t, err)
	if waits := f.at(t, f.islands[1], a); s.State != wire.StateDeleted || waits.State != wire.StateNone {
		t.Errorf("%+v, and at home %+v", s, waits)
	}
	if s, err := f.vaultOf(t, a, nil).Status(within(t)); err != nil || s.State != wire.StateDeleted {
		t.Errorf("%+v, %v", s, err)
	}
	if _, _, err := f.vaultOf(t, a, nil).Recover(within(t), right); !errors.Is(err, client.ErrNoRecord) {
		t.Error(err)
	}
	_, err = f.vaultOf(t, a, nil).Register(within(t), another, payload())
	must(t, err)
	homeOnly(t, f, a, 1)
}

// A look closes no tombstone by itself, though something waits at home.
func TestLookLeavesTombstones(t *testing.T) {
	f, p := newFleet(t, 2), payload()
	a := f.boundFor(1, 1)[0]
	_, err := f.vaultOf(t, a, nil).Register(within(t), right, p)
	must(t, err)
	f.layout(t, 1)
	_, err = f.vaultOf(t, a, nil).Delete(within(t), p.Key)
	must(t, err)
	must(t, client.SquatAt(within(t), f.vaultOf(t, a, nil), right, p))
	if s, err := f.vaultOf(t, a, nil).Status(within(t)); err != nil || s.State != wire.StateDeleted {
		t.Errorf("%+v, %v", s, err)
	}
	if s := f.at(t, f.islands[0], a); s.State != wire.StateDeleted {
		t.Errorf("%+v", s)
	}
}

// A stolen relay shows a new device the layout in which the account was at an
// island that it left since: that is no missing record.
func TestOldLayoutsForANewDevice(t *testing.T) {
	f, p := newFleet(t, 2), payload()
	old := f.show(nil)
	a := f.boundFor(1, 1)[0]
	_, err := f.vaultOf(t, a, nil).Register(within(t), right, p)
	must(t, err)
	f.layout(t, 1)
	_, _, err = f.vaultOf(t, a, nil).Recover(within(t), right)
	must(t, err)
	newest := f.show(nil)
	f.show(old)
	v := f.vaultOf(t, a, nil)
	if _, _, err := v.Recover(within(t), right); !errors.Is(err, client.ErrLayout) {
		t.Error(err)
	}
	if _, err := v.Register(within(t), another, payload()); !errors.Is(err, client.ErrLayout) {
		t.Error(err)
	}
	f.show(newest) // it was only late
	got, _, err := v.Recover(within(t), right)
	must(t, err)
	if !same(got, p) {
		t.Error("another payload")
	}
}

// A client that runs on learns of a new layout by what the islands know.
func TestLongRunningClientMoves(t *testing.T) {
	f, p := newFleet(t, 2), payload()
	a := f.boundFor(1, 1)[0]
	v := f.vaultOf(t, a, nil)
	_, err := v.Register(within(t), right, p)
	must(t, err)
	f.layout(t, 1)
	_, _, err = v.Recover(within(t), right)
	must(t, err)
	homeOnly(t, f, a, 1)
}

// When the owner's time is over, a thief of tokens may take the place of what
// never arrived, as with a reset. That is no move of the owner's.
func TestTakeoverIsNoMove(t *testing.T) {
	f, p := newFleetUnder(t, 2, 1), payload()
	accounts := f.boundFor(1, 24)
	var known []wire.Generation
	for _, a := range accounts {
		s, err := f.vaultOf(t, a, nil).Register(within(t), right, p)
		must(t, err)
		known = append(known, s.Generation)
	}
	f.layout(t, 1)
	for cut, a := range accounts {
		l := &line{drop: func(post int) bool { return post > cut }, early: true}
		_, _, _ = f.vaultOf(t, a, l).Recover(within(t), right)
		if f.at(t, f.islands[0], a).State != wire.StateDeparted {
			continue
		}
		now := takeOver(within(t), t, f.vaultOf(t, a, nil))
		if moved, err := f.vaultOf(t, a, nil).Moved(within(t), known[cut], now); err != nil || moved {
			t.Errorf("moved %v, %v", moved, err)
		}
		return
	}
	t.Fatal("no cut left the island")
}

// takeOver registers as soon as nobody's time is running any more.
func takeOver(ctx context.Context, t *testing.T, v *client.Vault) wire.StatusReport {
	t.Helper()
	for {
		s, err := client.TakeOver(ctx, v, another, payload())
		if err == nil {
			return s
		}
		if !errors.Is(err, client.ErrOwner) {
			t.Fatal(err)
		}
	}
}
