// Package heap sets how much garbage a server may pile up.
package heap

import "runtime"

// floorBytes: Go collects when the heap has doubled, but at 4 MiB for the first
// time. A vault's live heap is a few megabytes, and a login leaves some 130 KiB
// behind, most of it frames that are padded to one length: it would collect at
// every thirtieth login, and spend a tenth of its time on it. At this size it
// collects at every five hundredth.
const floorBytes = 64 << 20

// ballast counts as live heap. Its pages are never touched: the system gives
// no memory for them.
var ballast []byte

// Raise lets garbage grow to floorBytes and more before it is collected.
// Whoever sets GOGC or GOMEMLIMIT knows better: then it does nothing.
func Raise(getenv func(string) string) {
	if getenv("GOGC") != "" || getenv("GOMEMLIMIT") != "" {
		return
	}
	ballast = make([]byte, floorBytes)
	runtime.GC() // sets the next collection's mark by it
}
