package backup

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// KeepRules say which snapshots stay, as restic's rules do: of each device
// and set of paths, one snapshot stays if any rule keeps it. The zero value
// keeps nothing.
type KeepRules struct {
	Last                                   int // the newest so many
	Hourly, Daily, Weekly, Monthly, Yearly int // the newest of each of the last so many hours, days, ... that have one
	Within                                 Span
}

// Empty: no rule at all.
func (k KeepRules) Empty() bool { return k == KeepRules{} }

// Span is a length of time by the calendar.
type Span struct{ Years, Months, Days, Hours int }

// ErrSpan: not a length of time.
var ErrSpan = errors.New("not a length of time like 1y5m7d2h (years, months, days, hours; w: weeks)")

// ParseSpan reads a length of time as restic writes it: 1y5m7d2h, and w for
// weeks.
func ParseSpan(s string) (out Span, err error) {
	rest := s
	for rest != "" {
		i := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
		if i <= 0 {
			return Span{}, fmt.Errorf("%w: %q", ErrSpan, s)
		}
		n, err := strconv.Atoi(rest[:i])
		if err != nil || n > spanMax {
			return Span{}, fmt.Errorf("%w: %q", ErrSpan, s)
		}
		switch rest[i] {
		case 'y':
			out.Years += n
		case 'm':
			out.Months += n
		case 'w':
			out.Days += 7 * n
		case 'd':
			out.Days += n
		case 'h':
			out.Hours += n
		default:
			return Span{}, fmt.Errorf("%w: %q", ErrSpan, s)
		}
		rest = rest[i+1:]
	}
	if out == (Span{}) {
		return Span{}, fmt.Errorf("%w: %q", ErrSpan, s)
	}
	return out, nil
}

const spanMax = 10_000 // of one unit

func (s Span) before(t time.Time) time.Time {
	return t.AddDate(-s.Years, -s.Months, -s.Days).Add(-time.Duration(s.Hours) * time.Hour)
}

// Verdict tells what becomes of a snapshot and why.
type Verdict struct {
	SnapshotInfo
	Keep    bool
	Reasons []string // "last", "daily 2026-11-24", "newest of its device", ...
}

// apply judges the snapshots of one device and set of paths, oldest first in
// the order in which they were made: no clock decides which is the newest.
func (k KeepRules) apply(group []SnapshotInfo) []Verdict {
	out := make([]Verdict, len(group))
	for i := range group {
		out[len(group)-1-i] = Verdict{SnapshotInfo: group[i]} // newest first
	}
	keep := func(i int, why string) {
		out[i].Keep, out[i].Reasons = true, append(out[i].Reasons, why)
	}
	for i := range min(k.Last, len(out)) {
		keep(i, "last")
	}
	for _, rule := range []struct {
		count  int
		name   string
		period func(time.Time) string
	}{
		{k.Hourly, "hourly", func(t time.Time) string { return t.Format("2006-01-02 15h") }},
		{k.Daily, "daily", func(t time.Time) string { return t.Format("2006-01-02") }},
		{k.Weekly, "weekly", func(t time.Time) string { y, w := t.ISOWeek(); return fmt.Sprintf("%d-W%02d", y, w) }},
		{k.Monthly, "monthly", func(t time.Time) string { return t.Format("2006-01") }},
		{k.Yearly, "yearly", func(t time.Time) string { return t.Format("2006") }},
	} {
		seen := map[string]bool{}
		for i := range out {
			period := rule.period(out[i].Time.Local())
			if len(seen) < rule.count && !seen[period] {
				seen[period] = true
				keep(i, rule.name+" "+period)
			}
		}
	}
	if k.Within != (Span{}) && len(out) > 0 {
		from := k.Within.before(out[0].Time)
		for i := range out {
			if out[i].Time.After(from) {
				keep(i, "within")
			}
		}
	}
	slices.Reverse(out)
	return out
}

// groups gathers snapshots by device and paths, in the order in which they
// were made.
func groups(infos []SnapshotInfo) (out [][]SnapshotInfo) {
	at := map[string]int{}
	for _, s := range infos {
		key := s.Device + "\x00" + strings.Join(slices.Sorted(slices.Values(s.Paths)), "\x00")
		i, known := at[key]
		if !known {
			i = len(out)
			at[key] = i
			out = append(out, nil)
		}
		out[i] = append(out[i], s)
	}
	slices.SortStableFunc(out, func(a, b []SnapshotInfo) int {
		return cmp.Or(cmp.Compare(a[0].Host, b[0].Host), cmp.Compare(a[0].Device, b[0].Device))
	})
	return out
}
