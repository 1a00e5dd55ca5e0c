package wire

import "crypto/sha256"

// OpaqueContext is OPAQUE's context string (RFC 9807 §6.4.2) on both sides.
const OpaqueContext = "strongroom/v1"

// Transcript is SHA-256(RegistrationRequest, RegistrationResponse, challenge),
// all of fixed length: by it a RegisterFinish belongs to its RegisterStart.
func (a *RegisterStartAnswer) Transcript(request []byte) (sum [32]byte) {
	h := sha256.New()
	h.Write(request)
	h.Write(a.Response)
	h.Write(a.Challenge[:])
	h.Sum(sum[:0])
	return sum
}
