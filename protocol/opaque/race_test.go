//go:build race

package opaque

// flipStride: under the race detector the flip loops try one bit in many.
const flipStride = 61
