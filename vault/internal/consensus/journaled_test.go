package consensus

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// TestJournaledAsMemoryStorage: whatever is written, overwritten, compacted or
// replaced by a snapshot, Raft reads what it would from its own storage.
func TestJournaledAsMemoryStorage(t *testing.T) {
	compared := 0
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 1))
		l, peer := newJournaled(Start{ID: 1}), raft.NewMemoryStorage()
		term := uint64(1)
		for range 60 {
			switch last := l.last(); random.IntN(5) {
			case 0, 1, 2: // append, from anywhere that is not compacted
				first := l.base.Index + 1 + random.Uint64N(last-l.base.Index+1)
				term += random.Uint64N(2)
				m := &pb.Message{}
				for i := range 1 + random.Uint64N(4) {
					m.Entries = append(m.Entries, Entry{Index: first + i, Term: term, Data: fmt.Appendf(nil, "%d", random.IntN(1000))}.proto())
				}
				l.write(m)
				if err := peer.Append(m.GetEntries()); err != nil {
					t.Fatal(err)
				}
			case 3: // compact
				if last > l.base.Index {
					at := l.base.Index + 1 + random.Uint64N(last-l.base.Index)
					atTerm, err := l.Term(at)
					if err != nil {
						t.Fatal(err)
					}
					l.compact(Position{at, atTerm}, Configuration{Voters: []uint64{1}}, at+1)
					if err := peer.Compact(at); err != nil {
						t.Fatal(err)
					}
				}
			case 4: // a snapshot past the end
				if random.IntN(4) == 0 {
					term++
					s := &pb.Snapshot{Metadata: &pb.SnapshotMetadata{Index: new(last + 3), Term: new(term), ConfState: Configuration{Voters: []uint64{2}}.proto()}}
					l.write(&pb.Message{Snapshot: s})
					if err := peer.ApplySnapshot(s); err != nil {
						t.Fatal(err)
					}
				}
			}
			compared += compare(t, seed, l, peer)
		}
	}
	if compared < 50_000 {
		t.Fatalf("compared only %d times", compared)
	}
}

func compare(t *testing.T, seed uint64, l *journaled, peer *raft.MemoryStorage) (n int) {
	t.Helper()
	first, _ := l.FirstIndex()
	last, _ := l.LastIndex()
	peerFirst, _ := peer.FirstIndex()
	peerLast, _ := peer.LastIndex()
	if first != peerFirst || last != peerLast {
		t.Fatalf("seed %d: entries %d to %d, want %d to %d", seed, first, last, peerFirst, peerLast)
	}
	for i := max(first, 3) - 3; i <= last+2; i++ {
		a, errA := l.Term(i)
		b, errB := peer.Term(i)
		if a != b || !errors.Is(errA, errB) {
			t.Fatalf("seed %d: term of %d: %d %v, want %d %v", seed, i, a, errA, b, errB)
		}
		n++
	}
	if last >= first {
		a, errA := l.Entries(first, last+1, 1<<20)
		b, errB := peer.Entries(first, last+1, 1<<20)
		if errA != nil || errB != nil || !slices.EqualFunc(a, b, func(a, b *pb.Entry) bool { return reflect.DeepEqual(entryOf(a), entryOf(b)) }) {
			t.Fatalf("seed %d: other entries: %v %v", seed, errA, errB)
		}
		if some, err := l.Entries(first, last+1, 1); err != nil || len(some) != 1 {
			t.Fatalf("seed %d: %d entries of one byte, %v", seed, len(some), err)
		}
	}
	return n
}

func TestEntriesThatAreNotThere(t *testing.T) {
	l := newJournaled(Start{ID: 1, Base: Position{5, 1}, Entries: []Entry{{Index: 6, Term: 1}}})
	if _, err := l.Entries(5, 6, 1); !errors.Is(err, raft.ErrCompacted) {
		t.Error(err)
	}
	if _, err := l.Entries(6, 9, 1); !errors.Is(err, raft.ErrUnavailable) {
		t.Error(err)
	}
	err := func() (err error) {
		defer caught(&err)
		l.write(&pb.Message{Entries: []*pb.Entry{Entry{Index: 9, Term: 1}.proto()}})
		return nil
	}()
	if !errors.Is(err, ErrBroken) {
		t.Errorf("an entry after a gap: %v", err)
	}
}

func TestSnapshotIsHeld(t *testing.T) {
	l := newJournaled(Start{ID: 1, Base: Position{5, 2}, Members: Configuration{Voters: []uint64{1}}})
	l.held = true
	if _, err := l.Snapshot(); !errors.Is(err, raft.ErrSnapshotTemporarilyUnavailable) || !l.wanted {
		t.Error(err)
	}
	l.held = false
	if s, err := l.Snapshot(); err != nil || s.GetMetadata().GetIndex() != 5 || s.GetMetadata().GetTerm() != 2 || l.wanted {
		t.Error(s, err)
	}
}

// Messages of strangers, of no form, or that only Raft says to itself do
// nothing.
func TestStepDropsNonsense(t *testing.T) {
	g, err := New(Start{ID: 7, State: State{Term: 1}, Base: Position{1, 1}, Members: Configuration{Voters: []uint64{7}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range [][]byte{nil, {1, 2, 3}, make([]byte, 100)} {
		if err := g.Step(m); err != nil {
			t.Error(err)
		}
		if from, _ := From(m); from != 0 {
			t.Error("it has a sender")
		}
	}
	if s := g.Status(); s.Leads || s.Term != 1 {
		t.Errorf("%+v", s)
	}
}
