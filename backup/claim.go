package backup

import (
	"context"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"strongroom/backup/pack"
)

// claim is this device's claim in the storage while it writes: see
// pack.Claim. What a killed run left behind is taken away by the next run on
// this device, which finds its name in the local state.
type claim struct {
	r    *Repository
	body pack.Claim
	file string // names of claims of ours that may stand
	stop context.CancelFunc
	done sync.WaitGroup

	mu   sync.Mutex
	name pack.Name // guarded by mu: renewals change it
}

const (
	claimFile = "claims"
	// claimRenewed is how often a claim is renewed: a first backup over a
	// phone's line takes weeks, and is not abandoned.
	claimRenewed = 12 * time.Hour
	// claimReleaseMax is how long a command that was stopped waits to take
	// its claim away.
	claimReleaseMax = 10 * time.Second
)

// claim puts a claim. The caller has not yet looked at the repository.
func (r *Repository) claim(ctx context.Context, stateDir string, body pack.Claim) (*claim, error) {
	s, err := r.openStateFolder(stateDir)
	if err != nil {
		return nil, err
	}
	c := &claim{r: r, body: body, file: filepath.Join(s, claimFile)}
	old := c.remembered()
	n, err := c.put(ctx, old)
	if err != nil {
		return nil, err
	}
	c.name = n
	left := []pack.Name{c.name}
	for _, n := range old { // their runs are over: one works in a state folder at a time
		if err := r.pack.DropClaim(ctx, n); err != nil {
			left = append(left, n) // the next run tries again
		}
	}
	if err := c.remember(left); err != nil {
		return nil, err
	}
	renewing, stop := context.WithCancel(ctx)
	c.stop = stop
	c.done.Go(func() { c.keep(renewing) })
	return c, nil
}

// put puts a claim, remembered before it is there, beside older ones.
func (c *claim) put(ctx context.Context, old []pack.Name) (pack.Name, error) {
	n := pack.NewClaimName()
	if err := c.remember(append([]pack.Name{n}, old...)); err != nil {
		return n, err
	}
	return n, c.r.pack.PutClaim(ctx, n, c.body)
}

// renew puts a new claim and then takes the one before away.
//
// Attack: none, a long sleep. A laptop wakes after a week, a prune has taken
// its claim for abandoned and deleted what it counts on, and its first deed is
// to renew. So the new claim counts only if the old one stood when the new one
// was there: else there was a time without any.
func (c *claim) renew(ctx context.Context, now time.Time) {
	before := c.current()
	c.body.TimeNanos = now.UnixNano()
	n, err := c.put(ctx, []pack.Name{before})
	if err != nil {
		return // the one before is left as it is
	}
	stood, err := c.r.pack.ClaimStands(ctx, before)
	if err != nil {
		return // both stand, and are remembered
	}
	if !stood {
		c.r.pack.DropClaim(ctx, n)
		return
	}
	c.mu.Lock()
	c.name = n
	c.mu.Unlock()
	c.r.pack.DropClaim(ctx, before) // if it stays, the next run takes it away
}

// keep renews the claim until ctx ends.
func (c *claim) keep(ctx context.Context) {
	tick := time.NewTicker(claimRenewed)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			c.renew(ctx, now)
		}
	}
}

func (c *claim) current() pack.Name {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.name
}

// stands proves that no prune has taken this claim for abandoned: ErrClaim.
func (c *claim) stands(ctx context.Context) error {
	for {
		n := c.current()
		ok, err := c.r.pack.ClaimStands(ctx, n)
		if err != nil || ok {
			return err
		}
		if n == c.current() { // else it was renewed meanwhile
			return pack.ErrClaim
		}
	}
}

// release takes the claim away. sure is false where a head may have been
// written or not (its answer was lost, or the run was stopped over it): then
// the claim stays until the next run on this device, since that head may yet
// appear.
func (c *claim) release(ctx context.Context, sure bool) {
	if c.stop != nil {
		c.stop()
		c.done.Wait()
	}
	if !sure {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), claimReleaseMax)
	defer cancel()
	for _, n := range c.remembered() {
		if err := c.r.pack.DropClaim(ctx, n); err != nil {
			return // the next run takes it away
		}
	}
	os.Remove(c.file)
}

// sureEnd tells from the error of a head's put whether it is known what became
// of it.
func sureEnd(err error) bool { return err == nil || errors.Is(err, pack.ErrHeadTaken) }

func (c *claim) remembered() (out []pack.Name) {
	b, err := readFile(c.file)
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(b)) {
		var n pack.Name
		if k, err := hex.Decode(n[:], []byte(strings.TrimSpace(line))); err == nil && k == len(n) {
			out = append(out, n)
		}
	}
	return out
}

func (c *claim) remember(names []pack.Name) error {
	var b strings.Builder
	for _, n := range names {
		b.WriteString(hex.EncodeToString(n[:]) + "\n")
	}
	return local(ErrState, writeState(c.file, []byte(b.String())))
}
