package consensus

import (
	"fmt"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// journaled is the part of the log that is durable, in memory: Raft's Storage.
// The bytes on the disk are the vault's journal; here is what followers may
// still need.
type journaled struct {
	state   State // as written, or on its way
	newest  State // as Raft last told it: the commit alone is worth no write
	members Configuration
	base    Position // of the entry before the first
	entries []*pb.Entry

	at        Position // of the newest checkpoint: what a snapshot is of
	atMembers Configuration
	held      bool // no snapshot can be begun now
	wanted    bool // one was asked for meanwhile
}

func newJournaled(s Start) *journaled {
	l := &journaled{state: s.State, newest: s.State, members: s.Members, base: s.Base, at: s.Base, atMembers: s.Members}
	for _, e := range s.Entries {
		l.entries = append(l.entries, e.proto())
	}
	return l
}

func (l *journaled) last() uint64 { return l.base.Index + uint64(len(l.entries)) }

// write takes what became durable. An entry that takes the place of another
// one ends all that came after it.
func (l *journaled) write(m *pb.Message) {
	if s := m.GetSnapshot(); s != nil && s.GetMetadata().GetIndex() > 0 {
		at := s.GetMetadata()
		l.base = Position{at.GetIndex(), at.GetTerm()}
		l.entries = nil
		l.members = configurationOf(at.GetConfState())
		l.at, l.atMembers = l.base, l.members
	}
	for _, e := range m.GetEntries() {
		i := e.GetIndex()
		if i <= l.base.Index {
			continue
		}
		if i > l.last()+1 {
			panic(fmt.Sprintf("entry %d does not follow entry %d", i, l.last()))
		}
		if n := i - l.base.Index - 1; n < uint64(len(l.entries)) {
			l.entries = l.entries[:n:n] // what Entries gave out stays as it was: append makes a new array
		}
		l.entries = append(l.entries, e)
	}
}

// note takes the state of a write, and tells whether it is to be written too.
func (l *journaled) note(m *pb.Message) bool {
	if m.GetTerm() != 0 {
		l.newest = State{m.GetTerm(), m.GetVote(), m.GetCommit()}
	}
	same := l.newest.Term == l.state.Term && l.newest.Vote == l.state.Vote
	if same && (len(m.GetEntries()) == 0 || l.newest.Commit == l.state.Commit) {
		return false
	}
	l.state = l.newest
	return true
}

// compact moves the checkpoint, and forgets the entries before an index.
func (l *journaled) compact(at Position, members Configuration, before uint64) {
	l.at, l.atMembers = at, members
	before = min(before, at.Index+1)
	if before <= l.base.Index+1 {
		return
	}
	n := before - l.base.Index - 1
	l.base = Position{l.entries[n-1].GetIndex(), l.entries[n-1].GetTerm()}
	l.entries = append([]*pb.Entry(nil), l.entries[n:]...)
}

func (l *journaled) InitialState() (*pb.HardState, *pb.ConfState, error) {
	if l.state.Term == 0 {
		return nil, l.members.proto(), nil
	}
	commit := max(l.at.Index, min(l.state.Commit, l.last())) // an entry that it was written with may be lost
	return &pb.HardState{Term: new(l.state.Term), Vote: new(l.state.Vote), Commit: new(commit)}, l.members.proto(), nil
}

func (l *journaled) Entries(lo, hi, bytesMax uint64) ([]*pb.Entry, error) {
	if lo <= l.base.Index {
		return nil, raft.ErrCompacted
	}
	if hi > l.last()+1 {
		return nil, raft.ErrUnavailable
	}
	entries := l.entries[lo-l.base.Index-1 : hi-l.base.Index-1]
	sum, n := uint64(0), 0
	for n < len(entries) {
		if sum += uint64(len(entries[n].GetData())) + 32; sum > bytesMax && n > 0 {
			break
		}
		n++
	}
	return entries[:n:n], nil
}

func (l *journaled) Term(i uint64) (uint64, error) {
	switch {
	case i < l.base.Index:
		return 0, raft.ErrCompacted
	case i == l.base.Index:
		return l.base.Term, nil
	case i > l.last():
		return 0, raft.ErrUnavailable
	}
	return l.entries[i-l.base.Index-1].GetTerm(), nil
}

func (l *journaled) LastIndex() (uint64, error)  { return l.last(), nil }
func (l *journaled) FirstIndex() (uint64, error) { return l.base.Index + 1, nil }

func (l *journaled) Snapshot() (*pb.Snapshot, error) {
	if l.held {
		l.wanted = true
		return nil, raft.ErrSnapshotTemporarilyUnavailable
	}
	l.wanted = false
	return &pb.Snapshot{Metadata: &pb.SnapshotMetadata{
		Index: new(l.at.Index), Term: new(l.at.Term), ConfState: l.atMembers.proto(),
	}}, nil
}

// silent is Raft's log: it has none, but for the panics that it makes.
type silent struct{}

func (silent) Debug(...any)            {}
func (silent) Debugf(string, ...any)   {}
func (silent) Error(...any)            {}
func (silent) Errorf(string, ...any)   {}
func (silent) Info(...any)             {}
func (silent) Infof(string, ...any)    {}
func (silent) Warning(...any)          {}
func (silent) Warningf(string, ...any) {}
func (silent) Fatal(v ...any)          { panic(fmt.Sprint(v...)) }
func (silent) Fatalf(f string, v ...any) {
	panic(fmt.Sprintf(f, v...))
}
func (silent) Panic(v ...any)            { panic(fmt.Sprint(v...)) }
func (silent) Panicf(f string, v ...any) { panic(fmt.Sprintf(f, v...)) }
