//go:build race

package main

// underRace: Argon2id is some ten times slower under the race detector, so that
// only the stories with goroutines of their own run there.
const underRace = true
