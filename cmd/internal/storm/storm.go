// Package storm holds the tests that run a whole vault as a process of its
// own, kill it, storm it with clients, and count guesses at its HSM's door.
package storm
