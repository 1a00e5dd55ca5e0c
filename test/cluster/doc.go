// Package cluster tries islands of real strongroomd processes under fire: each
// in a network namespace of its own, over lines that delay, garble and break,
// killed, paused, cut off, with yesterday's disk put back, while clients log
// in, guess wrong, register and ask again through any box. What they were
// answered is judged by test/cluster/history.
package cluster
