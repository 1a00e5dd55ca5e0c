//go:build !race

package opaque

// flipStride: the flip loops try every bit.
const flipStride = 1
