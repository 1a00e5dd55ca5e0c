package vault_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"testing"

	"strongroom/hsm/hsmtest"
	"strongroom/protocol/bundle"
	"strongroom/protocol/wire"
	"strongroom/test/disk"
	"strongroom/vault"
	"strongroom/vault/internal/ledger"
)

// standIn is a box with an HSM of its own and the custodians' certificate for
// the place of another.
func (s *island) standIn(lost wire.BoxID) (fresh *box, certificate []byte) {
	s.Helper()
	fresh = &box{hal: hsmtest.NewMemory(s.keys, rand.Reader), sealed: s.boxes[0].sealed, disk: disk.New(), replies: map[uint64]wire.Reply{}}
	key, err := vault.MakeIdentity(fresh.hal)
	must(s.TB, err)
	must(s.TB, fresh.hal.WriteMemory(ledger.Anchor{Head: ledger.Genesis(s.fleet.ID)}.Encode(s.fleet.ID)))
	r := bundle.Replacement{Fleet: s.fleet.ID, Old: lost, New: bundle.Box{Key: key, HSM: "memory", Rollback: "file"}}
	fresh.id = r.New.ID()
	statement, err := r.Statement()
	must(s.TB, err)
	for i, key := range s.custodians[:2] {
		r.Signatures = append(r.Signatures, bundle.OrderSignature{Custodian: uint8(i), Signature: ed25519.Sign(key, statement)})
	}
	certificate, err = r.Encode()
	must(s.TB, err)
	return fresh, certificate
}

// TestReplacedBox: a box with an HSM that the document does not name takes a
// lost one's place, by the custodians' certificate and not without; the lost
// one, found again, is nobody.
func TestReplacedBox(t *testing.T) {
	s := newIslandOf3(t)
	s.register("anna", "right", "K")
	s.recover("anna", "wrong")
	lost := (s.leader() + 1) % 3
	s.kill(lost)

	fresh, certificate := s.standIn(s.boxes[lost].id)
	if _, err := vault.Open(fresh.hal, rand.Reader, s.document, fresh.sealed, fresh.disk); !errors.Is(err, vault.ErrIdentity) {
		t.Fatalf("without a certificate: %v", err)
	}
	forged := bytes.Clone(certificate)
	forged[len(forged)-1] ^= 1
	fresh.replacements = [][]byte{certificate}
	s.boxes = append(s.boxes, fresh)
	s.start(3)
	for i := range s.boxes {
		s.boxes[i].in.Replacement = forged
	}
	s.run(100)
	if role := fresh.report.Role; role != wire.RoleNone {
		t.Fatalf("by a forged certificate it is a %s", role)
	}
	for i := range s.boxes {
		s.boxes[i].in.Replacement = certificate
	}
	s.until("the new box votes", func() bool { return s.voters() == 3 })
	s.restart(lost)
	s.run(200)
	if role := s.boxes[lost].report.Role; role != wire.RoleNone {
		t.Fatalf("the lost box is a %s again", role)
	}
	s.kill(lost)
	s.kill(s.leader())
	s.until("another leads", func() bool { return s.leader() >= 0 })
	s.wrong("anna", 1)
	// Its certificate is agreed on: a start needs it no more.
	fresh.replacements = nil
	s.kill(3)
	s.restart(3)
}

// TestShownReplacement: certificates that only the hosts show, at the start of
// each box, are agreed on; a second one for the same place comes too late.
func TestShownReplacement(t *testing.T) {
	s := newIslandOf3(t)
	s.register("anna", "right", "K")
	s.recover("anna", "wrong")
	lost := (s.leader() + 1) % 3
	fresh, certificate := s.standIn(s.boxes[lost].id)
	second, late := s.standIn(s.boxes[lost].id)
	s.kill(lost)
	s.boxes = append(s.boxes, fresh, second)
	fresh.replacements, second.replacements = [][]byte{certificate}, [][]byte{late}
	s.start(3)
	for i := range 3 {
		if i != lost {
			s.boxes[i].replacements = [][]byte{certificate}
			s.kill(i)
			s.restart(i)
		}
	}
	s.order() // two of three started anew
	s.until("the new box votes", func() bool { return s.voters() == 3 })
	s.wrong("anna", 1)
	s.start(4)
	s.boxes[s.leader()].in.Replacement = late
	s.run(200)
	if role := second.report.Role; role != wire.RoleNone || s.leader() < 0 {
		t.Fatalf("the one that came too late is a %s", role)
	}
	follower := (lost + 1) % 3
	if follower == s.leader() {
		follower = (lost + 2) % 3
	}
	s.kill(follower)
	s.boxes[follower].replacements = [][]byte{late} // what the island agreed on goes first
	s.restart(follower)
	s.until("it votes again", func() bool { return s.voters() == 3 })
	s.wrong("anna", 1)
}

// leaderless is after how many ticks without a leader a member takes an order.
const leaderless = 650

// TestMajorityReplaced: two of three boxes are lost for good. The third, with
// two that took their places, starts again by the custodians' order, which
// counts the boxes after the certificates; the lost ones found again are nobody,
// and one that lost its disk finds the others.
func TestMajorityReplaced(t *testing.T) {
	s := newIslandOf3(t)
	s.register("anna", "right", "K")
	s.recover("anna", "wrong")
	var certificates [][]byte
	for _, lost := range []int{1, 2} {
		fresh, certificate := s.standIn(s.boxes[lost].id)
		certificates = append(certificates, certificate)
		s.boxes = append(s.boxes, fresh)
	}
	for _, i := range []int{1, 2} {
		s.kill(i)
	}
	for _, c := range certificates { // one that runs is told, long before it gives its run up
		s.boxes[0].in.Replacement = c
		s.run(1)
	}
	for _, i := range []int{3, 4} {
		s.boxes[i].replacements = certificates
		s.start(i)
	}
	s.run(leaderless)
	s.order()
	s.until("all three vote", func() bool { return s.voters() == 3 })
	s.wrong("anna", 1)
	for _, i := range []int{1, 2} {
		s.restart(i)
	}
	s.run(200)
	for _, i := range []int{1, 2} {
		if role := s.boxes[i].report.Role; role != wire.RoleNone {
			t.Fatalf("lost box %d is a %s", i, role)
		}
		s.kill(i)
	}
	for _, i := range []int{0, 3, 4} {
		s.kill(i)
	}
	s.boxes[0].disk, s.boxes[0].replacements = disk.New(), certificates
	for _, i := range []int{0, 3, 4} {
		s.restart(i)
	}
	s.order()
	s.until("all three vote again", func() bool { return s.voters() == 3 })
	s.wrong("anna", 1)
}
