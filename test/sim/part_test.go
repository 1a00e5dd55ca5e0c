package sim

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// A long run is shared by as many processes as there are processors: what a
// seed draws comes from a source that is the whole process's (Raft's, and the
// channel's), so one process runs one seed at a time.

var part = flag.String("part", "", "k/n: of all seeds each n-th, from the k-th on")

const told = "part: "

// tell tells the process that shared the run what a part of it counted.
func tell(t *testing.T, sum Counts, ran int) {
	b, err := json.Marshal(shared{sum, ran})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(told + string(b))
}

type shared struct {
	Sum Counts
	Ran int
}

// parts runs all seeds of a test, and adds up what they survived.
func parts(t *testing.T, name string) (sum Counts, ran int) {
	t.Helper()
	n := runtime.GOMAXPROCS(0)
	all := make([]shared, n)
	var running sync.WaitGroup
	for k := range n {
		running.Go(func() {
			c := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+name+"$", "-test.timeout", "0", "-part", fmt.Sprintf("%d/%d", k+1, n))
			c.Env = append(os.Environ(), "GOMAXPROCS=1")
			output, err := c.CombinedOutput()
			_, line, _ := bytes.Cut(output, []byte(told))
			line, _, _ = bytes.Cut(line, []byte("\n"))
			if err != nil || json.Unmarshal(line, &all[k]) != nil {
				t.Errorf("part %d of %d: %v\n%s", k+1, n, err, strings.TrimSpace(string(output)))
			}
		})
	}
	running.Wait()
	for _, s := range all {
		sum.add(s.Sum)
		ran += s.Ran
	}
	return sum, ran
}
