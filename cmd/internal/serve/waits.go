package serve

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// The waits between attempts, as a flag says them: one for each attempt.
const (
	WaitsDefault = "0,0,0,0,0,1m,10m,1h,4h,24h"
	WaitsNone    = "none" // for trying
	waitMax      = 7 * 24 * time.Hour
)

// waits reads what a flag says, "" being the default. Waits for attempts that
// the fleet does not give fall away, and so do zeros at the end.
func waits(said string, attempts int) ([]uint64, error) {
	if said == WaitsNone {
		return nil, nil
	}
	if said == "" {
		said = WaitsDefault
	}
	refused := fmt.Errorf("%w: --waits %q: one wait for each attempt, the first 0, none shorter than the one before it or over %v, as in %s; or none",
		ErrPolicy, said, waitMax, WaitsDefault)
	var out []uint64
	for _, one := range strings.Split(said, ",") {
		d, err := time.ParseDuration(strings.TrimSpace(one))
		if err != nil || d < 0 || d > waitMax {
			return nil, refused
		}
		out = append(out, uint64(d.Milliseconds()))
	}
	if out[0] != 0 || !slices.IsSorted(out) {
		return nil, refused
	}
	out = out[:min(len(out), attempts)]
	for len(out) > 0 && out[len(out)-1] == 0 {
		out = out[:len(out)-1]
	}
	return out, nil
}

// WaitsText is the waits of a fleet as --waits takes them.
func WaitsText(millis []uint64) string {
	var out []string
	for _, m := range millis {
		out = append(out, brief(time.Duration(m)*time.Millisecond))
	}
	if len(out) == 0 {
		return WaitsNone
	}
	return strings.Join(out, ",")
}

// brief is a duration without its trailing zero units: 4h, not 4h0m0s.
func brief(d time.Duration) string {
	if d == 0 {
		return "0"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
