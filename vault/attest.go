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
	job := attestJob{request: r, report: r.record.record.Status(v.policyOf(r.account), v.nowMillis), nowMillis: v.nowMillis}
	statement, err := job.report.Statement(v.fleet.ID, r.account, v.nowMillis)
	if err != nil {
		v.fail(err)
		return
	}
	job.digest = sha256.Sum256(statement)
	v.out.Jobs = append(v.out.Jobs, job)
}

// attestJob signs a report as it stood when it was asked for.
type attestJob struct {
	request   *request
	report    *wire.StatusReport
	nowMillis uint64
	digest    [32]byte
}

type attested struct {
	attestJob
	signature []byte
	err       error
}

func (j attestJob) Run(h hal.HAL) Result {
	signature, err := h.Sign(keyStatus, j.digest)
	return attested{j, signature, err}
}

func (a attested) enter(v *Vault) {
	if a.err != nil {
		v.refuse(a.request, wire.CodeUnavailable)
		return
	}
	v.answer(a.request, wire.Answer{Status: a.report, Attestation: &wire.Attestation{AtMillis: a.nowMillis, Signature: a.signature}})
}
