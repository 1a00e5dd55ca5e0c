package main

import (
	"os"
	"runtime/debug"
)

// garbagePercent is how much garbage there may be beside what is in use.
//
// A backup holds some sixty megabytes whatever its size, nearly all of it in
// packs being filled and sent. The runtime's own 100 percent would let garbage
// grow to as much again; to look through a few large buffers more often costs
// less than a percent of a backup's time.
const garbagePercent = 25

// holdMemory keeps the program small, unless its user knows better (GOGC).
func holdMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbagePercent)
	}
}
