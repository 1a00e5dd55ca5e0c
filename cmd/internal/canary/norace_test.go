//go:build !race

package canary

const underRace = false
