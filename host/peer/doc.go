// Package peer carries bytes between the nodes of an island, over TLS 1.3 with
// both ends pinned: what boxes say to one another, and the requests that a
// node takes to the leader's. What it carries is sealed by boxes and clients;
// its TLS keeps strangers away, and tells an observer of the line less.
package peer
