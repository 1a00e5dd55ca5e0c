// Package sim runs a whole island in one goroutine and virtual time: real
// boxes (vault.Step), their nodes, disks, HSMs, clocks and network, clients
// with the real channel and the real OPAQUE, hostile relays and thieves. One
// seed decides everything, so a run that fails can be run again.
//
// What it judges by stands outside the system: evaluations are counted at the
// HSMs' door (oracle.go), histories are checked against a model of one account
// (model.go), sealed keys are opened and compared.
package sim
