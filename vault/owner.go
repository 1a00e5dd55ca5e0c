package vault

import (
	"crypto/ed25519"

	"strongroom/protocol/wire"
	"strongroom/vault/hal"
	"strongroom/vault/internal/record"
)

// signedByOwner checks an owner's signature (Ed25519, RFC 8032): a
// multiplication, so not in Step.
func signedByOwner(owner [wire.OwnerKeyBytes]byte, statement, signature []byte) bool {
	ok := len(signature) == ed25519.SignatureSize && ed25519.Verify(owner[:], statement, signature)
	return ok
}

// ownerJob is that as a job.
func ownerJob(owner [wire.OwnerKeyBytes]byte, statement, signature []byte, then func(v *Vault, ok bool)) Job {
	return task(func(hal.HAL) result {
		ok := signedByOwner(owner, statement, signature)
		return func(v *Vault) { then(v, ok) }
	})
}

// asOwner proposes a command once the owner of what is live signed the
// statement for it.
func (v *Vault) asOwner(r *request, statement, signature []byte, c record.Command) {
	v.out.Jobs = append(v.out.Jobs, ownerJob(r.record.record.Keys.Owner, statement, signature, func(v *Vault, ok bool) {
		if !ok {
			v.refuse(r, wire.CodeOwner)
			return
		}
		v.carry(r, c)
	}))
}

// carry proposes a command and answers when it is committed.
func (v *Vault) carry(r *request, c record.Command) {
	v.propose(r.record, c, func(o record.Outcome) { v.refuse(r, o.Refused) })
}

// delete removes a record: at once under its owner's signature, without one
// after the wait.
func (v *Vault) delete(r *request) {
	d := r.first.Delete
	command := record.Delete{Generation: d.Generation, Later: d.Later, NowMillis: v.nowMillis}
	now := r.record.record
	after, refused := command.Apply(now, v.policyOf(r.account))
	switch {
	case refused != "" || after.Changes == now.Changes:
		v.refuse(r, refused) // or, for a retry, the same answer again
	case d.Later:
		v.carry(r, record.Command{Delete: &command})
	default:
		v.asOwner(r, wire.DeleteStatement(v.fleet.ID, r.account, d.Generation), d.Signature, record.Command{Delete: &command})
	}
}

// mark keeps a freshness mark, under the owner's signature.
func (v *Vault) mark(r *request) {
	m := r.first.Mark
	command := record.Mark{Generation: m.Generation, Device: m.Device, Sequence: m.Sequence, Head: m.Head, NowMillis: v.nowMillis}
	if _, changed, refused := command.Apply(r.record.record); refused != "" || !changed {
		v.refuse(r, refused) // or, for a retry, the same answer again
		return
	}
	v.asOwner(r, m.Statement(v.fleet.ID, r.account), m.Signature, record.Command{Mark: &command})
}

// cancel stops what waits, under the owner's signature.
func (v *Vault) cancel(r *request) {
	c := r.first.Cancel
	command := record.Cancel{Generation: c.Generation, DueMillis: c.AtMillis, NowMillis: v.nowMillis}
	now := r.record.record
	if after, refused := command.Apply(now); refused != "" || after.Changes == now.Changes {
		v.refuse(r, refused) // or, for a retry, the same answer again
		return
	}
	v.asOwner(r, c.Statement(v.fleet.ID, r.account), c.Signature, record.Command{Cancel: &command})
}
