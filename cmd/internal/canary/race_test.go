//go:build race

package canary

// The race detector makes the search twenty times slower: the long way
// through memory is left to the run without it.
const underRace = true
