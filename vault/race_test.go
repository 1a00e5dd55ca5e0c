//go:build race

package vault_test

// Under the race detector the long loops try little.
const (
	firstFlipStride = 257
	oddStride       = 29
	hostileRuns     = 2
	hostileRunsLong = 100
	hostileMost     = 5
)
