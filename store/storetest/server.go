package storetest

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

const (
	startTimeMax = 60 * time.Second
	pollTime     = 20 * time.Millisecond
)

// Serve starts a real server of .cache/bin on a free loopback address, which
// arguments is given, waits until it takes connections, and stops it when the
// test ends. Without the program the test fails: it is pinned in tools/go.mod
// and built by `make tools`.
func Serve(t testing.TB, program string, environment []string, arguments func(address string) []string) (address string) {
	t.Helper()
	path := find(t, program)
	address = freeAddress(t)
	log := filepath.Join(t.TempDir(), program+".log")
	output, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	command := exec.Command(path, arguments(address)...)
	command.Env = append(os.Environ(), environment...)
	command.Stdout, command.Stderr = output, output
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = command.Wait(); close(ended) }()
	t.Cleanup(func() { _ = command.Process.Signal(syscall.SIGKILL); <-ended })
	if !listens(address, ended) {
		text, _ := os.ReadFile(log)
		t.Fatalf("%s does not answer on %s:\n%s", program, address, text)
	}
	return address
}

func listens(address string, ended <-chan struct{}) bool {
	deadline := time.After(startTimeMax)
	for {
		line, err := net.Dial("tcp", address)
		if err == nil {
			line.Close()
			return true
		}
		select {
		case <-ended:
			return false
		case <-deadline:
			return false
		case <-time.After(pollTime):
		}
	}
}

// find looks for .cache/bin/PROGRAM at the top of the module.
func find(t testing.TB, program string) string {
	t.Helper()
	folder, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if _, err := os.Stat(filepath.Join(folder, "go.mod")); err == nil {
			path := filepath.Join(folder, ".cache", "bin", program)
			if _, err := os.Stat(path); err != nil {
				t.Fatalf("no %s, a real server that this test needs: run `make tools` first (%v)", program, err)
			}
			return path
		}
		folder = filepath.Dir(folder)
	}
	t.Fatal("no go.mod above the test's folder")
	return ""
}

func freeAddress(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}
