package backup

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"strongroom/test/soak"
)

// One operation is stopped before each of its calls to the storage in turn,
// while another device does its worst: forgets what the stopped one builds on
// and prunes until there is nothing left to prune. Then the stopped one goes
// on, or never does.
func TestPausedAtEveryCall(t *testing.T) {
	type deed = func(x *stage, r *Repository, d *actor) error
	backup := func(x *stage, r *Repository, d *actor) error {
		return x.backup(t.Context(), r, d, takeShadow(t, d.root), x.now())
	}
	forget := func(x *stage, r *Repository, d *actor) error {
		return x.forgetBy(r, d, x.now())
	}
	prune := func(x *stage, r *Repository, d *actor) error {
		return x.prune(t.Context(), r, d, x.now(), 0, 0)
	}
	for name, c := range map[string]struct {
		condemned bool // what the slow one, or the other, has now was condemned before
		slow      deed
		others    []deed
	}{
		"backup beside forget and prunes":        {false, backup, []deed{forget, prune, prune, prune}},
		"backup beside prunes and a backup":      {false, backup, []deed{forget, prune, backup, prune, prune}},
		"backup of what is condemned":            {true, backup, []deed{prune, prune}},
		"prune beside backup and prunes":         {false, prune, []deed{backup, forget, prune, prune, prune}},
		"prune beside forget and prunes":         {false, prune, []deed{forget, prune, prune, prune}},
		"prune beside backup of what it deletes": {true, prune, []deed{backup}},
		"forget beside backup and prunes":        {false, forget, []deed{backup, prune, prune, prune}},
	} {
		t.Run(name, func(t *testing.T) {
			step := 3
			switch {
			case soak.Long():
				step = 1
			case raceEnabled:
				step = 9
			}
			tried, rescued := 0, 0
			for call := 1; ; call += step {
				x := newStage(t, 1)
				a, b := x.devices[0], x.devices[1]
				x.scene(a, b, c.condemned)
				dies := call%2 == 0 // every other one never goes on
				reached := false
				l := &line{Store: x.st, left: -1}
				l.at = func(n int) {
					if n != call {
						return
					}
					reached = true
					for _, do := range c.others {
						if err := do(x, x.open(), a); err != nil {
							t.Errorf("call %d: %v", call, err)
						}
					}
					if dies {
						l.mu.Lock()
						l.down = true
						l.mu.Unlock()
					}
				}
				r, err := Open(t.Context(), l, testKey)
				if err == nil {
					err = c.slow(x, r, b)
				}
				if err != nil && !errors.Is(err, errDied) {
					t.Fatalf("call %d: %v", call, err)
				}
				x.whole(true)
				if t.Failed() {
					t.Fatalf("call %d", call)
				}
				if !reached {
					x.close()
					break
				}
				tried++
				if err := prune(x, x.open(), a); err != nil {
					t.Fatal(err)
				}
				x.whole(true)
				x.quiet()
				x.close()
				rescued += x.tally.rescued
			}
			t.Log(tried, "calls;", rescued, "packs rescued")
			soak.Tried(t, "P13", "calls at which "+name, tried, 2)
		})
	}
}

func (x *stage) open() *Repository {
	x.t.Helper()
	r, err := Open(x.t.Context(), x.st, testKey)
	if err != nil {
		x.t.Fatal(err)
	}
	return r
}

// scene: a backed up what b has now, then other files; b has a snapshot too.
// condemned: a has forgotten its first one, pruned, and has those files again.
func (x *stage) scene(a, b *actor, condemned bool) {
	x.t.Helper()
	do := func(err error) {
		x.t.Helper()
		if err != nil {
			x.t.Fatal(err)
		}
	}
	ctx := context.Background()
	fill := func(d *actor, from int) {
		for i := range 3 {
			path := filepath.Join(d.root, []string{"x", "y", "z"}[i])
			do(os.WriteFile(path, x.pool[from+i], 0o644))
			do(os.Chtimes(path, time.Unix(int64(from), 0), time.Unix(int64(from), 0)))
		}
	}
	now := func() time.Time { return x.clock }
	for from := range 2 {
		fill(a, 3*from)
		do(x.backup(ctx, x.open(), a, takeShadow(x.t, a.root), now))
	}
	fill(b, 6)
	do(x.backup(ctx, x.open(), b, takeShadow(x.t, b.root), now))
	fill(b, 0)
	if condemned {
		do(x.forgetBy(x.open(), a, now))
		do(x.prune(ctx, x.open(), a, now, 0, 0))
		fill(a, 0)
	}
}

func (x *stage) forgetBy(r *Repository, d *actor, now func() time.Time) error {
	report, err := r.Forget(x.t.Context(), ForgetOptions{StateDir: d.state, Rules: KeepRules{Last: 1}, Now: now})
	for _, v := range report.Verdicts {
		if !v.Keep {
			x.gone[v.ID] = true
		}
	}
	return err
}
