package relay

import (
	"container/list"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Rate is a token bucket: PerSecond requests in the long run, Burst at once.
type Rate struct {
	PerSecond float64
	Burst     int
}

// table holds one bucket for each of at most tableEntriesMax keys. The key
// that was not used for longest goes first, so a flood of keys costs no more
// memory than this; whoever comes back after it finds a full bucket, which he
// would have found at any of the flood's keys as well.
type table[K comparable] struct {
	rate Rate
	max  int

	mu     sync.Mutex // guards what follows
	byKey  map[K]*list.Element
	oldest *list.List // of *bucket[K], the least recently used in front
}

type bucket[K comparable] struct {
	key     K
	limiter *rate.Limiter
}

func newTable[K comparable](r Rate, max int) *table[K] {
	return &table[K]{rate: r, max: max, byKey: make(map[K]*list.Element), oldest: list.New()}
}

// take takes one token of the key's bucket and says whether there was one.
func (t *table[K]) take(key K, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	found, known := t.byKey[key]
	if known {
		t.oldest.MoveToBack(found)
	} else {
		if len(t.byKey) >= t.max {
			front := t.oldest.Front()
			delete(t.byKey, front.Value.(*bucket[K]).key)
			t.oldest.Remove(front)
		}
		found = t.oldest.PushBack(&bucket[K]{key, rate.NewLimiter(rate.Limit(t.rate.PerSecond), t.rate.Burst)})
		t.byKey[key] = found
	}
	return found.Value.(*bucket[K]).limiter.AllowN(now, 1)
}

// crowd counts who is inside, at most max under each key. It keeps nothing of
// those who left.
type crowd[K comparable] struct {
	max int

	mu     sync.Mutex // guards what follows
	inside map[K]int
}

func newCrowd[K comparable](max int) *crowd[K] {
	return &crowd[K]{max: max, inside: make(map[K]int)}
}

func (c *crowd[K]) enter(key K) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inside[key] >= c.max {
		return false
	}
	c.inside[key]++
	return true
}

func (c *crowd[K]) leave(key K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inside[key]--; c.inside[key] == 0 {
		delete(c.inside, key)
	}
}

// ipv6PrefixBits: one customer holds a whole /64, so it counts as one.
const ipv6PrefixBits = 64

// counted is the address under which a client is counted.
func counted(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is4() {
		return a
	}
	p, err := a.Prefix(ipv6PrefixBits)
	if err != nil {
		return netip.Addr{}
	}
	return p.Addr()
}
