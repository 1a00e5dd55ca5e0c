package sim

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"testing/cryptotest"

	"strongroom/test/soak"
)

var (
	oneSeed = flag.Uint64("seed", 0, "run this seed alone, and write down all that happens")
	quiet   = flag.Bool("quiet", false, "with -seed: write nothing down")
)

// run runs one seed of a plan; a failure names the command that runs it again.
func run(t *testing.T, name string, c Config, p Plan) *Sim {
	t.Helper()
	cryptotest.SetGlobalRandom(t, c.Seed)
	if *oneSeed != 0 && !*quiet {
		c.Tell = os.Stdout
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if r := recover(); r != nil {
			t.Errorf("seed %d panics: %v\n%s", c.Seed, r, command(name, c.Seed))
			panic(r)
		}
	}()
	s.Run(p)
	for _, v := range s.Violations() {
		t.Errorf("seed %d, %d boxes: %s", c.Seed, c.Boxes, v)
	}
	if len(s.Violations()) > 0 {
		t.Errorf("again: %s", command(name, c.Seed))
	}
	return s
}

func command(name string, seed uint64) string {
	size := ""
	if soak.Long() {
		size = soak.Variable + "=1 "
	}
	return fmt.Sprintf("%sgo test ./test/sim -run '^%s$' -seed %d", size, name, seed)
}

// seeds runs many, or the one that was asked for, and adds up what they survived.
func seeds(t *testing.T, name string, n int, plan func(seed uint64) (Config, Plan)) (sum Counts, ran int) {
	t.Helper()
	first, last, step := uint64(1), uint64(n), uint64(1)
	switch {
	case *oneSeed != 0:
		first, last = *oneSeed, *oneSeed
	case *part != "":
		if _, err := fmt.Sscanf(*part, "%d/%d", &first, &step); err != nil {
			t.Fatal("-part 1/2 is wanted: ", err)
		}
		defer func() { tell(t, sum, ran) }()
	case soak.Long():
		return parts(t, name)
	}
	for seed := first; seed <= last; seed += step {
		c, p := plan(seed)
		c.Seed = seed
		s := run(t, name, c, p)
		sum.add(s.Counts)
		ran++
		if t.Failed() {
			t.Fatalf("seed %d of %d", seed, last)
		}
	}
	return sum, ran
}

// TestSeeds is the whole island in one process (P1, P2, P4, P5).
func TestSeeds(t *testing.T) {
	least, plan := soak.Size(seedsEveryday, 5000), everything
	if soak.Long() {
		plan = longer(plan)
	}
	sum, ran := seeds(t, "TestSeeds", least, plan)
	tried(t, "P1", "seeds of an island in simulation", ran, least)
	tried(t, "P1", "faults in them", sum.Faults(), soak.Size(20*least, 80_000))
	tried(t, "P5", "times that a box began to lead in them", sum.Leaders, least)
	tried(t, "P5", "starts of boxes after a crash", sum.Restarts, least)
	tried(t, "P2", "retries in them", sum.Retries, least)
	tried(t, "P4", "logins in them, each checked", sum.Logins, 5*least)
}

// TestStorms are parallel storms of guesses on one record (P1).
func TestStorms(t *testing.T) {
	least := soak.Size(stormsEveryday, 1000)
	sum, ran := seeds(t, "TestStorms", least, storm)
	tried(t, "P1", "storms on one record", ran, least)
	tried(t, "P1", "guesses evaluated in them", sum.Guesses, 10*least)
}

// TestRollbacks has boxes come back with disks of before, and, where it is a
// file, their HSM's memory of before (P3).
func TestRollbacks(t *testing.T) {
	least := soak.Size(rollbacksEveryday, 2000)
	sum, _ := seeds(t, "TestRollbacks", least, rollbacks)
	tried(t, "P3", "boxes put back in simulation", sum.Rollbacks, least)
}

func tried(t *testing.T, promise, what string, n, least int) {
	t.Helper()
	if *oneSeed == 0 && *part == "" {
		soak.Tried(t, promise, what, n, least)
	}
}

// TestSeedsRepeat: one seed is one run, to the last event.
func TestSeedsRepeat(t *testing.T) {
	traces := map[uint64]bool{}
	for seed := uint64(1); seed <= 5; seed++ {
		var first uint64
		for again := range 2 {
			c, p := everything(seed)
			c.Seed = seed
			switch s := run(t, "TestSeeds", c, p); {
			case again == 0:
				first = s.Trace()
			case s.Trace() != first:
				t.Errorf("seed %d: two runs differ", seed)
			}
		}
		traces[first] = true
	}
	if len(traces) != 5 {
		t.Errorf("%d traces of 5 seeds", len(traces))
	}
	soak.Tried(t, "P1", "seeds that repeat to the bit", len(traces), 5)
}
