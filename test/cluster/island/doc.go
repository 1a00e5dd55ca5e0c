// Package island runs an island of real strongroomd processes (Linux), one at
// each place of a link.Network, for tests and for load: it founds them, kills,
// pauses, stops and starts them, and puts their disks back.
package island
