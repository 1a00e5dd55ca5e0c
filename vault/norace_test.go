//go:build !race

package vault_test

const (
	firstFlipStride = 3 // of a first trip's bytes one in three: each costs a KEM
	oddStride       = 1
	hostileRuns     = 6 // seeds
	hostileRunsLong = 400
	hostileMost     = 10 // guesses since a proof that they must come to
)
