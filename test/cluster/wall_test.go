//go:build linux

package cluster

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"strongroom/test/cluster/island"
)

// Boxes in processes of their own make an island as those inside their nodes
// do: a leader's node is killed, and its box goes with it; another node's box is
// killed, and its node does not outlive it. All come back, and nothing is lost.
func TestBoxesBehindWalls(t *testing.T) {
	f := &fire{t: t, island: found(t, 3, 3, "--box", "process"), dice: rand.New(rand.NewPCG(3, 3))}
	f.crowd = gather(t, f.island, 3)
	f.prepare()
	f.crowd.until(t, betweenAsks)
	leader := f.leader()
	orphan := behindWall(t, leader)
	f.killLeader()
	f.must(f.island.Await("the end of the killed node's box", settleWithin, func() bool { return !lives(orphan) }))
	f.crowd.until(t, betweenAsks)

	alone := f.leader()
	f.must(syscall.Kill(behindWall(t, alone), syscall.SIGKILL))
	f.must(f.island.Await("the end of a node whose box was killed", settleWithin, func() bool { return !alone.Runs() }))
	f.login()
	f.must(alone.Start())
	f.settle()
	f.crowd.until(t, betweenAsks)
	v := f.crowd.disperse(t)
	for _, w := range v.wrong {
		t.Error(w)
	}
	if v.asks < 3*betweenAsks || v.guesses == 0 {
		t.Errorf("too little: %d requests, %d guesses", v.asks, v.guesses)
	}
}

// behindWall is the process of a node's box: its one child, of whichever thread.
func behindWall(t *testing.T, b *island.Box) int {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", b.PID()))
	if err != nil {
		t.Fatal(err)
	}
	var children []string
	for _, file := range threads {
		of, _ := os.ReadFile(file) // a thread may have ended
		children = append(children, strings.Fields(string(of))...)
	}
	if len(children) != 1 {
		t.Fatalf("box %d's node has the children %v: its box alone was to be there", b.Number, children)
	}
	pid, err := strconv.Atoi(children[0])
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// lives tells whether a process runs: not one that ended and is not yet buried.
func lives(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(after, "Z")
}
