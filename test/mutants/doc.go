// Package mutants shows that the tests can fail: it plants bugs, one at a
// time, each of the kind that would cost somebody a backup or give a thief a
// guess, and runs the test that must find it. A bug is a replacement in one
// file, laid over the tree by `go test -overlay`; nothing is changed on disk.
package mutants
