package vault

import (
	"crypto/sha256"

	"strongroom/protocol/wire"
	"strongroom/vault/hal"
)

// status answers with the account's status, under the HSM's signature where
// it is asked for and the fleet has a key for it.
func (v *Vault) status(r *request) {
	if !r.first.Status.Sign || len(v.fleet.Status) == 0 {
		v.answer(r, wire.Answer{})
		return
	}
	report, nowMillis := r.record.record.Status(v.policyOf(r.account), v.nowMillis), v.nowMillis // as it stands now
	statement, err := report.Statement(v.fleet.ID, r.account, nowMillis)
	if err != nil {
		v.fail(err)
		return
	}
	digest := sha256.Sum256(statement)
	v.out.Jobs = append(v.out.Jobs, task(func(h hal.HAL) result {
		signature, err := h.Sign(keyStatus, digest)
		return func(v *Vault) {
			if err != nil {
				v.refuse(r, wire.CodeUnavailable)
				return
			}
			v.answer(r, wire.Answer{Status: report, Attestation: &wire.Attestation{AtMillis: nowMillis, Signature: signature}})
		}
	}))
}
