package vault

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"

	"strongroom/protocol/channel"
	"strongroom/protocol/opaque"
	"strongroom/protocol/wire"
	"strongroom/vault/hal"
	"strongroom/vault/internal/record"
)

// recoverStart charges the guess; the evaluation waits for the commit.
func (v *Vault) recoverStart(r *request) {
	start := r.first.RecoverStart
	debit := record.Debit{
		Generation: start.Generation, Slot: start.Slot, KE1: sha256.Sum256(start.KE1), NowMillis: v.nowMillis,
	}
	_, verdict := debit.Apply(r.record.record, v.policyOf(r.account))
	switch {
	case verdict.Refused != "":
		v.refuse(r, verdict.Refused)
	case !verdict.Charged: // a retry of what was committed
		v.evaluate(r, verdict.Ticket)
	default:
		v.propose(r.record, record.Command{Debit: &debit}, func(o record.Outcome) {
			if o.Refused != "" {
				v.refuse(r, o.Refused)
				return
			}
			v.evaluate(r, o.Ticket)
		})
	}
}

// evaluate needs a ticket, and only a committed debit gives one.
func (v *Vault) evaluate(r *request, t record.Ticket) {
	if !t.Valid() {
		v.refuse(r, wire.CodeUnavailable)
		return
	}
	v.out.Jobs = append(v.out.Jobs, evaluateJob{request: r, ticket: t, suite: v.suite, server: v.server})
}

type evaluateJob struct {
	request *request
	ticket  record.Ticket
	suite   *opaque.Suite
	server  *opaque.Server
}

type evaluated struct {
	evaluateJob
	ke2      []byte
	expected opaque.Expected
	refused  wire.Code
}

// Run makes KE2. Its random values derive from (the record's seed, slot, KE1):
// a retry gets the same bytes, so that two answers to one charge never differ.
func (j evaluateJob) Run(h hal.HAL) Result {
	e := evaluated{evaluateJob: j}
	keys := j.ticket.Keys()
	seed, err := attemptSeed(keys.Seed, j.ticket.Slot(), j.ticket.KE1())
	if err != nil {
		e.refused = wire.CodeUnknown
		return e
	}
	group := groupOf(j.suite)
	e.ke2, e.expected, err = j.server.KE2(opaque.Attempt{
		KE1: j.request.ke1, Record: keys.Opaque, ClientIdentity: []byte(j.request.account), Seed: seed,
		OPRF: multiplier(func(p []byte) ([]byte, error) { return h.MultiplyWrapped(group, keys.Wrapped, p) }),
	})
	if err != nil {
		e.refused = wire.CodeUnknown // charged; the retry is free
	}
	return e
}

func attemptSeed(seed [32]byte, slot uint64, ke1 [32]byte) ([]byte, error) {
	info := binary.BigEndian.AppendUint64([]byte("strongroom/v1/ke2"), slot)
	return hkdf.Key(sha256.New, seed[:], nil, string(append(info, ke1[:]...)), 32)
}

func (e evaluated) enter(v *Vault) {
	r := e.request
	if e.refused != "" {
		v.refuse(r, e.refused)
		return
	}
	sealed, err := v.sealTicket(v.rand, ticket{
		Account: r.account, Generation: e.ticket.Generation(), Secret: r.peer.SecondSecret(),
		ExpiresMillis: e.ticket.OpenUntilMillis(),
		Recover: &recoverTicket{
			Slot: e.ticket.Slot(), ClientMAC: e.expected.ClientMAC, SessionKey: e.expected.SessionKey,
		},
	})
	if err != nil {
		v.fail(err)
		return
	}
	v.answer(r, wire.Answer{RecoverStart: &wire.RecoverStartAnswer{
		KE2: e.ke2, Stretch: e.ticket.Keys().Stretch, Ticket: sealed,
	}})
}

// recoverFinish checks the proof, commits the refill, and only then lets the
// sealed key out.
func (v *Vault) recoverFinish(r *request) {
	t := r.ticket.Recover
	expected := opaque.Expected{ClientMAC: t.ClientMAC, SessionKey: t.SessionKey}
	if expected.Check(r.second.RecoverFinish.KE3) != nil {
		v.refuse(r, wire.CodeProof)
		return
	}
	refill := record.Refill{Generation: r.ticket.Generation, Slot: t.Slot, NowMillis: v.nowMillis}
	now := r.record.record
	after, refused := refill.Apply(now, v.policyOf(r.account))
	switch {
	case refused != "":
		v.refuse(r, refused)
	case after.Forgiven == now.Forgiven: // a retry
		v.release(r)
	default:
		v.propose(r.record, record.Command{Refill: &refill}, func(o record.Outcome) {
			if o.Refused != "" {
				v.refuse(r, o.Refused)
				return
			}
			v.release(r)
		})
	}
}

// release hands out the sealed key, sealed once more under the session key.
func (v *Vault) release(r *request) {
	t, keys := r.ticket, r.record.record.Keys
	sealed, err := channel.SealUnderSession(t.Recover.SessionKey, v.fleet.ID, r.account, t.Generation, t.Recover.Slot, keys.SealedKey)
	if err != nil {
		v.fail(err)
		return
	}
	v.answer(r, wire.Answer{RecoverFinish: &wire.RecoverFinishAnswer{SealedKey: sealed}})
}
