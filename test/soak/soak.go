// Package soak gives tests their two sizes: what a run of `make test` tries,
// and what `make soak` tries in an hour. A test of any room may import it.
//
// A test that has a long size takes it from Size and says at its end, by
// Tried, how far it came: a run that did too little fails. `make soak` finds
// such tests by name (run/roster.go), runs them and writes down what they said.
package soak

import (
	"os"
	"testing"
)

// Variable, when it is "1", asks for the long sizes. Nothing but this package
// reads it (a law in test/tidy): `make soak` would not know of such a test.
const Variable = "STRONGROOM_SOAK"

// Long says whether this is a long run.
func Long() bool { return os.Getenv(Variable) == "1" }

// Size is how much a test is to try in this run.
func Size(everyday, long int) int {
	if Long() {
		return long
	}
	return everyday
}

// line is what Tried writes and run/report.go reads: a promise of spec, what
// was tried, how much of it, and what was asked for.
const line = "soak: %s: tried %d of %d %s"

// Tried reports that a test of a promise ("P7") has tried n of what, and
// fails it when that is less than was to be tried. Counts are taken by the
// test, at an oracle outside its subject.
func Tried(t testing.TB, promise, what string, n, least int) {
	t.Helper()
	t.Logf(line, promise, n, least, what)
	if n < least || least <= 0 {
		t.Errorf("%s: this run did too little: %d of %d %s", promise, n, least, what)
	}
}
