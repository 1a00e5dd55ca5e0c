//go:build race

package backup

// raceEnabled makes loops over many mutations shorter.
const raceEnabled = true
