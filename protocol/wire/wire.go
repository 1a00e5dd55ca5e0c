// Package wire holds what both sides of Strongroom say to one another: the
// messages between a client and a box, and the frames that pass the door
// between a box and its host. It is pure: no I/O, no clock, no goroutines.
//
// Every message is CBOR (RFC 8949) in the core deterministic encoding of its
// section 4.2.1; a decoder refuses anything that does not encode back to the
// same bytes. Every limit has a name in limits.go.
package wire

// Version is the version of every message in this package. A reader refuses
// any other.
const Version = 1
