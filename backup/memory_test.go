package backup

import (
	"runtime"
	"strings"
	"testing"
)

// exactHeap counts every allocation from now on, to the end of the test. What
// was allocated before is not in heldBytes.
func exactHeap(t *testing.T) {
	t.Helper()
	before := runtime.MemProfileRate
	runtime.MemProfileRate = 1
	t.Cleanup(func() { runtime.MemProfileRate = before })
}

// fixedBuffers are what a run may keep whatever it works on, and keeps or not
// by chance: of how many goroutines met. They are bounded by a number each.
var fixedBuffers = []string{
	"github.com/klauspost/compress/zstd.", // encoders and decoders
	"strongroom/backup/pack.(*Writer).newDraft",
	"strongroom/backup/pack.init.scratchPool.",
}

// heldBytes is what is live of all that was allocated since exactHeap, to the
// byte, but for fixedBuffers. It is the heap's profile at a rate of 1, not its
// size: no pool, no span, and no other test's leavings are in it.
func heldBytes() (held int64) {
	for range 3 { // a sync.Pool outlives one collection, the profile another
		runtime.GC()
	}
	records := make([]runtime.MemProfileRecord, 1<<10)
	for {
		n, ok := runtime.MemProfile(records, false)
		if ok {
			records = records[:n]
			break
		}
		records = make([]runtime.MemProfileRecord, 2*n)
	}
	for _, r := range records {
		if !fixed(r.Stack()) {
			held += r.InUseBytes()
		}
	}
	return held
}

func fixed(stack []uintptr) bool {
	frames := runtime.CallersFrames(stack)
	for {
		f, more := frames.Next()
		for _, name := range fixedBuffers {
			if strings.HasPrefix(f.Function, name) {
				return true
			}
		}
		if !more {
			return false
		}
	}
}
