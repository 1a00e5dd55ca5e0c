// Package standard runs the vectors that others published for the primitives
// which Strongroom takes from Go's standard library and from its few other
// libraries, at the functions that our call sites use: a Go or a library that
// is wrong on this machine fails here.
//
// The vectors are not copied into this repository. They are read where Go
// modules and the Go distribution ship them: the modules' versions and hashes
// are pinned, the client is `go mod download`, and a source that is missing
// or holds fewer vectors than it did is a failure.
package standard
