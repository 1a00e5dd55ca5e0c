// Package box is the program around vault.Step: one loop that calls it, the
// cores that run its jobs, and one hand that writes the HSM's durable memory.
// It is trusted, but decides nothing.
package box

import (
	"errors"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"strongroom/protocol/wire"
	"strongroom/vault"
	"strongroom/vault/hal"
)

// inputsMax is how many inputs may wait for the loop.
const inputsMax = 256

// ErrClosed: the box was closed.
var ErrClosed = errors.New("box: closed")

// Config is what a box is opened with.
type Config struct {
	HAL      hal.HAL
	Rand     io.Reader // cryptographically secure
	Document []byte    // the fleet's document
	Island   []byte    // the island's sealed keys
	Disk     wire.Disk
	Workers  int // goroutines that run jobs; 0 means one a core

	Replacements [][]byte // certificates of boxes that the document does not name
}

// Box runs a vault.
type Box struct {
	vault *vault.Vault
	hal   hal.HAL

	in     chan wire.In
	out    chan wire.Out
	done   chan vault.Result
	jobs   chan vault.Job
	memory chan vault.Job
	busy   atomic.Bool // jobs wait for a core

	stop    chan struct{}
	stopped chan struct{}
	once    sync.Once
	workers sync.WaitGroup
	err     error // set before stopped is closed
}

// Open reads what the disk keeps and starts the box. It answers the errors of vault.Open.
func Open(c Config) (*Box, error) {
	v, err := vault.Open(c.HAL, c.Rand, c.Document, c.Island, c.Disk, c.Replacements...)
	if err != nil {
		return nil, err
	}
	b := &Box{
		vault: v, hal: c.HAL,
		in: make(chan wire.In, inputsMax), out: make(chan wire.Out),
		done: make(chan vault.Result, inputsMax), jobs: make(chan vault.Job), memory: make(chan vault.Job, 1),
		stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	workers := c.Workers
	if workers == 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	for range workers {
		b.workers.Go(func() { b.work(b.jobs) })
	}
	// The anchor has a hand of its own: no login waits behind other logins'
	// multiplications for its commit.
	b.workers.Go(b.anchor)
	go b.loop()
	return b, nil
}

// In puts something through the door. It waits while the loop is behind, and
// drops the input when the box has stopped.
func (b *Box) In(in wire.In) {
	select {
	case b.in <- in:
	case <-b.stopped:
	}
}

// Out is what comes through the door. It must be read.
func (b *Box) Out() <-chan wire.Out { return b.out }

// Done is closed when the box has stopped; Err then says why.
func (b *Box) Done() <-chan struct{} { return b.stopped }

// Err is why the box stopped, nil while it runs.
func (b *Box) Err() error {
	select {
	case <-b.stopped:
		return b.err
	default:
		return nil
	}
}

// Close stops the box. What was acknowledged is durable already.
func (b *Box) Close() {
	b.once.Do(func() { close(b.stop) })
	<-b.stopped
}

// How long the hand that writes the HSM's memory rests, in times of what the
// write took: while a core is free, and while jobs wait for one.
const (
	anchorRests     = 2
	anchorRestsBusy = 6
	anchorRestMax   = 30 * time.Millisecond
)

// anchor writes the HSM's memory, and rests after each write: entries that come
// meanwhile are anchored together. A token whose write costs as much as two
// logins' multiplications would otherwise do little else.
func (b *Box) anchor() {
	for {
		select {
		case j := <-b.memory:
			began := time.Now()
			r := j.Run(b.hal)
			rests := anchorRests
			if b.busy.Load() {
				rests = anchorRestsBusy
			}
			rest := time.NewTimer(min(time.Duration(rests)*time.Since(began), anchorRestMax))
			select {
			case b.done <- r:
			case <-b.stop:
				return
			}
			select {
			case <-rest.C:
			case <-b.stop:
				return
			}
		case <-b.stop:
			return
		}
	}
}

func (b *Box) work(jobs <-chan vault.Job) {
	for {
		select {
		case j := <-jobs:
			r := j.Run(b.hal)
			select {
			case b.done <- r:
			case <-b.stop:
				return
			}
		case <-b.stop:
			return
		}
	}
}
