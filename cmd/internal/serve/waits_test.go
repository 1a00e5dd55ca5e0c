package serve

import (
	"errors"
	"slices"
	"testing"
)

func TestWaits(t *testing.T) {
	const minute, hour = 60_000, 3_600_000
	for said, want := range map[string][]uint64{
		"": {0, 0, 0, 0, 0, minute, 10 * minute, hour, 4 * hour, 24 * hour}, WaitsDefault: {0, 0, 0, 0, 0, minute, 10 * minute, hour, 4 * hour, 24 * hour},
		"none": nil, "0": nil, "0,0,0": nil, "0, 500ms": {0, 500}, "0,0,0,0,0,0,0,0,0,0,1m": nil,
	} {
		got, err := waits(said, 10)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v, %v, want %v", said, got, err, want)
		}
		if again, err := waits(WaitsText(got), 10); err != nil || !slices.Equal(again, want) {
			t.Errorf("%q is written %q, which reads %v, %v", said, WaitsText(got), again, err)
		}
	}
	if got, err := waits("", 6); err != nil || !slices.Equal(got, []uint64{0, 0, 0, 0, 0, minute}) {
		t.Errorf("six attempts: %v, %v", got, err)
	}
	if got, err := waits("", 3); err != nil || len(got) != 0 {
		t.Errorf("three attempts: %v, %v", got, err)
	}
	for _, bad := range []string{",", "1m", "0,2m,1m", "0,-1m", "0,200h", "0,soon", "0,1m,", "0 1m", "NONE"} {
		if got, err := waits(bad, 10); !errors.Is(err, ErrPolicy) {
			t.Errorf("%q: %v, %v", bad, got, err)
		}
	}
}
