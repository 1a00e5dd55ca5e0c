package backup

import (
	"encoding/hex"
	"encoding/json"
	"path/filepath"
	"time"

	"strongroom/backup/pack"
)

// sights counts on how many of this device's prunes a thing was seen, at most
// once in a while: how a prune knows that something is old without trusting
// a clock, which may jump ahead a year. A lost or garbled file starts to count
// anew.
type sights struct {
	file  string
	now   time.Time
	every time.Duration
	Seen  map[string]sight `json:"seen"`
}

type sight struct {
	Times int       `json:"times"`
	Last  time.Time `json:"last"`
}

const sightFile = "sights.json"

const (
	sightEvery      = 20 * time.Hour // a daily prune counts each time
	sightsOrphan    = 2              // an interrupted backup's pack is then nobody's
	sightsAbandoned = 7              // a claim that was not renewed is then nobody's
)

// openSights reads the counts of a state folder.
func openSights(folder string, now time.Time, every time.Duration) *sights {
	s := &sights{file: filepath.Join(folder, sightFile), now: now, every: every}
	if b, err := readFile(s.file); err != nil || json.Unmarshal(b, s) != nil || s.Seen == nil {
		s.Seen = map[string]sight{}
	}
	return s
}

// times gives how often a name was seen, this time among them if it counts.
func (s *sights) times(n pack.Name) int {
	old := s.Seen[hex.EncodeToString(n[:])]
	if s.counts(old) {
		old.Times++
	}
	return old.Times
}

// counts: the last time is long ago, or of a clock that went back.
func (s *sights) counts(old sight) bool {
	since := s.now.Sub(old.Last)
	return old.Times == 0 || since >= s.every || since < 0
}

// keep remembers the names that are there now, and forgets all others.
func (s *sights) keep(names []pack.Name) error {
	seen := map[string]sight{}
	for _, n := range names {
		key := hex.EncodeToString(n[:])
		old := s.Seen[key]
		seen[key] = sight{Times: s.times(n), Last: old.Last}
		if s.counts(old) {
			seen[key] = sight{Times: s.times(n), Last: s.now}
		}
	}
	s.Seen = seen
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return local(ErrState, writeState(s.file, b))
}
