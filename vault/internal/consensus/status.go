package consensus

import (
	"cmp"
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"
)

// Status is what the member knows of itself.
type Status struct {
	Term      uint64
	Leader    uint64 // 0 for none that it knows
	Leads     bool
	Candidate bool
	Learner   bool
	Commit    uint64
	Applied   uint64
	HandsOver bool // its lead to another one
}

// Status asks Raft.
func (g *Group) Status() Status {
	s := g.node.BasicStatus()
	return Status{
		Term: s.HardState.GetTerm(), Leader: s.Lead, Leads: s.RaftState == raft.StateLeader,
		Candidate: s.RaftState == raft.StateCandidate || s.RaftState == raft.StatePreCandidate,
		Commit:    s.HardState.GetCommit(), Applied: s.Applied, HandsOver: s.LeadTransferee != 0,
	}
}

// Progress is what a leader knows of a member.
type Progress struct {
	ID      uint64
	Learner bool
	Match   uint64 // it has the log up to there
	Active  bool   // it answered since the last look of CheckQuorum
}

// Progress gives what the leader knows, by id.
func (g *Group) Progress() (list []Progress) {
	g.node.WithProgress(func(id uint64, typ raft.ProgressType, p tracker.Progress) {
		list = append(list, Progress{id, p.IsLearner, p.Match, p.RecentActive})
	})
	slices.SortFunc(list, func(a, b Progress) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// State is what the member must not forget beside its entries.
func (g *Group) State() State { return g.log.state }

// LastPosition is that of the last durable entry.
func (g *Group) LastPosition() Position {
	last := g.log.last()
	term, _ := g.log.Term(last) // always known
	return Position{last, term}
}

// Entries are the durable entries after an index.
func (g *Group) Entries(after uint64) (entries []Entry) {
	for _, e := range g.log.entries {
		if e.GetIndex() > after {
			entries = append(entries, entryOf(e))
		}
	}
	return entries
}
