//go:build linux

package cluster

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"strongroom/client"
	"strongroom/protocol/wire"
	"strongroom/test/cluster/island"
	"strongroom/test/cluster/link"
	"strongroom/test/soak"
)

// Sizes of the test of two islands, of every day and of a soak.
const (
	peopleEveryDay, peopleSoak   = 24, 200
	thieves                      = 6 // accounts that somebody guesses at without end
	phaseEveryDay, phaseSoak     = time.Second, 20 * time.Second
	peopleAtOnce                 = 4
	unknownAgain                 = 8 // how often a lost answer is asked for again
	personWithin                 = time.Minute
	wrongOnceIn, replaceOnceIn   = 4, 9
	attemptsOfFleet, knownLayout = 10, 1
)

// foundPlain makes an island on loopback addresses and starts it.
func foundPlain(t *testing.T, founder *island.Island) *island.Island {
	t.Helper()
	strongroomd, err := program()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "island")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	c := island.Config{Program: strongroomd, Dir: dir, Boxes: 3, Plain: true, Network: link.Bare(3, island.PeerPort), Founder: founder, Say: t.Logf}
	if founder == nil {
		c.Rules = fleetRules
	}
	i, err := island.Found(c)
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

// person is an account and who has it: what was acknowledged, and what was
// learnt of wrong guesses, counted here and nowhere else.
type person struct {
	vault    func() *client.Vault
	name     string
	payload  client.Payload
	password string

	mu    sync.Mutex // held while the account is used
	wrong int        // guesses that the vault called wrong, ever
	row   int        // of them, since the last success
	since bool       // the owner's key changed the password since: attempts are full, and the lifetime's count is set back
	times int
}

// town is people behind one relay.
type town struct {
	t      *testing.T
	people []*person
	prey   []*person // whom thieves guess at, who do nothing
	stop   chan struct{}
	all    sync.WaitGroup
}

func (c *town) settle(t *testing.T, i *island.Island, url string, n int) {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	for number := range n + thieves {
		name := fmt.Sprint("person ", number)
		relay, vault, err := i.Tokens(name)
		if err != nil {
			t.Fatal(err)
		}
		p := &person{name: name, password: "the first one of " + name, payload: client.Payload{Key: client.NewKey(), RepositoryID: []byte("0123456789abcdef"), RepositoryURL: "file:/srv/backup"}}
		p.vault = func() *client.Vault {
			return &client.Vault{
				URL: url, Pin: i.Pin, Account: name, Tokens: client.Tokens{Account: name, Relay: relay, Vault: vault},
				HTTP: &http.Client{Transport: transport}, Stretch: wire.Stretch{Time: 1, MemoryKiB: 64, Threads: 1}, Backoff: 20 * time.Millisecond,
			}
		}
		if number < n {
			c.people = append(c.people, p)
		} else {
			c.prey = append(c.prey, p)
		}
	}
	for _, p := range slices.Concat(c.people, c.prey) {
		if _, err := p.vault().Register(t.Context(), p.password, p.payload); err != nil {
			t.Fatalf("%s: %v", p.name, err)
		}
	}
}

// guess makes one guess and asks for its answer until it comes, or the vault
// is out of reach.
func (p *person) guess(ctx context.Context, password string) (client.Payload, wire.StatusReport, error) {
	r, err := p.vault().Begin(password)
	if err != nil {
		return client.Payload{}, wire.StatusReport{}, err
	}
	payload, status, err := r.Run(ctx)
	for again := 0; again < unknownAgain && errors.Is(err, client.ErrOutcomeUnknown) && ctx.Err() == nil; again++ {
		time.Sleep(50 * time.Millisecond)
		payload, status, err = r.Run(ctx)
	}
	var wrong *client.ErrWrongPassword
	if errors.As(err, &wrong) {
		p.wrong, p.row = p.wrong+1, p.row+1
	}
	return payload, status, err
}

// act is a day in the life of an account: mostly the right password, at times
// a wrong one, or another.
func (c *town) act(p *person, dice *rand.Rand) {
	ctx, cancel := context.WithTimeout(context.Background(), personWithin)
	defer cancel()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.times++
	if p.row < attemptsOfFleet/2 && dice.IntN(wrongOnceIn) == 0 {
		_, _, _ = p.guess(ctx, "a wrong one")
		return
	}
	if dice.IntN(replaceOnceIn) == 0 {
		next := fmt.Sprintf("number %d of %s", p.times, p.name)
		_, err := p.vault().Replace(ctx, next, p.payload)
		switch {
		case err == nil:
			p.password, p.row, p.since = next, 0, true
			return
		case errors.Is(err, client.ErrOwner), errors.Is(err, client.ErrNoRecord), errors.Is(err, client.ErrDestroyed):
			c.t.Errorf("%s replaces the record: %v", p.name, err)
		}
		// The vault may have taken it: the next success tells.
		if got, _, err := p.guess(ctx, next); err == nil && got.Key == p.payload.Key {
			p.password, p.row, p.since = next, 0, true
		}
		return
	}
	got, _, err := p.guess(ctx, p.password)
	var wrong *client.ErrWrongPassword
	switch {
	case err == nil && got.Key != p.payload.Key:
		c.t.Errorf("%s got another key", p.name)
	case err == nil:
		p.row = 0
	case errors.As(err, &wrong), errors.Is(err, client.ErrNoRecord), errors.Is(err, client.ErrDestroyed):
		c.t.Errorf("%s with the right password: %v", p.name, err)
	}
}

// live has people act, and thieves guess, until the town stops.
func (c *town) live() {
	c.stop = make(chan struct{})
	on := func() bool {
		select {
		case <-c.stop:
			return false
		default:
			return true
		}
	}
	for number := range peopleAtOnce {
		dice := rand.New(rand.NewPCG(7, uint64(number)))
		c.all.Go(func() {
			for on() {
				c.act(c.people[dice.IntN(len(c.people))], dice)
			}
		})
	}
	c.all.Go(func() {
		for n := 0; on(); n++ {
			p := c.prey[n%len(c.prey)]
			ctx, cancel := context.WithTimeout(context.Background(), personWithin)
			p.mu.Lock()
			_, _, _ = p.guess(ctx, fmt.Sprint("a thief's guess ", n))
			p.mu.Unlock()
			cancel()
			time.Sleep(20 * time.Millisecond)
		}
	})
}

func (c *town) rest() {
	close(c.stop)
	c.all.Wait()
}

// TestSecondIsland: a fleet of three boxes gets a second island of three while
// people log in and thieves guess, and boxes that lead are killed. Afterwards
// every account that is at home there is there, also when the first island is
// gone; nothing that was acknowledged is lost; and nobody was told more wrong
// guesses than one budget has, over both islands together.
func TestSecondIsland(t *testing.T) {
	people, phase := peopleEveryDay, phaseEveryDay
	if soak.Long() {
		people, phase = peopleSoak, phaseSoak
	}
	founder := foundPlain(t, nil)
	second := foundPlain(t, founder)
	relay, err := island.StartRelay(founder, second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(relay.Stop)
	c := &town{t: t}
	c.settle(t, founder, relay.URL, people)
	c.live()
	time.Sleep(phase)
	layout, err := founder.AddIsland(second)
	if err != nil {
		t.Fatal(err)
	}
	for n := range founder.Box { // in no order, and one box after another
		for _, i := range []*island.Island{second, founder} {
			if err := i.Box[n].AddLayout(layout); err != nil {
				t.Fatal(err)
			}
		}
	}
	time.Sleep(phase)
	for _, i := range []*island.Island{founder, second} {
		killLeader(t, i)
		time.Sleep(phase)
	}
	c.rest()
	c.judge(founder, second)
}

// killLeader ends the box that leads as a power cut would, and starts it again.
func killLeader(t *testing.T, i *island.Island) {
	t.Helper()
	if err := i.Await("a leader", busyWithin, func() bool { return i.Leader() != nil }); err != nil {
		t.Fatal(err)
	}
	b := i.Leader()
	b.Kill()
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
}

func (c *town) judge(founder, second *island.Island) {
	t := c.t
	for _, i := range []*island.Island{founder, second} {
		for _, b := range i.Box {
			if err := i.Await("every box knows the layout", busyWithin, func() bool { return b.KnowsLayout(knownLayout) }); err != nil {
				t.Fatal(err)
			}
		}
		if err := i.Await("an island that serves", busyWithin, i.Settled); err != nil {
			t.Fatal(err)
		}
	}
	moved, wrong := 0, 0
	for _, p := range c.people { // each once more: the last chance to move
		c.login(p)
		wrong += p.wrong
	}
	told := 0
	for _, p := range c.prey {
		for n := range 2 * attemptsOfFleet { // what is left of the budget, at wherever the account is
			_, _, _ = p.guess(t.Context(), fmt.Sprint("a last guess ", n))
		}
		if told += p.wrong; p.wrong > attemptsOfFleet {
			t.Errorf("%s: %d wrong guesses were answered, over both islands", p.name, p.wrong)
		}
		if _, _, err := p.guess(t.Context(), p.password); !errors.Is(err, client.ErrDestroyed) && !errors.Is(err, client.ErrExhausted) {
			t.Errorf("%s, after all attempts: %v", p.name, err)
		}
	}
	for _, b := range founder.Box {
		b.Kill()
	}
	for _, p := range c.people {
		if isAt(second, founder, p.name) {
			moved++
			c.login(p)
		}
	}
	if moved == 0 || moved == len(c.people) || wrong == 0 || told < attemptsOfFleet*thieves/2 {
		t.Errorf("too little: %d of %d moved, %d wrong guesses, %d of thieves", moved, len(c.people), wrong, told)
	}
	soak.Tried(t, "P4", "accounts in a fleet that gets a second island", len(c.people), soak.Size(peopleEveryDay, peopleSoak))
	t.Logf("%d of %d accounts moved; %d wrong guesses of people, %d of thieves", moved, len(c.people), wrong, told)
}

// isAt tells by spec/layout.md whether an account's home is one of two islands.
func isAt(one, other *island.Island, account string) bool {
	weight := func(i *island.Island) []byte {
		hash := sha256.Sum256(slices.Concat([]byte("strongroom/v1/home"), i.Pin[:], []byte(account)))
		return hash[:]
	}
	return bytes.Compare(weight(one), weight(other)) > 0
}

// login: what was acknowledged is there, and what was charged was not given
// back.
func (c *town) login(p *person) {
	ctx, cancel := context.WithTimeout(c.t.Context(), personWithin)
	defer cancel()
	var got client.Payload
	var status wire.StatusReport
	err := client.ErrUnreachable
	for errors.Is(err, client.ErrUnreachable) && ctx.Err() == nil {
		got, status, err = p.guess(ctx, p.password)
	}
	if err != nil || got.Key != p.payload.Key {
		c.t.Errorf("%s, at the end: %v", p.name, err)
		return
	}
	p.row = 0
	if !p.since && int(status.WrongEver) < p.wrong {
		c.t.Errorf("%s: %d wrong guesses were answered, and the vault counts %d", p.name, p.wrong, status.WrongEver)
	}
}
