package storm

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"strongroom/client"
	"strongroom/cmd/internal/serve"
)

const limit = 10

var boxes = []string{serve.BoxInside, serve.BoxProcess}

// TestTenWrongThenTheRightOne, with kill -9 between any two guesses.
func TestTenWrongThenTheRightOne(t *testing.T) {
	for _, kill := range []bool{false, true} {
		t.Run(fmt.Sprintf("kill=%v", kill), func(t *testing.T) {
			t.Parallel()
			p := newProcess(t, serve.BoxInside)
			p.register()
			before := p.evaluations()
			for i := range limit {
				if err := p.guess(fmt.Sprintf("wrong password %d", i)); !isWrong(err) {
					t.Fatalf("guess %d: %v", i+1, err)
				}
				if kill {
					p.kill()
					p.start()
				}
			}
			if err := p.guess(right); !errors.Is(err, client.ErrExhausted) && !errors.Is(err, client.ErrDestroyed) {
				t.Fatalf("the right one after ten wrong ones: %v", err)
			}
			p.awaitDestruction()
			p.kill()
			p.start()
			if err := p.guess(right); !errors.Is(err, client.ErrDestroyed) {
				t.Fatalf("after the destruction and a restart: %v", err)
			}
			if n := p.evaluations() - before; n != limit {
				t.Fatalf("%d evaluations, want %d", n, limit)
			}
		})
	}
}

// awaitDestruction waits for the last attempt's ticket to run out.
func (p *process) awaitDestruction() {
	p.t.Helper()
	for deadline := time.Now().Add(3 * ticketLifetime); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		if errors.Is(p.guess(right), client.ErrDestroyed) {
			return
		}
	}
	p.t.Fatal("never destroyed")
}

// TestStorm: 32 clients at once guess at one record, as fast as they can.
func TestStorm(t *testing.T) {
	for _, box := range boxes {
		t.Run(box, func(t *testing.T) {
			p := newProcess(t, box)
			p.register()
			before := p.evaluations()
			tries := p.storm(func(n int) string { return fmt.Sprintf("wrong password %d", n) }, nil)
			if n := p.evaluations() - before; n != limit {
				t.Fatalf("%d evaluations, want %d", n, limit)
			}
			if tries < 2*limit {
				t.Fatalf("the run did too little: %d tries", tries)
			}
			if err := p.guess(right); !errors.Is(err, client.ErrExhausted) && !errors.Is(err, client.ErrDestroyed) {
				t.Fatalf("the right one afterwards: %v", err)
			}
		})
	}
}

// TestStormUnderKills: the same while the vault is killed again and again. A
// box of its own must be gone before the next one opens its HSM.
func TestStormUnderKills(t *testing.T) {
	for _, box := range boxes {
		t.Run(box, func(t *testing.T) { stormUnderKills(t, newProcess(t, box)) })
	}
}

func stormUnderKills(t *testing.T, p *process) {
	const kills = 8
	p.register()
	before := p.evaluations()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	for range kills {
		stop, victim := make(chan struct{}), p.command.Process
		time.AfterFunc(time.Duration(rng.IntN(40))*time.Millisecond, func() {
			_ = victim.Kill()
			close(stop)
		})
		p.storm(func(n int) string { return fmt.Sprintf("wrong password %d", n) }, stop)
		p.kill()
		p.start()
	}
	p.storm(func(n int) string { return fmt.Sprintf("wrong password %d", n) }, nil)
	if n := p.evaluations() - before; n > limit {
		t.Fatalf("seed %d: %d evaluations, more than %d", seed, n, limit)
	}
	if err := p.guess(right); !errors.Is(err, client.ErrExhausted) && !errors.Is(err, client.ErrDestroyed) {
		t.Fatalf("seed %d: the right one afterwards: %v", seed, err)
	}
}

// storm lets 32 clients guess until each was told that nothing is left, or
// until stop. It gives the number of tries.
func (p *process) storm(password func(int) string, stop <-chan struct{}) (tries int) {
	const clients, triesEach = 32, 12
	var all sync.WaitGroup
	var mu sync.Mutex // guards tries
	for c := range clients {
		all.Go(func() {
			for i := range triesEach {
				select {
				case <-stop:
					return
				default:
				}
				err := p.guess(password(c*triesEach + i))
				mu.Lock()
				tries++
				mu.Unlock()
				if errors.Is(err, client.ErrExhausted) || errors.Is(err, client.ErrDestroyed) {
					return
				}
				if err == nil {
					p.t.Error("a wrong password opened")
				}
			}
		})
	}
	all.Wait()
	return tries
}

// TestAcknowledgedIsNotLost: what a client was told before kill -9 is so
// afterwards.
func TestAcknowledgedIsNotLost(t *testing.T) {
	p := newProcess(t, serve.BoxInside)
	key := client.NewKey()
	_, err := p.vault.Register(t.Context(), right, client.Payload{Key: key})
	must(t, err)
	p.kill()
	p.start()
	passwords := []string{right, "a second password", "a third password"}
	for i, password := range passwords {
		payload, _, err := p.vault.Recover(t.Context(), password)
		if err != nil || payload.Key != key {
			t.Fatalf("password %d: %v", i+1, err)
		}
		p.kill()
		p.start()
		if i+1 < len(passwords) {
			_, err := p.vault.Replace(t.Context(), passwords[i+1], client.Payload{Key: key})
			must(t, err)
			p.kill()
			p.start()
			if err := p.guess(password); !isWrong(err) {
				t.Fatalf("the old password: %v", err)
			}
		}
	}
	_, err = p.vault.Delete(t.Context(), key)
	must(t, err)
	p.kill()
	p.start()
	if err := p.guess(passwords[2]); !errors.Is(err, client.ErrNoRecord) {
		t.Fatalf("after the deletion: %v", err)
	}
}
