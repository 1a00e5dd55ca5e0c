package vault_test

import (
	"encoding/binary"
	"fmt"
	"testing"

	"strongroom/host/node"
	"strongroom/protocol/bundle"
	"strongroom/protocol/wire"
	"strongroom/vault/internal/record"
)

const (
	benchCallers = 512
	benchGoal    = 10_000 // debits a second
)

// bencher is a caller in a closed loop, on an account of its own.
type bencher struct {
	account string
	slot    uint64
	waits   bool
	proof   bool // the next command forgives, or the record would be destroyed
}

// BenchmarkIslandDebits commits guesses by an island of three with 512 callers:
// each debit goes through the leader's rules, Raft, three journals with real
// fsyncs on this disk, sealed sessions between boxes, and is applied by three
// boxes. One goroutine runs all three boxes, one after the other, so it is what
// one core does. Channel and OPAQUE are left out; the HSM is memory; messages are
// handed over without a network.
func BenchmarkIslandDebits(b *testing.B) {
	s := newIsland(b, 3, bundle.Policy{Attempts: 10, TicketMillis: 120_000}, "file")
	for range s.boxes {
		log, err := node.OpenLog(b.TempDir())
		must(b, err)
		b.Cleanup(func() { log.Close() })
		s.logs = append(s.logs, log)
	}
	s.order()
	s.until("three voters", func() bool { return s.voters() == 3 })
	var callers []*bencher
	registered := 0
	for n := range benchCallers {
		c := &bencher{account: fmt.Sprint("account ", n)}
		callers = append(callers, c)
		s.boxes[s.leader()].Command(c.account, record.Command{Register: &record.Register{Generation: wire.Generation{1}, Keys: record.Keys{Wrapped: []byte{1}, Opaque: make([]byte, 129), SealedKey: make([]byte, 1<<10)}}},
			func(o record.Outcome) {
				if o.Refused != "" {
					b.Errorf("registration: %s", o.Refused)
				}
				registered++
			})
	}
	s.until("all registered", func() bool { return registered == benchCallers })
	done := 0
	b.ResetTimer()
	for steps := 0; done < b.N && !b.Failed(); steps++ {
		for _, c := range callers {
			if !c.waits {
				c.next(b, s, &done)
			}
		}
		s.step(uint32(b2i(steps%64 == 0)))
		s.now++
	}
	b.StopTimer()
	b.ReportMetric(float64(done)/b.Elapsed().Seconds(), "debits/s")
	if b.N > benchGoal && float64(done)/b.Elapsed().Seconds() < benchGoal {
		b.Logf("less than the goal of %d a second", benchGoal)
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (c *bencher) next(b *testing.B, s *island, done *int) {
	c.waits = true
	leader := s.leader()
	if leader < 0 {
		b.Fatal("nobody leads")
	}
	if c.proof {
		s.boxes[leader].Command(c.account, record.Command{Refill: &record.Refill{Generation: wire.Generation{1}, Slot: c.slot, NowMillis: s.now}}, func(o record.Outcome) { c.waits, c.proof = false, false })
		return
	}
	c.slot++
	var ke1 [32]byte
	binary.BigEndian.PutUint64(ke1[:], c.slot)
	s.boxes[leader].Command(c.account, record.Command{Debit: &record.Debit{Generation: wire.Generation{1}, Slot: c.slot, KE1: ke1, NowMillis: s.now}}, func(o record.Outcome) {
		if o.Refused != "" {
			b.Errorf("slot %d: %s", c.slot, o.Refused)
		}
		*done++
		c.waits, c.proof = false, c.slot%9 == 0
	})
}
