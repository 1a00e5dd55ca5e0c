package backup

import (
	"sync"
	"time"
)

// meter counts and tells. Many goroutines may count at once; tell is called
// by one at a time.
type meter struct {
	tell  func(Progress) // may be nil
	sent  func() int64   // may be nil
	every time.Duration  // how often it tells within a phase

	mu   sync.Mutex
	now  Progress  // guarded by mu
	last time.Time // guarded by mu
}

// tellEvery is how often progress is told within a phase.
const tellEvery = 100 * time.Millisecond

// newMeter makes one that also tells of what the repository is busy with. all
// has it tell everything, for tests: how much work is done between two words is
// counted, and time is not.
func (r *Repository) newMeter(tell func(Progress), all bool) *meter {
	m := &meter{tell: tell, every: tellEvery}
	if all {
		m.every = 0
	}
	r.pack.Working(func() { m.update(false, func(*Progress) {}) })
	return m
}

// Working has f called, from any goroutine, whenever something of what may
// take long is done. It is for what has no Progress of its own: List and Diff.
func (r *Repository) Working(f func()) { r.pack.Working(f) }

// phase begins a phase and tells so.
func (m *meter) phase(name string) {
	m.update(true, func(p *Progress) { p.Phase, p.Current = name, "" })
}

// add counts and tells now and then.
func (m *meter) add(files int, bytes int64, current string) {
	m.update(false, func(p *Progress) {
		p.FilesDone += files
		p.BytesDone += bytes
		p.Current = current
	})
}

// step tells that work goes on where nothing more is counted.
func (m *meter) step(current string) {
	m.update(false, func(p *Progress) { p.Current = current })
}

func (m *meter) update(always bool, change func(*Progress)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(&m.now)
	if m.tell == nil || !always && time.Since(m.last) < m.every {
		return
	}
	if m.sent != nil {
		m.now.BytesSent = m.sent()
	}
	m.last = time.Now()
	m.tell(m.now)
}
