package vault

import (
	"crypto/subtle"
	"io"

	"strongroom/protocol/opaque"
	"strongroom/protocol/wire"
	"strongroom/vault/hal"
	"strongroom/vault/internal/record"
)

// registerTicketMillis is how long a registration may take between its trips.
const registerTicketMillis = 10 * 60 * 1000

// registerStart draws a generation and its OPRF key and evaluates once for
// it. Nothing is kept: it all travels in the sealed ticket.
//
// The attack that random generations stop: with a predictable one, the holder
// of a token would evaluate a dictionary at registrations beforehand and test
// it whole against a single KE2. Here each RegisterStart is evaluated under a
// key that was never used before, and a registered key is never again
// evaluated for a registration.
func (v *Vault) registerStart(r *request) {
	job := registerJob{
		request: r, suite: v.suite, server: v.server,
		changes: r.record.record.Changes, nowMillis: v.nowMillis,
	}
	for _, drawn := range [][]byte{job.generation[:], job.challenge[:]} {
		if _, err := io.ReadFull(v.rand, drawn); err != nil {
			v.fail(err)
			return
		}
	}
	v.out.Jobs = append(v.out.Jobs, job)
}

type registerJob struct {
	request    *request
	suite      *opaque.Suite
	server     *opaque.Server
	generation wire.Generation
	challenge  [wire.ChallengeBytes]byte
	changes    uint64
	nowMillis  uint64
}

type registerStarted struct {
	registerJob
	wrapped, response []byte
	refused           wire.Code
}

func (j registerJob) Run(h hal.HAL) Result {
	s := registerStarted{registerJob: j}
	group := groupOf(j.suite)
	wrapped, _, err := h.MakeOPRFKey(group)
	if err != nil {
		s.refused = wire.CodeUnavailable
		return s
	}
	oprf := multiplier(func(p []byte) ([]byte, error) { return h.MultiplyWrapped(group, wrapped, p) })
	if s.response, err = j.server.RegistrationResponse(j.request.first.RegisterStart.Request, oprf); err != nil {
		s.refused = wire.CodeUnavailable
		return s
	}
	s.wrapped = wrapped
	return s
}

func (s registerStarted) enter(v *Vault) {
	r := s.request
	if s.refused != "" {
		v.refuse(r, s.refused)
		return
	}
	a := &wire.RegisterStartAnswer{Response: s.response, Generation: s.generation, Challenge: s.challenge}
	var err error
	a.Ticket, err = v.sealTicket(v.rand, ticket{
		Account: r.account, Generation: s.generation, Secret: r.peer.SecondSecret(),
		ExpiresMillis: s.nowMillis + registerTicketMillis,
		Register: &registerTicket{
			Wrapped: s.wrapped, Changes: s.changes,
			Transcript: a.Transcript(r.first.RegisterStart.Request),
		},
	})
	if err != nil {
		v.fail(err)
		return
	}
	v.answer(r, wire.Answer{RegisterStart: a})
}

// registerFinish makes the ticket's generation live.
func (v *Vault) registerFinish(r *request) {
	f, t := r.second.RegisterFinish, r.ticket
	if subtle.ConstantTimeCompare(f.Transcript[:], t.Register.Transcript[:]) != 1 {
		v.refuse(r, wire.CodeTranscript)
		return
	}
	command := record.Register{
		Generation: t.Generation, Replaces: f.Replaces, Changes: t.Register.Changes, Reset: f.Reset, NowMillis: v.nowMillis,
		Keys: record.Keys{
			Wrapped: t.Register.Wrapped, Opaque: f.Record, SealedKey: f.SealedKey, Owner: f.Owner, Stretch: f.Stretch,
		},
	}
	if _, err := io.ReadFull(v.rand, command.Keys.Seed[:]); err != nil {
		v.fail(err)
		return
	}
	job := registrationJob{request: r, suite: v.suite, command: command}
	now := r.record.record
	if len(f.Receipts) > 0 {
		crossing, arrive := v.crossingOf(r.account, t.Generation, v.layouts.homes.Newest(), f.Receipts)
		job.crossing, job.command.Arrive = &crossing, &arrive
	}
	if owner := now.Prover(f.Replaces, job.command.Arrive, v.policyOf(r.account)); owner != nil && len(f.Signature) > 0 {
		job.owner, job.statement = owner, f.Statement(v.fleet.ID, r.account, t.Generation)
	}
	v.out.Jobs = append(v.out.Jobs, job)
}

// registrationJob checks the curve points of a record, and the signature of
// the owner whose record it replaces.
type registrationJob struct {
	request   *request
	suite     *opaque.Suite
	command   record.Register
	owner     *[wire.OwnerKeyBytes]byte // nil: nobody's signature helps
	statement []byte
	crossing  *crossing // nil: it brings no receipts
}

type registrationChecked struct {
	registrationJob
	refused wire.Code
}

func (j registrationJob) Run(hal.HAL) Result {
	c := registrationChecked{registrationJob: j}
	if err := j.suite.CheckRecord(j.command.Keys.Opaque); err != nil {
		c.refused = wire.CodeMalformed
		return c
	}
	if j.crossing != nil && !j.crossing.holds() {
		c.refused = wire.CodeReceipt
		return c
	}
	if j.owner != nil {
		c.command.Proven = signedByOwner(*j.owner, j.statement, j.request.second.RegisterFinish.Signature)
	}
	return c
}

func (c registrationChecked) enter(v *Vault) {
	refused := c.refused
	if refused == "" {
		_, refused = c.command.Apply(c.request.record.record, v.policyOf(c.request.account))
	}
	if refused != "" {
		v.refuse(c.request, refused)
		return
	}
	v.propose(c.request.record, record.Command{Register: &c.command},
		func(o record.Outcome) { v.refuse(c.request, o.Refused) })
}
