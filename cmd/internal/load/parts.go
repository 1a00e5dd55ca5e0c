//go:build linux

package main

import (
	"errors"
	"os"
	"slices"
	"strings"

	"github.com/google/pprof/profile"
)

// part is where a login's CPU goes: samples whose stack holds all of the
// functions, and none of an earlier part.
type part struct {
	name  string
	needs []string
	box   bool    // the box's own; else its host's
	us    float64 // a login
}

// partsOf is in the order in which a sample is given away.
func partsOf() []part {
	return []part{
		{name: "token, the box's", needs: []string{"vault.openJob.Run", "token.Check"}, box: true},
		{name: "token, the relay's", needs: []string{"token.Check"}},
		{name: "opening: HPKE, decoding", needs: []string{"vault.openJob.Run"}, box: true},
		{name: "OPAQUE KE2", needs: []string{"vault.evaluateJob.Run"}, box: true},
		{name: "commit: HSM's memory", needs: []string{"vault.anchorJob.Run"}, box: true},
		{name: "commit: the host's log", needs: []string{"host/node.(*Log).Append"}},
		{name: "Step: rules, tickets, answers", needs: []string{"vault.(*Vault).Step"}, box: true},
		{name: "box's loop and hands", needs: []string{"strongroom/box."}, box: true},
		{name: "node", needs: []string{"strongroom/host/node."}},
		{name: "relay and HTTP", needs: []string{"net/http."}},
		{name: "Go: memory", needs: []string{"runtime.gcBgMarkWorker"}},
		{name: "Go: memory", needs: []string{"runtime.bgsweep"}},
		{name: "Go: memory", needs: []string{"runtime.bgscavenge"}},
		{name: "Go: scheduling and polling", needs: nil},
	}
}

// parse splits a CPU profile of so many logins into parts.
func parseParts(path string, logins int) (parts []part, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	p, err := profile.Parse(file)
	if err != nil {
		return nil, err
	}
	parts = partsOf()
	for _, s := range p.Sample {
		i := slices.IndexFunc(parts, func(q part) bool { return q.holds(s) })
		parts[i].us += float64(s.Value[len(s.Value)-1]) / 1e3 / float64(logins) // nanoseconds
	}
	if len(p.Sample) == 0 {
		return nil, errors.New("the profile is empty")
	}
	return merge(parts), nil
}

func (q part) holds(s *profile.Sample) bool {
	for _, name := range q.needs {
		if !slices.ContainsFunc(s.Location, func(l *profile.Location) bool {
			return slices.ContainsFunc(l.Line, func(n profile.Line) bool { return strings.Contains(n.Function.Name, name) })
		}) {
			return false
		}
	}
	return true
}

// merge adds neighbours of one name up.
func merge(parts []part) (merged []part) {
	for _, q := range parts {
		if n := len(merged); n > 0 && merged[n-1].name == q.name {
			merged[n-1].us += q.us
			continue
		}
		merged = append(merged, q)
	}
	return merged
}
