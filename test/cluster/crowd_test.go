//go:build linux

package cluster

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"strongroom/test/cluster/caller"
	"strongroom/test/cluster/history"
	"strongroom/test/cluster/island"
)

const (
	callers      = 6
	accountsOpen = 5 // that callers meet on at a time
	accountAsks  = 150
	askWithin    = 3 * time.Second
	busyWithin   = 2 * time.Minute
	judgeWithin  = 2 * time.Minute // one account
)

// rules are those that the fleets under test are made with.
var rules = history.Rules{Attempts: 10, Lifetime: 100}

var fleetRules = map[string]any{"waits": "none", "ticket_lifetime": "10s"}

// crowd is clients that meet on few accounts.
type crowd struct {
	number int32
	line   *caller.Line
	begun  time.Time
	stop   chan struct{}
	all    sync.WaitGroup

	mu       sync.Mutex // guards what follows
	open     []*caller.Account
	retired  []*caller.Account
	named    int
	surprise []string
	retries  int
	logins   int
	guesses  int
}

// crowds have accounts of their own.
var crowds atomic.Int32

// gather lets them begin.
func gather(t *testing.T, i *island.Island, seed uint64) *crowd {
	t.Helper()
	c := &crowd{number: crowds.Add(1), begun: time.Now(), stop: make(chan struct{})}
	c.line = &caller.Line{Island: i, HTTP: &http.Client{Transport: i.Transport()}, Within: askWithin, Surprise: c.wonder}
	for range accountsOpen {
		c.open = append(c.open, c.account(t))
	}
	for number := range callers {
		one := &caller.Caller{Number: number, Line: c.line, Dice: rand.New(rand.NewPCG(seed, uint64(number))), Stop: c.stop}
		c.all.Go(func() { c.work(t, one) })
	}
	return c
}

func (c *crowd) account(t *testing.T) *caller.Account {
	c.named++
	a, err := c.line.NewAccount(fmt.Sprintf("crowd %d, account %d", c.number, c.named), c.begun)
	if err != nil {
		t.Error(err)
	}
	return a
}

func (c *crowd) work(t *testing.T, one *caller.Caller) {
	for {
		select {
		case <-c.stop:
			c.mu.Lock()
			defer c.mu.Unlock()
			c.retries, c.logins, c.guesses = c.retries+one.Retries, c.logins+one.Logins, c.guesses+one.Guesses
			return
		default:
			one.Step(c.pick(t, one.Dice))
		}
	}
}

// pick gives an open account, and opens another in the place of one that was
// asked much of: histories stay short enough to be judged.
func (c *crowd) pick(t *testing.T, dice *rand.Rand) *caller.Account {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := dice.IntN(len(c.open))
	if c.open[at].Requests() >= accountAsks {
		c.retired = append(c.retired, c.open[at])
		c.open[at] = c.account(t)
	}
	return c.open[at]
}

// until waits until so many more requests were sent.
func (c *crowd) until(t *testing.T, more int) {
	t.Helper()
	begun := c.asks()
	for end := time.Now().Add(busyWithin); c.asks() < begun+more; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d requests in %v, %d were wanted", c.asks()-begun, busyWithin, more)
		}
	}
}

// wonder notes what no honest island says.
func (c *crowd) wonder(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.surprise = append(c.surprise, err.Error())
}

// asks is how many requests were sent so far.
func (c *crowd) asks() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range append(append([]*caller.Account(nil), c.open...), c.retired...) {
		n += a.Requests()
	}
	return n
}

// verdict is what a crowd saw.
type verdict struct {
	asks, guesses int
	wrong         []string // what must not be
}

// disperse ends it: every account is read once more, and judged.
func (c *crowd) disperse(t *testing.T) (v verdict) {
	t.Helper()
	close(c.stop)
	c.all.Wait()
	v.asks = c.asks()
	begun := time.Now()
	defer func() { t.Logf("judged in %v", time.Since(begun)) }()
	last := &caller.Caller{Number: callers, Line: c.line, Dice: rand.New(rand.NewPCG(1, 1)), Prompt: true}
	for _, a := range append(c.open, c.retired...) {
		if err := c.farewell(last, a); err != nil {
			v.wrong = append(v.wrong, err.Error())
		}
		entries := a.Entries()
		n, err := rules.Guesses(entries)
		if err != nil {
			v.wrong = append(v.wrong, fmt.Sprintf("%s: %v", a.Name, err))
		}
		v.guesses += n
		if err := rules.Check(entries, judgeWithin); err != nil {
			v.wrong = append(v.wrong, fmt.Sprintf("%s: %v\n%s", a.Name, err, told(entries)))
		}
	}
	v.wrong = append(v.wrong, c.surprise...)
	t.Logf("%d requests for %d accounts, %d sent again; %d logins to the key; %d guesses answered, %d of them wrong",
		v.asks, c.named, c.retries, c.logins, v.guesses, c.guesses)
	return v
}

// farewell: what was acknowledged is there, and opens to the right password.
func (c *crowd) farewell(last *caller.Caller, a *caller.Account) error {
	at, err := last.Status(a)
	if err != nil {
		return fmt.Errorf("%s can not be read at the end: %w", a.Name, err)
	}
	if at.Left == 0 {
		return nil
	}
	if err := last.Login(a, at); err != nil {
		return fmt.Errorf("%s, at the end: %w", a.Name, err)
	}
	return nil
}

func told(entries []history.Entry) string {
	var b strings.Builder
	for _, e := range entries {
		fmt.Fprintln(&b, e)
	}
	return b.String()
}
