//go:build linux

package cluster

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"strongroom/test/cluster/caller"
	"strongroom/test/cluster/island"
	"strongroom/test/cluster/link"
	"strongroom/test/soak"
)

const (
	settleWithin = 2 * time.Minute
	refusedFor   = 3 * time.Second // a majority being down
	betweenAsks  = 40              // requests between two faults, at least
	proberNumber = 100
)

// fire is what befalls an island, and what was seen of it.
type fire struct {
	t      *testing.T
	island *island.Island
	crowd  *crowd
	dice   *rand.Rand
	prober *caller.Caller
	probed *caller.Account

	kills, leaderKills, pauses, partitions, rollbacks, replacements int

	waits []time.Duration // from a leader's end to a new login
}

func (f *fire) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// settle waits until every box votes again: until then another loss might be
// that of the majority.
func (f *fire) settle() {
	f.t.Helper()
	f.must(f.island.Await("all boxes' votes", settleWithin, f.island.Settled))
}

func (f *fire) leader() (leader *island.Box) {
	f.t.Helper()
	f.must(f.island.Await("a leader", settleWithin, func() bool { leader = f.island.Leader(); return leader != nil }))
	return leader
}

func (f *fire) any() *island.Box { return f.island.Box[f.dice.IntN(len(f.island.Box))] }

// minority draws boxes, the leader among them or not, that may be lost.
func (f *fire) minority() []*island.Box {
	boxes := slices.Clone(f.island.Box)
	f.dice.Shuffle(len(boxes), func(a, b int) { boxes[a], boxes[b] = boxes[b], boxes[a] })
	return boxes[:1+f.dice.IntN((len(boxes)-1)/2)]
}

// login has the prober log in, from the first request to the key, as often as
// it takes.
func (f *fire) login() {
	f.t.Helper()
	for end, before := time.Now().Add(settleWithin), f.prober.Logins; f.prober.Logins == before; {
		if time.Now().After(end) {
			f.t.Fatalf("no login within %v", settleWithin)
		}
		at, err := f.prober.Status(f.probed)
		switch {
		case err != nil:
		case at.Left == 0:
			_ = f.prober.Register(f.probed, nil)
		default:
			_ = f.prober.Login(f.probed, at)
		}
	}
}

// killLeader measures how long the island is without a leader.
func (f *fire) killLeader() {
	f.t.Helper()
	b := f.leader()
	b.Kill()
	begun := time.Now()
	f.login()
	f.waits = append(f.waits, time.Since(begun))
	f.kills, f.leaderKills = f.kills+1, f.leaderKills+1
	f.must(b.Start())
	f.settle()
}

func (f *fire) killSome() {
	f.t.Helper()
	boxes := f.minority()
	for _, b := range boxes {
		b.Kill()
		f.kills++
	}
	f.crowd.until(f.t, f.dice.IntN(betweenAsks))
	for _, b := range boxes {
		f.must(b.Start())
	}
	f.settle()
}

func (f *fire) pause() {
	f.t.Helper()
	boxes := f.minority()
	for _, b := range boxes {
		f.must(b.Pause())
		f.pauses++
	}
	f.crowd.until(f.t, f.dice.IntN(betweenAsks))
	for _, b := range boxes {
		f.must(b.Resume())
	}
	f.settle()
}

func (f *fire) partition() {
	f.t.Helper()
	var side []int
	for _, b := range f.minority() {
		side = append(side, b.Number)
	}
	f.must(f.island.Network.Partition(side...))
	f.partitions++
	// A caller who asks the smaller side waits all that it waits: few do here.
	f.crowd.until(f.t, betweenAsks/2+f.dice.IntN(betweenAsks/2))
	f.must(f.island.Network.Heal())
	f.settle()
}

// rollBack puts a box's disk of a while ago back, the software HSM with it.
func (f *fire) rollBack() {
	f.t.Helper()
	b := f.any()
	b.Kill()
	f.must(b.Save("yesterday"))
	f.must(b.Start())
	f.settle()
	f.crowd.until(f.t, 2*betweenAsks)
	b.Kill()
	f.must(b.PutBack("yesterday"))
	f.kills, f.rollbacks = f.kills+2, f.rollbacks+1
	f.must(b.Start())
	f.settle()
}

// replace loses a box's disk but for what the ceremony gave it.
func (f *fire) replace() {
	f.t.Helper()
	b := f.any()
	b.Kill()
	f.must(b.PutBack("new"))
	f.kills, f.replacements = f.kills+1, f.replacements+1
	f.must(b.Start())
	f.settle()
}

var chosen = flag.String("faults", "", "of TestUnderFire, these alone: killLeader=40,pause=3")

// often is how often each fault comes.
func often(t *testing.T) map[string]int {
	if *chosen == "" {
		return map[string]int{
			"killLeader": soak.Size(3, 100), "killSome": soak.Size(1, 390), "pause": soak.Size(1, 120),
			"partition": soak.Size(1, 150), "rollBack": soak.Size(1, 50), "replace": soak.Size(1, 20),
		}
	}
	times := map[string]int{}
	for one := range strings.SplitSeq(*chosen, ",") {
		var n int
		name, number, _ := strings.Cut(one, "=")
		if _, err := fmt.Sscan(number, &n); err != nil || n < 1 {
			t.Fatalf("-faults %s: killLeader=40,pause=3 is wanted", *chosen)
		}
		times[name] = n
	}
	return times
}

func asksLeast() int { return soak.Size(500, 200_000) }

func killsLeast() int { return soak.Size(6, 800) }

func pausesLeast() int { return soak.Size(1, 150) }

// schedule is the faults in the order in which they come.
func (f *fire) schedule(times map[string]int) (faults []string) {
	for _, name := range []string{"killLeader", "killSome", "pause", "partition", "rollBack", "replace"} {
		for range times[name] {
			faults = append(faults, name)
		}
	}
	f.dice.Shuffle(len(faults), func(a, b int) { faults[a], faults[b] = faults[b], faults[a] })
	return faults
}

func (f *fire) befall(name string) {
	f.t.Helper()
	begun := time.Now()
	map[string]func(){
		"killLeader": f.killLeader, "killSome": f.killSome, "pause": f.pause,
		"partition": f.partition, "rollBack": f.rollBack, "replace": f.replace,
	}[name]()
	f.t.Logf("%s: %.1f s", name, time.Since(begun).Seconds())
}

// weathers follow one another. A flipped bit ends a connection (TLS finds it).
var weathers = []link.Weather{
	{}, {Delay: 2 * time.Millisecond, Jitter: 4 * time.Millisecond}, {Corrupt: .002, Break: .002, Jitter: time.Millisecond}, {Delay: 15 * time.Millisecond, Jitter: 15 * time.Millisecond},
}

// An island keeps its promises whatever befalls a minority of its boxes, and
// comes back by its custodians' order when all of them are down.
func TestUnderFire(t *testing.T) {
	boxes := soak.Size(3, 5)
	f := &fire{t: t, island: found(t, boxes, 1), dice: rand.New(rand.NewPCG(1, 1))}
	f.crowd = gather(t, f.island, 1)
	f.prepare()
	for n, name := range f.schedule(often(t)) {
		f.island.Network.Set(weathers[n%len(weathers)])
		f.crowd.until(t, betweenAsks)
		f.befall(name)
	}
	for *chosen == "" && (f.kills < killsLeast() || f.pauses < pausesLeast()) { // minorities of one, by chance
		f.befall("killSome")
		f.befall("pause")
	}
	f.island.Network.Set(link.Weather{})
	for *chosen == "" && f.crowd.asks() < asksLeast() {
		f.crowd.until(t, betweenAsks)
	}
	f.loseAll()
	v := f.crowd.disperse(t)
	if err := rules.Check(f.probed.Entries(), judgeWithin); err != nil {
		t.Errorf("the prober: %v\n%s", err, told(f.probed.Entries()))
	}
	for _, w := range v.wrong {
		t.Error(w)
	}
	f.report(v)
}

// prepare keeps what each box had before it first ran, and registers the
// prober.
func (f *fire) prepare() {
	f.t.Helper()
	line := *f.crowd.line
	line.Within = time.Second
	f.prober = &caller.Caller{Number: proberNumber, Line: &line, Dice: rand.New(rand.NewPCG(2, 2)), Prompt: true}
	var err error
	if f.probed, err = line.NewAccount("prober", f.crowd.begun); err != nil {
		f.t.Fatal(err)
	}
	f.login()
}

// loseAll: with a majority down there are refusals only, and what was
// acknowledged is there when the custodians have the island start again.
func (f *fire) loseAll() {
	f.t.Helper()
	f.login()
	majority := len(f.island.Box)/2 + 1
	for _, b := range f.island.Box[:majority] {
		b.Kill()
	}
	// One that led, and does not know it yet, may answer nobody any more.
	f.prober.Stop = make(chan struct{})
	time.AfterFunc(refusedFor, func() { close(f.prober.Stop) })
	if at, err := f.prober.Status(f.probed); err == nil {
		f.t.Errorf("with %d of %d boxes down an account is told %+v", majority, len(f.island.Box), at)
	}
	f.prober.Stop = nil
	for _, b := range f.island.Box[majority:] {
		b.Kill()
	}
	f.must(f.island.Start())
	f.login()
}

func (f *fire) report(v verdict) {
	carried, corrupted, broken := f.island.Network.Counts()
	f.t.Logf("%s: %d kills, %d of leaders, %d pauses, %d partitions, %d disks of yesterday, %d boxes wiped; lines carried %d chunks, garbled %d, broke %d",
		f.island.Network.Kind(), f.kills, f.leaderKills, f.pauses, f.partitions, f.rollbacks, f.replacements, carried, corrupted, broken)
	slices.Sort(f.waits)
	if len(f.waits) == 0 {
		return
	}
	at := func(q float64) time.Duration { return f.waits[min(int(q*float64(len(f.waits))), len(f.waits)-1)] }
	f.t.Logf("from a leader's end to a new login: p50 %v, p99 %v, longest %v", at(.5), at(.99), f.waits[len(f.waits)-1])
	if soak.Long() && (at(.5) > time.Second || at(.99) > 3*time.Second) {
		f.t.Error("a new leader took too long")
	}
	if *chosen != "" {
		return
	}
	soak.Tried(f.t, "P3", "disks of yesterday put back under real processes", f.rollbacks, soak.Size(1, 50))
	soak.Tried(f.t, "P4", "requests of callers", v.asks, asksLeast())
	soak.Tried(f.t, "P4", "kill -9", f.kills, killsLeast())
	soak.Tried(f.t, "P4", "pauses", f.pauses, pausesLeast())
	soak.Tried(f.t, "P4", "partitions", f.partitions, soak.Size(1, 150))
	soak.Tried(f.t, "P5", "kills of a leader under load", f.leaderKills, soak.Size(3, 100))
	soak.Tried(f.t, "P5", "wiped boxes that came back", f.replacements, soak.Size(1, 20))
}
