package vault

import (
	"crypto/hpke"
	"encoding/hex"
	"errors"

	"strongroom/protocol/bundle"
	"strongroom/protocol/channel"
	"strongroom/protocol/opaque"
	"strongroom/protocol/token"
	"strongroom/protocol/wire"
	"strongroom/vault/hal"
)

// request is one request on its way through the box.
type request struct {
	id      uint64
	peer    *channel.Peer
	account string
	record  *held        // of the account, pinned until the answer
	first   *wire.First  // of a first trip
	ke1     opaque.KE1   // of its RecoverStart
	second  *wire.Second // of a second trip
	ticket  ticket       // of a second trip
}

// Job is work for any core: it may multiply, call the HSM and take its time.
type Job interface{ Run(hal.HAL) Result }

// Result goes back into Step.
type Result interface{ enter(*Vault) }

// task is a job as a function; what it gives back goes on in Step.
type task func(hal.HAL) result

// result is a Result as a function.
type result func(*Vault)

func (t task) Run(h hal.HAL) Result { return t(h) }
func (r result) enter(v *Vault)     { r(v) }

// request takes a sealed request in.
func (v *Vault) request(r wire.Request) {
	kind, err := channel.KindOf(r.Sealed)
	switch {
	case !v.leads():
		v.elsewhere(r.ID)
	case len(r.Sealed) > wire.RequestBytesMax:
		v.refuseInClear(r.ID, wire.CodeTooLarge)
	case err != nil:
		v.refuseInClear(r.ID, wire.CodeSealing)
	case kind == channel.First:
		v.out.Jobs = append(v.out.Jobs, openJob{
			id: r.ID, sealed: r.Sealed, key: v.channel, suite: v.suite, fleet: v.fleet, nowMillis: v.nowMillis,
		})
	default:
		v.secondTrip(r)
	}
}

// openJob opens the channel and checks the vault token.
type openJob struct {
	id        uint64
	sealed    []byte
	key       hpke.PrivateKey
	suite     *opaque.Suite
	fleet     *bundle.Fleet
	nowMillis uint64
}

type opened struct {
	request
	refused wire.Code
}

// Run refuses in clear only what can not be answered under a seal.
func (j openJob) Run(hal.HAL) Result {
	o := opened{request: request{id: j.id}}
	plaintext, peer, err := channel.OpenFirst(j.key, j.fleet.ID, j.sealed)
	if errors.Is(err, hal.ErrGone) {
		// "sealing" would have people doubt their pin while the HSM is away.
		o.refused = wire.CodeUnavailable
		return o
	}
	if err != nil {
		o.refused = wire.CodeSealing
		return o
	}
	o.peer = peer
	first, err := wire.DecodeFirst(plaintext)
	if err == nil {
		o.ke1, err = checkPoints(j.suite, first)
	}
	if err != nil {
		o.refused = wire.CodeMalformed
		return o
	}
	// The token names the account, so that nobody on the path can name
	// another one: it was inside the seal. A token for the relay has another
	// audience: a thief of the relay holds none that passes here.
	claims, err := token.Check(first.Token, j.fleet.Issuers, hex.EncodeToString(j.fleet.ID[:]), int64(j.nowMillis/1000))
	if err != nil {
		o.refused = wire.CodeToken
		return o
	}
	o.first, o.account = first, claims.Account
	return o
}

// checkPoints validates group elements before anything is charged for them or
// the HSM is asked.
func checkPoints(s *opaque.Suite, f *wire.First) (ke1 opaque.KE1, err error) {
	switch {
	case f.RegisterStart != nil:
		err = s.CheckRequest(f.RegisterStart.Request)
	case f.RecoverStart != nil:
		ke1, err = s.ParseKE1(f.RecoverStart.KE1)
	}
	return ke1, err
}

func (o opened) enter(v *Vault) {
	r := o.request
	switch {
	case r.peer == nil:
		v.refuseInClear(r.id, o.refused)
	case o.refused != "":
		v.refuse(&r, o.refused)
	default:
		v.hold(r.account, func(h *held) {
			r.record = h
			v.firstTrip(&r)
		})
	}
}

func (v *Vault) firstTrip(r *request) {
	switch {
	case r.first.Status != nil:
		v.status(r)
	case r.first.Watch != nil:
		v.watch(r)
	case r.first.RegisterStart != nil:
		v.registerStart(r)
	case r.first.RecoverStart != nil:
		v.recoverStart(r)
	case r.first.Delete != nil:
		v.delete(r)
	case r.first.Mark != nil:
		v.mark(r)
	case r.first.Cancel != nil:
		v.cancel(r)
	case r.first.Depart != nil:
		v.depart(r)
	case r.first.Arrive != nil:
		v.cross(r)
	}
}

// secondTrip needs no multiplication: the ticket is ours, the key is in it.
func (v *Vault) secondTrip(in wire.Request) {
	r := request{id: in.ID}
	sealedTicket, body, err := channel.SplitSecond(in.Sealed)
	if err != nil {
		v.refuseInClear(in.ID, wire.CodeSealing)
		return
	}
	if r.ticket, err = v.openTicket(sealedTicket); err != nil {
		v.refuseInClear(in.ID, wire.CodeTicket)
		return
	}
	plaintext, peer, err := channel.OpenSecond(r.ticket.Secret, body, sealedTicket)
	if err != nil {
		v.refuseInClear(in.ID, wire.CodeSealing)
		return
	}
	r.peer, r.account = peer, r.ticket.Account
	second, malformed := wire.DecodeSecond(plaintext)
	v.hold(r.account, func(h *held) {
		r.record, r.second = h, second
		switch {
		case malformed != nil:
			v.refuse(&r, wire.CodeMalformed)
		case second.RegisterFinish != nil && r.ticket.Register != nil:
			v.registerFinish(&r)
		case second.RecoverFinish != nil && r.ticket.Recover != nil:
			v.recoverFinish(&r)
		default:
			v.refuse(&r, wire.CodeTicket)
		}
	})
}

// answer seals the one answer of a request, with the account's status.
func (v *Vault) answer(r *request, a wire.Answer) {
	a.Version = wire.Version
	if !v.leads() { // not any more: what this box knows may be old
		if r.record != nil {
			v.unpin(r.record)
			r.record = nil
		}
		v.elsewhere(r.id)
		return
	}
	if r.record != nil {
		if a.Status == nil { // a signed one says what was signed
			a.Status = r.record.record.Status(v.policyOf(r.account), v.nowMillis)
		}
		v.unpin(r.record)
		r.record = nil
	}
	if a.Refused != "" {
		v.out.Counts.Refused++
	}
	plaintext, err := wire.Encode(a)
	if err != nil {
		v.fail(err)
		return
	}
	sealed, err := r.peer.SealAnswer(v.rand, plaintext)
	if err != nil {
		v.fail(err)
		return
	}
	v.reply(wire.Reply{ID: r.id, Sealed: sealed})
}

// reply lets an answer out: of an island of several boxes, when a majority has
// confirmed that this one still leads.
func (v *Vault) reply(r wire.Reply) {
	if v.group != nil {
		v.group.replies = append(v.group.replies, r)
		return
	}
	v.out.Replies = append(v.out.Replies, r)
}

// elsewhere has the node ask the box that leads.
func (v *Vault) elsewhere(id uint64) {
	v.out.Replies = append(v.out.Replies, wire.Reply{ID: id, Refused: wire.CodeElsewhere})
}

func (v *Vault) refuse(r *request, c wire.Code) { v.answer(r, wire.Answer{Refused: c}) }

func (v *Vault) refuseInClear(id uint64, c wire.Code) {
	v.out.Counts.Refused++
	v.out.Replies = append(v.out.Replies, wire.Reply{ID: id, Refused: c})
}
