//go:build linux

package caller

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"

	"strongroom/protocol/channel"
	"strongroom/protocol/opaque"
	"strongroom/protocol/wire"
	"strongroom/test/cluster/history"
)

// tokens are an account's.
type tokens struct{ relay, vault string }

// Account is one account, its owner, and whoever else holds its tokens.
type Account struct {
	*history.Account
	tokens tokens
	owner  ed25519.PrivateKey

	mu       sync.Mutex                 // guards what follows
	sealed   map[wire.Generation][]byte // the sealed key of each registration that may have happened
	starts   []wire.RecoverStart        // guesses asked for so far, to be asked again
	proofs   []proof                    // and proofs, to be shown again
	requests int
}

// proof is a second trip that can be sent at any time.
type proof struct {
	start    wire.RecoverStart
	exchange *channel.Exchange
	ticket   []byte
	ke3      []byte
	session  []byte
}

// NewAccount makes one that the island does not know yet.
func (l *Line) NewAccount(name string, begun time.Time) (*Account, error) {
	_, owner, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	a := &Account{Account: history.NewAccount(name, begun), owner: owner, sealed: map[wire.Generation][]byte{}}
	a.tokens.relay, a.tokens.vault, err = l.Island.Tokens(name)
	return a, err
}

// Requests is how many were sent for the account.
func (a *Account) Requests() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.requests
}

func (a *Account) count() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.requests++
}

func (a *Account) password() []byte { return []byte("the right one of " + a.Name) }

// stretch is cheap: what a client spends on a guess is not under test.
var stretch = wire.Stretch{Time: 1, MemoryKiB: 8, Threads: 1}

func argon2id() opaque.Argon2id {
	return opaque.Argon2id{Time: stretch.Time, MemoryKiB: stretch.MemoryKiB, Threads: stretch.Threads}
}

func sum(b []byte) [32]byte { return sha256.Sum256(b) }

// opaque is OPAQUE's client for the account.
func (l *Line) opaque(a *Account) *opaque.Client {
	fleet := l.Island.Fleet
	suite, err := opaque.SuiteByID(fleet.Suite)
	if err != nil {
		panic(err) // the fleet is ours
	}
	return &opaque.Client{
		Suite: suite, Context: []byte(wire.OpaqueContext), ClientIdentity: []byte(a.Name),
		ServerIdentity: fleet.ID[:], ServerPublicKey: fleet.AKE,
	}
}

// remember keeps a guess and a proof for later mischief, a few of each.
func (a *Account) remember(start wire.RecoverStart, p *proof) {
	a.mu.Lock()
	defer a.mu.Unlock()
	const kept = 8
	if a.starts = append(a.starts, start); len(a.starts) > kept {
		a.starts = a.starts[1:]
	}
	if p == nil {
		return
	}
	if a.proofs = append(a.proofs, *p); len(a.proofs) > kept {
		a.proofs = a.proofs[1:]
	}
}

// registering notes the sealed key that a generation will have.
func (a *Account) registering(g wire.Generation, sealed []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sealed[g] = sealed
}

// verify: what came out of the vault is what went in.
func (a *Account) verify(fleet wire.FleetID, p *proof, sealed []byte) error {
	key, err := channel.OpenUnderSession(p.session, fleet, a.Name, p.start.Generation, p.start.Slot, sealed)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !bytes.Equal(key, a.sealed[p.start.Generation]) {
		return fmt.Errorf("%s, generation %x: another sealed key came back than was registered", a.Name, p.start.Generation)
	}
	return nil
}
