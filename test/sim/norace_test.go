//go:build !race

package sim

// Sizes of an everyday run.
const (
	seedsEveryday     = 200
	stormsEveryday    = 50
	rollbacksEveryday = 50
)
