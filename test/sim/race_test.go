//go:build race

package sim

// Sizes of an everyday run with the race detector, which slows the
// multiplications of a simulation tenfold, and finds nothing in one goroutine.
const (
	seedsEveryday     = 6
	stormsEveryday    = 2
	rollbacksEveryday = 4
)
