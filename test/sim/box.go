package sim

import (
	"errors"
	"fmt"
	"time"

	"strongroom/hsm/hsmtest"
	"strongroom/protocol/wire"
	"strongroom/vault"
	"strongroom/vault/hal"
)

// box is a machine: the real box, and around it a node and its disk, an HSM
// and a clock.
type box struct {
	*Sim
	number int
	id     wire.BoxID
	hsm    *hsmtest.Memory // the HSM, whoever holds it
	disk   *disk
	skew   time.Duration // of its clock
	files  bool          // the HSM's durable memory is a file, and can be put back
	newest *disk         // before something older was put in its place
	older  bool          // something of it was put back, or the HSM failed: it may refuse to open

	// Of this life; all of it is gone at a crash.
	vault   *vault.Vault // nil: down
	life    int
	holder  *hsmtest.Memory
	in      vault.Input // of the next Step
	woken   bool        // a Step is to come
	jobs    map[int]vault.Job
	jobsRun int
	report  wire.IslandReport
	settled time.Duration // since then it has a vote, and no change is under way
	replies map[uint64]func(wire.Reply)
	asked   uint64
	order   []byte        // of the custodians, for the next Step
	paused  time.Duration // until then nothing of it runs
	still   bool          // its host gives it no ticks
	mayStop bool          // a fault may stop the box
}

const (
	startOfTime = 1_700_000_000_000 // Unix time in ms
	tick        = wire.TickMillis * time.Millisecond
	stepDelay   = 200 * time.Microsecond
)

func (b *box) nowMillis() uint64 {
	return startOfTime + uint64((b.now + b.skew).Milliseconds())
}

func (b *box) up() bool { return b.vault != nil }

// open starts the box from what its disk and its HSM keep.
func (b *box) open() error {
	holder := b.hsm.Again()
	v, err := vault.Open(holder, b.source(), b.document, b.island, b.disk)
	b.life++
	if err != nil {
		b.note("box %d does not open: %v", b.number, err)
		return err
	}
	b.vault, b.holder, b.mayStop = v, holder, false
	b.in, b.woken, b.jobs = vault.Input{}, false, map[int]vault.Job{}
	b.report, b.replies = wire.IslandReport{}, map[uint64]func(wire.Reply){}
	b.note("box %d opens", b.number)
	b.order = nil
	b.wake()
	b.tick(b.life)
	return nil
}

func (b *box) tick(life int) {
	b.after(tick, func() {
		if b.life == life {
			if !b.still {
				b.in.Ticks++
			}
			b.wake()
			b.tick(life)
		}
	})
}

// wake has the box step soon.
func (b *box) wake() {
	if b.woken || !b.up() {
		return
	}
	b.woken = true
	life := b.life
	b.after(max(b.between(0, stepDelay), b.paused-b.now), func() {
		if b.life == life {
			b.step()
		}
	})
}

func (b *box) receive(m wire.Received) {
	if b.up() && len(b.in.Received) < wire.FrameItemsMax {
		b.in.Received = append(b.in.Received, m)
		b.wake()
	}
}

// lose has a box told that another one's process ended, which may be untrue.
func (b *box) lose(other *box) {
	if b.up() {
		b.in.Gone = append(b.in.Gone, other.id)
		b.wake()
	}
}

// request puts a request through the door.
func (b *box) request(sealed []byte, reply func(wire.Reply)) {
	if !b.up() {
		return
	}
	b.asked++
	b.replies[b.asked] = reply
	b.in.Requests = append(b.in.Requests, wire.Request{ID: b.asked, Sealed: sealed})
	b.wake()
}

func (b *box) step() {
	in := b.in
	b.in, b.woken = vault.Input{}, false
	in.NowMillis, in.Durable, in.Kept = b.nowMillis(), b.disk.durable, b.disk.stable().Serial
	in.Order, b.order = b.order, nil
	o := b.vault.Step(in)
	if o.Fatal != nil {
		b.stop(o.Fatal)
		return
	}
	if in.Requests != nil || in.Done != nil || in.Received != nil || o.Append != nil || o.Replies != nil {
		b.note("box %d: %d requests, %d done, %d received -> %d entries, %d jobs, %d sends, %d replies, checkpoint %t, %x",
			b.number, len(in.Requests), len(in.Done), len(in.Received), len(o.Append), len(o.Jobs), len(o.Sends), len(o.Replies), o.Checkpoint != nil, firstBytes(o.Append))
	}
	b.disk.append(o.Append)
	for _, r := range o.Reads {
		values, _ := b.disk.Read(r.Keys)
		b.in.Found = append(b.in.Found, wire.Found{ID: r.ID, Values: values})
	}
	if len(o.Reads) > 0 {
		b.wake()
	}
	if o.Checkpoint != nil {
		b.keep(o.Pages, *o.Checkpoint)
	}
	b.sync()
	for _, j := range o.Jobs {
		b.work(j)
	}
	if o.Anchor != nil {
		b.work(o.Anchor)
	}
	if o.Island != nil {
		b.hear(*o.Island)
	}
	for _, m := range o.Sends {
		b.forward(m)
	}
	for _, r := range o.Replies {
		if to := b.replies[r.ID]; to != nil {
			delete(b.replies, r.ID)
			to(r)
		}
	}
}

func firstBytes(entries []wire.Entry) []byte {
	if len(entries) == 0 {
		return nil
	}
	return entries[0].Bytes[len(entries[0].Bytes)-8:]
}

// work runs a job after a while: in any order.
func (b *box) work(j vault.Job) {
	b.jobsRun++
	number, life := b.jobsRun, b.life
	b.jobs[number] = j
	b.after(max(b.between(0, b.faults.hsm), b.paused-b.now), func() {
		if b.life != life {
			return
		}
		delete(b.jobs, number)
		b.in.Done = append(b.in.Done, j.Run(b.holder))
		b.wake()
	})
}

// stop is a box that stops by itself.
func (b *box) stop(why error) {
	b.note("box %d stops: %v", b.number, why)
	b.Counts.Fatals++
	if !b.mayStop && !errors.Is(why, hal.ErrTaken) {
		b.violate("box %d stops: %v", b.number, why)
	}
	b.crash()
	b.after(b.between(100*time.Millisecond, time.Second), func() { b.restart() })
}

// crash is a power cut: what was on its way to the HSM is done, or not.
func (b *box) crash() {
	if !b.up() {
		return
	}
	for n := 1; n <= b.jobsRun; n++ {
		if j := b.jobs[n]; j != nil && b.chance(0.5) {
			j.Run(b.holder)
		}
	}
	b.holder.Close()
	b.vault, b.holder, b.jobs, b.replies = nil, nil, nil, nil
	b.life++
	b.disk.crash(&b.clock)
	for _, o := range b.boxes {
		if o != b && b.chance(0.7) { // else the line was not heard to break
			b.after(b.between(0, b.faults.net), func() { o.lose(b) })
		}
	}
}

// restart opens the box, whatever it then says.
func (b *box) restart() {
	if b.up() {
		return
	}
	b.Counts.Restarts++
	err := b.open()
	switch {
	case err == nil:
		b.older = false
	case b.older: // its operator does what the message says
		b.Counts.Refused++
		if len(b.boxes) == 1 {
			b.disk = b.newest
		} else {
			b.Counts.Wipes++
			b.disk = newDisk()
		}
		b.after(time.Second, b.restart)
	default:
		b.violate("box %d does not open: %v", b.number, err)
	}
}

// backup is a copy of a machine that somebody made.
type backup struct {
	disk *disk
	hsm  hsmtest.State
	at   time.Duration
}

func (b *box) backup() backup {
	d := b.disk.copyOf()
	d.keeping = append([]undo(nil), b.disk.keeping...)
	d.crash(&b.clock)
	return backup{d, b.hsm.Snapshot(), b.now}
}

// putBack puts it back: the disk, and, where it is a file, the HSM's memory.
func (b *box) putBack(old backup) {
	if !b.older {
		b.newest = b.disk
	}
	b.disk = old.disk.copyOf()
	if b.files {
		b.hsm.Restore(old.hsm)
	}
	b.older = true
	b.note("box %d has its disk of %s again", b.number, old.at)
}

// hear takes what the box tells of its island.
func (b *box) hear(r wire.IslandReport) {
	if r.Role == wire.RoleLeader && b.report.Role != wire.RoleLeader {
		b.Counts.Leaders++
	}
	if len(b.report.Boxes) == 0 || r.Role != b.report.Role || r.Leader != b.report.Leader {
		b.note("box %d is %s of term %d, leader %x", b.number, r.Role, r.Term, r.Leader[:2])
	}
	b.report = r
	if !b.hasVote() {
		b.settled = b.now
	}
	b.judge.root(b, r)
	b.judge.leads(b, r)
}

func (b *box) String() string { return fmt.Sprint("box ", b.number) }
