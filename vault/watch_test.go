package vault_test

import (
	"fmt"
	"reflect"
	"testing"

	"strongroom/protocol/channel"
	"strongroom/protocol/opaque"
	"strongroom/protocol/wire"
)

// watcher is a Watch under way.
type watcher struct {
	id       uint64
	exchange *channel.Exchange
}

// look sends a Watch and gives the replies that came meanwhile.
func (r *rig) look(account string, after uint64) (watcher, map[uint64]wire.Reply) {
	r.Helper()
	w := watcher{}
	request := r.sealedWatchBy(&w, account, after)
	return w, r.turn(request)
}

func (r *rig) sealedWatch(account string, after uint64) wire.Request {
	return r.sealedWatchBy(new(watcher), account, after)
}

func (r *rig) sealedWatchBy(w *watcher, account string, after uint64) wire.Request {
	r.Helper()
	plaintext, err := wire.Encode(wire.First{Version: wire.Version, Token: r.vaultToken(account), Watch: &wire.Watch{After: after}})
	must(r.TB, err)
	key, err := channel.ParsePublicKey(r.fleet.KEM, r.fleet.Channel)
	must(r.TB, err)
	sealed, exchange, err := channel.SealFirst(key, r.fleet.ID, plaintext)
	must(r.TB, err)
	r.nextID++
	*w = watcher{r.nextID, exchange}
	return wire.Request{ID: w.id, Sealed: sealed}
}

// told is what a watcher was answered, nil while it is held.
func (r *rig) told(w watcher, replies map[uint64]wire.Reply) *wire.StatusReport {
	r.Helper()
	reply, found := replies[w.id]
	if !found {
		return nil
	}
	a, code := r.open(&reply, w.exchange)
	if code != "" {
		r.Fatalf("a watch was refused: %q", code)
	}
	return a.Status
}

func TestWatch(t *testing.T) {
	r := newRig(t, opaque.P256SHA256)
	r.register(alice, right, "K1")
	r.register("bert", right, "K2")

	w, replies := r.look(alice, 0)
	if s := r.told(w, replies); s == nil || s.Newest() != 1 {
		t.Fatalf("what is new already: %+v", s)
	}
	w, replies = r.look(alice, 9)
	if s := r.told(w, replies); s == nil || s.Newest() != 1 {
		t.Fatalf("a history that went back: %+v", s)
	}

	w, replies = r.look(alice, 1)
	if s := r.told(w, replies); s != nil {
		t.Fatalf("not held: %+v", s)
	}
	r.recover("bert", "wrong password") // is another's
	at := r.attempt(alice, "wrong password")
	if s := r.told(w, r.turn()); s != nil {
		t.Fatalf("answered by another's event, or a status: %+v", s)
	}
	r.nextID++
	if s := r.told(w, r.turn(wire.Request{ID: r.nextID, Sealed: r.sealedRecoverStart(at)})); s == nil || s.Newest() != 2 || s.Left != 9 {
		t.Fatalf("not told of the attempt: %+v", s)
	}

	// Nothing happens: answered when its time is over.
	w, _ = r.look(alice, 2)
	r.now += wire.WatchMillisMax - 1
	if s := r.told(w, r.turn()); s != nil {
		t.Fatal("answered too early")
	}
	r.now++
	if s := r.told(w, r.turn()); s == nil || s.Newest() != 2 {
		t.Fatalf("held too long: %+v", s)
	}
}

// The same bytes again are one more question: each gets its answer, nothing
// changes, and the account of a watch is the token's.
func TestWatchReplayed(t *testing.T) {
	r := newRig(t, opaque.P256SHA256)
	r.register(alice, right, "K1")
	r.register("bert", right, "K2")
	before := *r.status(alice)
	first, again := r.sealedWatch(alice, 1), wire.Request{}
	if _, found := r.turn(first)[first.ID]; found {
		t.Fatal("not held")
	}
	r.nextID++
	again = wire.Request{ID: r.nextID, Sealed: first.Sealed}
	if replies := r.turn(again); len(replies) != 1 || replies[first.ID].Sealed == nil {
		t.Fatalf("%d replies to a replay", len(replies))
	}
	r.recover("bert", "wrong password") // somebody else's event wakes nobody
	r.now += wire.WatchMillisMax
	if replies := r.turn(); len(replies) != 1 || replies[again.ID].Sealed == nil {
		t.Fatalf("%d replies", len(replies))
	}
	if after := *r.status(alice); !reflect.DeepEqual(after, before) {
		t.Fatalf("%+v, before it %+v", after, before)
	}
}

// One watch an account, WatchersMax in all, none while the node stops: what is
// too much is answered at once, and nothing is ever left unanswered.
func TestWatchLimits(t *testing.T) {
	r := newRig(t, opaque.P256SHA256)
	r.register(alice, right, "K1")
	older, _ := r.look(alice, 1)
	newer, replies := r.look(alice, 1)
	if r.told(older, replies) == nil || r.told(newer, replies) != nil {
		t.Fatal("the newer of an account's watches does not end the older")
	}
	held := []watcher{newer}
	for i := range wire.WatchersMax - 1 { // who never registered may watch too
		w, replies := r.look(fmt.Sprint("account ", i), 0)
		if r.told(w, replies) != nil {
			t.Fatalf("watcher %d was not held", i+2)
		}
		held = append(held, w)
	}
	w, replies := r.look("one too many", 0)
	if r.told(w, replies) == nil {
		t.Fatal("a watch too many is held")
	}
	if w, replies = r.look("account 5", 0); r.told(w, replies) != nil || r.told(held[6], replies) == nil {
		t.Fatal("a newer watch does not take its older one's place when all are taken")
	}
	held[6] = w
	r.stopping = true
	replies = r.turn()
	for i, w := range held {
		if r.told(w, replies) == nil {
			t.Fatalf("watcher %d is held while the node stops", i)
		}
	}
	if w, replies := r.look(alice, 1); r.told(w, replies) == nil {
		t.Fatal("held while the node stops")
	}
}
