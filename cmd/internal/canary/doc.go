// Package canary looks for secrets where the host of a vault could have them.
// Passwords, keys, payloads, names and tokens carry canaries: random values
// that stand nowhere else. A real vault serves real clients, and then its
// disk, logs, metrics, wire, pipe and the memory of its processes are searched
// for each canary in every form that a program is likely to give it.
//
// A search that can not find is worth nothing: one leak is planted in each
// kind of place, in each form, and must be found.
package canary
