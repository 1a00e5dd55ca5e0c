//go:build linux

package cluster

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"strongroom/test/cluster/island"
	"strongroom/test/cluster/link"
)

// program is strongroomd, built once.
var program = sync.OnceValues(func() (string, error) { return island.Build(scratch) })

var scratch string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if scratch, err = os.MkdirTemp("", "strongroom-cluster-"); err != nil {
			panic(err)
		}
		defer os.RemoveAll(scratch)
		return m.Run()
	}())
}

// found makes an island and starts it, with flags of ours for each serve.
func found(t *testing.T, boxes int, seed uint64, flags ...string) *island.Island {
	t.Helper()
	strongroomd, err := program()
	if err != nil {
		t.Fatal(err)
	}
	network, err := link.New(boxes, island.PeerPort, seed, t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := network.Close(); err != nil {
			t.Error(err)
		}
	})
	dir := filepath.Join(t.TempDir(), "island")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	i, err := island.Found(island.Config{Program: strongroomd, Dir: dir, Boxes: boxes, Flags: flags, Rules: fleetRules, Network: network, Say: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(i.Stop)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(i.Words())
		}
	})
	if err := i.Start(); err != nil {
		t.Fatal(err)
	}
	return i
}

// An island of one with kill -9, and then the one thing that it does not
// promise: its whole folder put back, with the software HSM's memory in it. The
// callers see that guesses came back: these tests can fail.
func TestJudgesAreAwake(t *testing.T) {
	i := found(t, 1, 1)
	for _, honest := range []bool{true, false} {
		c := gather(t, i, 1)
		again := func() {
			if err := i.Box[0].Start(); err != nil {
				t.Fatal(err)
			}
		}
		c.until(t, 300)
		i.Box[0].Kill()
		if err := i.Box[0].Save("yesterday"); err != nil {
			t.Fatal(err)
		}
		again()
		c.until(t, 300)
		i.Box[0].Kill()
		if !honest {
			if err := i.Box[0].PutBack("yesterday"); err != nil {
				t.Fatal(err)
			}
		}
		again()
		v := c.disperse(t)
		if v.asks < 600 || v.guesses < 50 {
			t.Errorf("too little: %d requests, %d guesses", v.asks, v.guesses)
		}
		if honest && len(v.wrong) > 0 {
			t.Error(strings.Join(v.wrong, "\n"))
		}
		if !honest && len(v.wrong) == 0 {
			t.Error("a disk of yesterday, and nobody saw it")
		}
	}
}
