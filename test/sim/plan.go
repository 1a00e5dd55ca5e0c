package sim

import "time"

// Plan is a kind of run.
type Plan struct {
	Chaos   time.Duration // virtual time with faults
	Owners  int           // accounts whose owners come and go
	Thieves int           // at each account
	AtOnce  int           // guesses of a thief
	Faults  faults
	Every   time.Duration // about this often something breaks
	Put     bool          // disks are put back
	Loses   bool          // after all that, a majority loses its disks
	Compare bool          // wait at the end for a checkpoint that all make
}

var bad = faults{
	net: 10 * time.Millisecond, disk: 10 * time.Millisecond, hsm: 20 * time.Millisecond,
	drop: 0.01, repeat: 0.01, late: 0.01, corrupt: 0.002, gone: 0.002, lost: 0.1, replay: 0.1, spread: 0.1,
}

// boxes of an island, by seed: most have three.
func boxes(seed uint64) int {
	return [...]int{3, 1, 3, 5, 3}[seed%5]
}

// epoch of an island, by seed: most have several in a run. Where roots are
// compared at the end none may begin then: at that a box makes a checkpoint of
// its own.
func epoch(seed uint64) time.Duration {
	if compares(seed) {
		return 24 * time.Hour
	}
	return time.Minute
}

func compares(seed uint64) bool { return seed%5 == 0 }

func everything(seed uint64) (Config, Plan) {
	return Config{Seed: seed, Boxes: boxes(seed), Files: seed%2 == 0, Epoch: epoch(seed)},
		Plan{Chaos: 20 * time.Second, Owners: 2, Thieves: int(seed % 2), AtOnce: 2, Faults: bad, Every: 2 * time.Second, Compare: compares(seed), Loses: loses(seed)}
}

// loses: some islands of boxes that resume as who they were, of three and five.
func loses(seed uint64) bool { return seed%10 == 3 || seed%10 == 7 }

// longer is a plan of 2,000 ticks of the Raft clock with faults in the place of
// 400 (P1's long size).
func longer(plan func(uint64) (Config, Plan)) func(uint64) (Config, Plan) {
	return func(seed uint64) (Config, Plan) {
		c, p := plan(seed)
		c.Long, p.Chaos = true, 2000*tick
		return c, p
	}
}

func storm(seed uint64) (Config, Plan) {
	return Config{Seed: seed, Boxes: boxes(seed), Files: seed%2 == 0, Epoch: epoch(seed)},
		Plan{Chaos: 6 * time.Second, Owners: 1, Thieves: 8, AtOnce: 3, Faults: bad, Every: time.Second}
}

func rollbacks(seed uint64) (Config, Plan) {
	n := boxes(seed)
	return Config{Seed: seed, Boxes: n, Files: n > 1 && seed%2 == 0, Epoch: epoch(seed)}, // of one box a file can not be promised for
		Plan{Chaos: 20 * time.Second, Owners: 1, Thieves: 1, AtOnce: 2, Faults: bad, Every: time.Second, Put: true, Compare: compares(seed)}
}
