package opaque

import "fmt"

// softMultiplier holds its scalar in memory.
type softMultiplier struct {
	group group
	key   scalar
}

// Format prints nothing of the scalar.
func (softMultiplier) Format(f fmt.State, _ rune) { redact(f, "softMultiplier") }

// SoftMultiplier multiplies by a scalar in this process's memory. A scalar
// that is zero, not canonical or of another length is ErrKey.
func (s *Suite) SoftMultiplier(scalar []byte) (Multiplier, error) {
	k, err := s.group.decodeScalar(scalar)
	if err != nil {
		return nil, err
	}
	return softMultiplier{s.group, k}, nil
}

// Multiply gives ErrMessage for what is not an element.
func (m softMultiplier) Multiply(element []byte) ([]byte, error) {
	e, err := m.group.decode(element)
	if err != nil {
		return nil, err
	}
	return e.multiply(m.key).bytes(), nil
}
