package tpm

import (
	"crypto/rand"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// randomBytesMax is what one TPM2_GetRandom surely gives: a SHA-256 digest.
const randomBytesMax = 32

// Random gives bits of the TPM xor bits of the operating system, so that
// neither alone chooses them.
func (h *HSM) Random(p []byte) error {
	if _, err := rand.Read(p); err != nil {
		return err
	}
	return h.do(func(a *attached) error { return a.mixRandom(p) })
}

func (a *attached) mixRandom(p []byte) error {
	for len(p) > 0 {
		got, err := tpm2.GetRandom{BytesRequested: uint16(min(len(p), randomBytesMax))}.Execute(a, a.answers)
		if err != nil {
			return err
		}
		n := len(got.RandomBytes.Buffer)
		if n == 0 || n > len(p) {
			return fmt.Errorf("%w: %d random bytes", errLost, n)
		}
		for i, b := range got.RandomBytes.Buffer {
			p[i] ^= b
		}
		p = p[n:]
	}
	return nil
}
