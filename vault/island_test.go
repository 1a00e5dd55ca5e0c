package vault_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hpke"
	"crypto/rand"
	"fmt"
	"testing"

	"strongroom/host/node"
	"strongroom/hsm/hsmtest"
	"strongroom/protocol/bundle"
	"strongroom/protocol/channel"
	"strongroom/protocol/opaque"
	"strongroom/protocol/wire"
	"strongroom/test/disk"
	"strongroom/vault"
	"strongroom/vault/internal/consensus"
	"strongroom/vault/internal/ledger"
)

// island is boxes in one goroutine, their nodes honest, their lines perfect
// unless cut.
type island struct {
	*rig       // its client half
	boxes      []*box
	custodians []ed25519.PrivateKey
	keys       *hsmtest.Keys
	queue      []wire.Received // of To
	cut        func(from, to int) bool
	logs       []*node.Log // real ones beside the disks, of a benchmark
	steps      int
}

// box is one of them, with its host.
type box struct {
	*vault.Vault
	id     wire.BoxID
	hal    *hsmtest.Memory
	sealed []byte

	replacements [][]byte

	disk    *disk.Disk
	durable uint64
	in      vault.Input
	report  *wire.IslandReport
	alerted uint64
	replies map[uint64]wire.Reply
	fatal   error
}

func newIsland(t testing.TB, n int, policy bundle.Policy, rollback string) *island {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	s := &island{rig: &rig{TB: t, issuer: private, now: 1_700_000_000_000, serving: func() {}, served: func() {}}}
	founding := vault.Founding{
		Suite: opaque.P256SHA256, Policy: policy, Issuers: []bundle.Issuer{{ID: "test", Alg: "EdDSA", Key: public}},
		Isolation: "none", Rollback: "file", Quorum: 2,
	}
	for range 3 {
		public, private, err := ed25519.GenerateKey(rand.Reader)
		must(t, err)
		s.custodians = append(s.custodians, private)
		founding.Custodians = append(founding.Custodians, public)
	}
	key, err := hpke.MLKEM768P256().GenerateKey()
	must(t, err)
	founding.Alert = key.PublicKey().Bytes()
	s.keys = hsmtest.NewKeys(rand.Reader)
	for range n {
		b := &box{hal: hsmtest.NewMemory(s.keys, rand.Reader), disk: disk.New(), replies: map[uint64]wire.Reply{}}
		identity, err := vault.MakeIdentity(b.hal)
		must(t, err)
		card := bundle.Box{Key: identity, HSM: "memory", Rollback: rollback}
		founding.Boxes = append(founding.Boxes, card)
		b.id = card.ID()
		s.boxes = append(s.boxes, b)
	}
	var sealed []byte
	s.document, sealed, err = vault.Make(s.boxes[0].hal, founding)
	must(t, err)
	s.fleet, err = bundle.Decode(s.document)
	must(t, err)
	s.operator = channel.NewAlertReader(key, s.fleet.ID)
	for i, b := range s.boxes {
		b.sealed = sealed
		if i > 0 {
			must(t, b.hal.WriteMemory(ledger.Anchor{Head: ledger.Genesis(s.fleet.ID)}.Encode(s.fleet.ID)))
		}
		s.start(i)
	}
	return s
}

func (s *island) start(i int) {
	s.Helper()
	b := s.boxes[i]
	v, err := vault.Open(b.hal, rand.Reader, s.document, b.sealed, b.disk, b.replacements...)
	must(s.TB, err)
	b.Vault, b.durable, b.in, b.report, b.fatal = v, b.disk.Last(), vault.Input{}, nil, nil
}

func (s *island) kill(i int) { s.boxes[i].Vault = nil }

func (s *island) restart(i int) {
	s.boxes[i].hal = s.boxes[i].hal.Again()
	s.start(i)
}

// step steps every box once.
func (s *island) step(ticks uint32) (busy bool) {
	s.Helper()
	s.steps++
	for i, b := range s.boxes {
		if b.Vault == nil {
			b.in = vault.Input{}
			continue
		}
		in := b.in
		b.in = vault.Input{}
		in.NowMillis, in.Ticks, in.Durable, in.Alerted = s.now, ticks, b.durable, b.alerted
		in.Kept = b.disk.Kept.Serial
		o := b.Step(in)
		if o.Fatal != nil {
			b.fatal, b.Vault = o.Fatal, nil
			continue
		}
		if s.logs != nil {
			must(s.TB, s.logs[i].Append(o.Append))
		}
		must(s.TB, b.disk.Append(o.Append))
		b.durable = b.disk.Last()
		b.disk.Serve(o.Out, &b.in.In)
		if len(o.Alerts) > 0 {
			b.alerted = o.Alerts[len(o.Alerts)-1].Index
		}
		for _, r := range o.Replies {
			b.replies[r.ID] = r
		}
		if o.Island != nil {
			b.report = o.Island
		}
		for _, j := range append(o.Jobs, o.Anchor) {
			if j != nil {
				b.in.Done = append(b.in.Done, j.Run(b.hal))
			}
		}
		for _, send := range o.Sends {
			to := s.at(send.To)
			if s.cut == nil || !s.cut(i, to) {
				s.boxes[to].in.Received = append(s.boxes[to].in.Received, wire.Received{From: b.id, Bytes: bytes.Clone(send.Bytes)})
			}
		}
		busy = busy || len(b.in.Done)+len(o.Sends)+len(o.Append)+len(b.in.Found) > 0
	}
	return busy
}

func (s *island) at(id wire.BoxID) int {
	for i, b := range s.boxes {
		if b.id == id {
			return i
		}
	}
	s.Fatalf("a message to box %s", id)
	return -1
}

// run runs ticks of the Raft clock.
func (s *island) run(ticks int) {
	s.Helper()
	for range ticks {
		s.now += wire.TickMillis
		s.step(1)
		for range 6 {
			s.step(0)
		}
	}
}

// until runs until something holds.
func (s *island) until(what string, holds func() bool) {
	s.Helper()
	for range 2000 {
		if holds() {
			return
		}
		s.run(1)
	}
	for i, b := range s.boxes {
		s.Logf("box %d: runs %v, %v, %+v", i, b.Vault != nil, b.fatal, b.report)
	}
	s.Fatalf("not within 2,000 ticks: %s", what)
}

// found has the custodians start the island from what its boxes show.
func (s *island) order() {
	s.Helper()
	s.run(1)
	o := bundle.Order{Fleet: s.fleet.ID}
	for _, b := range s.boxes {
		if b.Vault != nil {
			o.Shown = append(o.Shown, b.report.Shown)
		}
	}
	statement, err := o.Statement()
	must(s.TB, err)
	for i, key := range s.custodians[:2] {
		o.Signatures = append(o.Signatures, bundle.OrderSignature{Custodian: uint8(i), Signature: ed25519.Sign(key, statement)})
	}
	encoded, err := o.Encode()
	must(s.TB, err)
	for _, b := range s.boxes {
		b.in.Order = encoded
	}
}

// leader is the box that serves, -1 for none.
func (s *island) leader() int {
	for i, b := range s.boxes {
		if b.Vault != nil && b.report != nil && b.report.Role == wire.RoleLeader && b.report.Leader == b.id {
			return i
		}
	}
	return -1
}

// voters counts the boxes that vote, as the leader has it.
func (s *island) voters() (n int) {
	leader := s.leader()
	if leader < 0 {
		return 0
	}
	for _, b := range s.boxes[leader].report.Boxes {
		if b.Role == wire.RoleFollower || b.Role == wire.RoleLeader {
			if other := s.boxes[s.at(b.Box)]; other.Vault != nil && other.report != nil && other.report.Role >= wire.RoleFollower {
				n++
			}
		}
	}
	return n
}

// ask puts a sealed request to a box, and then to the one that leads.
func (s *island) asks(i int, sealed []byte) *wire.Reply {
	s.Helper()
	for range 400 {
		s.nextID++
		b := s.boxes[i]
		b.in.Requests = append(b.in.Requests, wire.Request{ID: s.nextID, Sealed: bytes.Clone(sealed)})
		for range 60 {
			s.run(1)
			if r, found := b.replies[s.nextID]; found {
				if r.Refused != wire.CodeElsewhere {
					return &r
				}
				break
			}
			if b.Vault == nil {
				break
			}
		}
		if leader := s.leader(); leader >= 0 {
			i = leader
		}
	}
	s.Fatal("nobody answered")
	return nil
}

func TestIsland(t *testing.T) {
	s := newIslandOf3(t)
	gen := s.register("anna", "right", "K")
	if gen == (wire.Generation{}) {
		t.Fatal("no generation")
	}
	if k, code := s.recover("anna", "wrong"); k != "" || code != "" {
		t.Fatal(k, code)
	}
	if n := s.status("anna").Wrong; n != 1 {
		t.Fatalf("%d wrong attempts", n)
	}
	leader := s.leader()
	s.kill(leader)
	s.until("another leads", func() bool { return s.leader() >= 0 && s.leader() != leader })
	if n := s.status("anna").Wrong; n != 1 {
		t.Fatalf("%d wrong attempts", n)
	}
	if k, code := s.recover("anna", "right"); k != "sealed:K" {
		t.Fatal(k, code)
	}
	s.restart(leader)
	s.until("it votes again", func() bool { return s.voters() == 3 })
	second := s.leader()
	s.kill(second)
	s.until("a third leads", func() bool { return s.leader() >= 0 && s.leader() != second })
	if n := s.status("anna").Wrong; n != 0 {
		t.Fatalf("%d wrong attempts", n)
	}
}

// newIslandOf3 is one that serves, of boxes whose HSMs are files.
func newIslandOf3(t *testing.T) *island {
	t.Helper()
	return newServing(t, 3, "file")
}

func newServing(t *testing.T, n int, rollback string) *island {
	t.Helper()
	s := newIsland(t, n, bundle.Policy{Attempts: 10, TicketMillis: 120_000}, rollback)
	s.order()
	s.serves()
	s.ask = func(sealed []byte) *wire.Reply { return s.asks(0, sealed) }
	return s
}

func (s *island) serves() {
	s.Helper()
	s.until("all boxes vote", func() bool { return s.voters() == len(s.boxes) })
}

func (s *island) wrong(account string, want uint32) {
	s.Helper()
	if n := s.status(account).Wrong; n != want {
		s.Fatalf("%s: %d wrong attempts, want %d", account, n, want)
	}
}

// A leader whose process ended is followed by another one before Raft alone
// would ask for votes; one that lives and is only said to have ended stays it.
func TestGoneLeader(t *testing.T) {
	s := newIslandOf3(t)
	s.until("all vote", func() bool { return s.voters() == 3 })
	first := s.leader()
	term := s.boxes[first].report.Term
	for range 20 { // hosts that lie
		for i, b := range s.boxes {
			if i != first {
				b.in.Gone = []wire.BoxID{s.boxes[first].id}
			}
		}
		s.run(1)
	}
	if again := s.leader(); again != first || s.boxes[first].report.Term != term {
		t.Errorf("box %d leads, of term %d: the hosts of others said that box %d of term %d ended, and it lives", again, s.boxes[first].report.Term, first, term)
	}
	s.kill(first)
	for _, b := range s.boxes {
		b.in.Gone = []wire.BoxID{s.boxes[first].id}
	}
	s.run(consensus.ElectionTicks - 1)
	if s.leader() < 0 {
		t.Errorf("no box leads %d ticks after the leader's end", consensus.ElectionTicks-1)
	}
}

// TestWipedBox: a box that lost its disk gets the whole record tree, and can
// lead with it.
func TestWipedBox(t *testing.T) {
	const accounts = 150
	s := newIslandOf3(t)
	for i := range accounts {
		s.register(fmt.Sprint("account ", i), "right", "K")
	}
	s.recover("account 7", "wrong")
	wiped := (s.leader() + 1) % 3
	s.kill(wiped)
	s.recover("account 7", "wrong")
	s.boxes[wiped].disk = disk.New()
	s.restart(wiped)
	s.serves()
	for s.leader() != wiped { // the others leave, one after the other
		leader := s.leader()
		s.kill(leader)
		s.until("another leads", func() bool { return s.leader() >= 0 && s.leader() != leader })
		if s.leader() == wiped {
			break
		}
		s.restart(leader)
		s.serves()
	}
	s.wrong("account 7", 2)
	s.wrong(fmt.Sprint("account ", accounts-1), 0)
	if k, code := s.recover("account 7", "right"); k != "sealed:K" {
		t.Fatal(k, code)
	}
}

// TestColdStart: when all boxes of files were down nobody leads until
// custodians say so, and then nothing is lost; an order of before opens nothing.
func TestColdStart(t *testing.T) {
	s := newIslandOf3(t)
	s.register("anna", "right", "K")
	s.recover("anna", "wrong")
	var old []byte
	for round := range 2 {
		for i := range s.boxes {
			s.kill(i)
		}
		for i := range s.boxes {
			s.restart(i)
			s.boxes[i].in.Order = old
		}
		s.run(100)
		if s.leader() >= 0 {
			t.Fatalf("box %d leads without an order", s.leader())
		}
		s.order()
		old = s.boxes[0].in.Order
		s.serves()
		s.wrong("anna", uint32(round+1))
		s.recover("anna", "wrong")
	}
}

// TestResume: boxes whose HSM can not be put back are, after all were down, who
// they were.
func TestResume(t *testing.T) {
	s := newServing(t, 3, "token")
	s.register("anna", "right", "K")
	for round := range uint32(3) {
		s.recover("anna", "wrong")
		for i := range s.boxes {
			s.kill(i)
		}
		for i := range s.boxes {
			s.restart(i)
		}
		s.serves()
		s.wrong("anna", round+1)
	}
	// An older disk under today's memory: it is a new member.
	older := s.boxes[1].disk.Copy()
	s.recover("anna", "wrong")
	s.kill(1)
	s.boxes[1].disk = older
	s.restart(1)
	s.run(1)
	if role := s.boxes[1].report.Role; role != wire.RoleNone {
		t.Fatalf("with an older disk it is a %s", role)
	}
	s.serves()
	s.wrong("anna", 4)
}

// TestIslandEpoch: each box turns its own epochs, and the island goes on.
func TestIslandEpoch(t *testing.T) {
	s := newIslandOf3(t)
	s.register("anna", "right", "K")
	for i := range s.boxes {
		s.boxes[i].in.Epoch = true
		s.until("the epoch is over", func() bool {
			s.now += 30_000
			keys, err := s.boxes[i].hal.EpochKeys()
			must(t, err)
			return len(keys) == 1 && keys[0] == 2
		})
		s.recover("anna", "wrong")
	}
	s.wrong("anna", 3)
	s.serves()
}

// TestColdStartOfThree: three of five boxes are left. They serve, each answer
// stands on all three of them, and the others come back later.
func TestColdStartOfThree(t *testing.T) {
	s := newServing(t, 5, "file")
	s.register("anna", "right", "K")
	s.recover("anna", "wrong")
	for i := range s.boxes {
		s.kill(i)
	}
	for i := range 3 {
		s.restart(i)
	}
	s.order()
	s.until("it serves", func() bool { return s.leader() >= 0 })
	s.wrong("anna", 1)
	leader := s.leader()
	other := (leader + 1) % 3
	s.kill(other)
	s.run(100)
	if s.leader() >= 0 && s.boxes[s.leader()].report.Term == s.boxes[leader].report.Term && s.boxes[leader].report.Role == wire.RoleLeader {
		t.Fatal("two of five lead")
	}
	for i := range s.boxes {
		s.kill(i)
		s.restart(i)
	}
	s.order()
	s.serves()
	s.wrong("anna", 1)
}

// TestColdStartOfResumed: two of five boxes that forget nothing are left of a
// run whose majority lost what it had. They take an order like the others.
func TestColdStartOfResumed(t *testing.T) {
	for late := 3; late < 5; late++ {
		coldStartOfResumed(t, late)
	}
}

// coldStartOfResumed has the order reach one of the two that resumed late: it
// asks the other for votes in the old run meanwhile, and must not draw it back.
func coldStartOfResumed(t *testing.T, late int) {
	s := newServing(t, 5, "token")
	s.register("anna", "right", "K")
	s.recover("anna", "wrong")
	for i := range s.boxes {
		s.kill(i)
	}
	for i := range 3 {
		s.boxes[i].disk = disk.New()
	}
	for i := range s.boxes {
		s.restart(i)
	}
	s.run(300)
	if s.leader() >= 0 || s.boxes[4].report.Shown.Boot != (wire.Boot{}) {
		t.Fatal("two of five lead, or give their run up at once")
	}
	s.run(600)
	s.order()
	order := s.boxes[late].in.Order
	s.boxes[late].in.Order = nil
	s.run(60)
	s.boxes[late].in.Order = order
	s.serves()
	s.wrong("anna", 1)
}
