package sim

import (
	"crypto/ed25519"
	"crypto/hpke"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"time"

	"strongroom/hsm/hsmtest"
	"strongroom/protocol/bundle"
	"strongroom/protocol/channel"
	"strongroom/protocol/opaque"
	"strongroom/protocol/token"
	"strongroom/protocol/wire"
	"strongroom/vault"
)

// Config says what kind of world a seed makes.
type Config struct {
	Seed  uint64
	Boxes int
	Files bool // the HSMs' memories are files, and are put back with them
	Epoch time.Duration
	Long  bool // so long a run that its accounts would come to the end of their lifetimes: they have none
	Tell  io.Writer
}

// Sim is a world.
type Sim struct {
	clock
	Config
	Counts Counts
	faults faults
	net    network

	fleet    *bundle.Fleet
	document []byte
	island   []byte
	key      hpke.PublicKey
	issuer   ed25519.PrivateKey
	keys     *hsmtest.Keys

	custodians []ed25519.PrivateKey

	boxes    []*box
	accounts []*account
	relay    relay
	only     *box                     // where requests go; nil: anywhere
	lost     func(from, to *box) bool // messages that a directed schedule wants lost
	judge    *judge
	stops    []func()
}

// policy has no waits: a run is short. Tickets are, too.
func (c Config) policy() bundle.Policy {
	p := bundle.Policy{Attempts: 10, TicketMillis: 20_000, Lifetime: 100, ResetMillis: 3_600_000, EpochMillis: uint64(c.Epoch.Milliseconds())}
	if c.Long {
		p.Lifetime = 0
	}
	return p
}

// New makes a fleet, of boxes that are all down. The global source of random
// bits must be seeded (testing/cryptotest): Raft and the channel draw from it.
func New(c Config) (*Sim, error) {
	s := &Sim{clock: newClock(c.Seed), Config: c, faults: calm, net: newNetwork(c.Boxes)}
	s.tell = c.Tell
	s.judge = newJudge(s)
	s.keys = hsmtest.NewKeys(s.source())
	s.keys.Evaluated = s.judge.evaluated
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	s.issuer = private
	f := vault.Founding{
		Suite: opaque.P256SHA256, Policy: c.policy(), Issuers: []bundle.Issuer{{ID: "sim", Alg: bundle.EdDSA, Key: public}},
		Isolation: "none", Rollback: s.rollback(),
	}
	if c.Boxes > 1 {
		f.Quorum = 2
		for range 3 {
			public, private, err := ed25519.GenerateKey(nil)
			if err != nil {
				return nil, err
			}
			s.custodians = append(s.custodians, private)
			f.Custodians = append(f.Custodians, public)
		}
	}
	for n := range c.Boxes {
		b := &box{Sim: s, number: n, hsm: hsmtest.NewMemory(s.keys, s.source()), disk: newDisk(), files: c.Files}
		s.boxes = append(s.boxes, b)
		if c.Boxes == 1 {
			break
		}
		key, err := vault.MakeIdentity(b.hsm)
		if err != nil {
			return nil, err
		}
		d := bundle.Box{Key: key, HSM: hsmtest.KindMemory, Rollback: s.rollback()}
		f.Boxes = append(f.Boxes, d)
		b.id = d.ID()
	}
	if s.document, s.island, err = vault.Make(s.boxes[0].hsm, f); err != nil {
		return nil, err
	}
	genesis, err := s.boxes[0].hsm.ReadMemory()
	if err != nil {
		return nil, err
	}
	for _, b := range s.boxes[1:] { // as the ceremony leaves them
		if err := b.hsm.Again().WriteMemory(genesis); err != nil {
			return nil, err
		}
	}
	if s.fleet, err = bundle.Decode(s.document); err != nil {
		return nil, err
	}
	s.key, err = channel.ParsePublicKey(s.fleet.KEM, s.fleet.Channel)
	return s, err
}

func (s *Sim) rollback() string {
	if s.Files {
		return "file"
	}
	return "tpm"
}

// Close ends all processes.
func (s *Sim) Close() {
	for _, stop := range s.stops {
		stop()
	}
}

// Trace is a hash of all that happened.
func (s *Sim) Trace() uint64 {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], s.ran)
	s.trace.Write(b[:])
	return s.trace.Sum64()
}

// tokenFor issues an account's token: good for the whole run.
func (s *Sim) tokenFor(account string) string {
	jws, err := token.Issue(token.Claims{
		Account: account, Audience: hex.EncodeToString(s.fleet.ID[:]),
		IssuedUnix: startOfTime/1000 - 86400, ExpiresUnix: startOfTime/1000 + 365*86400, ID: "sim",
	}, "sim", s.issuer)
	if err != nil {
		panic(err)
	}
	return jws
}

// violate notes a broken promise.
func (s *Sim) violate(format string, a ...any) {
	v := fmt.Sprintf(format, a...)
	s.note("VIOLATION: %s", v)
	s.judge.violations = append(s.judge.violations, fmt.Sprintf("at %s: %s", s.now.Round(time.Millisecond), v))
}

// Violations are the promises that were broken so far.
func (s *Sim) Violations() []string { return s.judge.violations }

// leader is the box that leads, by its own word and that of the newest term.
func (s *Sim) leader() *box {
	var newest *box
	for _, b := range s.boxes {
		if b.up() && b.report.Role == wire.RoleLeader && (newest == nil || b.report.Term > newest.report.Term) {
			newest = b
		}
	}
	if len(s.boxes) == 1 && s.boxes[0].up() {
		return s.boxes[0]
	}
	return newest
}
