//go:build !linux

// Command load measures a vault under load, on Linux: it reads what a process
// used from /proc.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "load: it reads /proc, so it runs on Linux only")
	os.Exit(1)
}
