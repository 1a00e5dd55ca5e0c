package main

import (
	"fmt"
	"strconv"
	"strings"
)

// byteRate is an amount a second as people write it: 500k, 2M, 1.5M; decimal
// units, as everywhere in what strongroom says.
type byteRate int64

// UnmarshalText reads a flag or a variable.
func (r *byteRate) UnmarshalText(text []byte) error {
	number, unit := strings.TrimSuffix(strings.ToLower(strings.TrimSpace(string(text))), "/s"), 1.0
	number = strings.TrimSuffix(number, "b")
	for suffix, factor := range map[string]float64{"k": 1e3, "m": 1e6, "g": 1e9} {
		if rest, found := strings.CutSuffix(number, suffix); found {
			number, unit = rest, factor
			break
		}
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || !(n >= 0) || n*unit > 1e15 {
		return fmt.Errorf("%q is no rate: want for instance 500k or 2M (bytes a second)", text)
	}
	*r = byteRate(n * unit)
	return nil
}
