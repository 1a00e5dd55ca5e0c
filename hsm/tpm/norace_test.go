//go:build !race

package tpm

const raceEnabled = false
