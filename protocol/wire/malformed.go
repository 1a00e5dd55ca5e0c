package wire

import "errors"

// ErrMalformed is what every *Malformed is.
var ErrMalformed = errors.New("wire: malformed message")

// Reason names why a message is malformed; the vectors name it too.
type Reason string

const (
	ReasonCBOR      Reason = "cbor"      // not CBOR, or CBOR that this message does not allow
	ReasonCanonical Reason = "canonical" // not the one encoding of what it says
	ReasonVersion   Reason = "version"   // another version of the protocol
	ReasonLength    Reason = "length"    // a field is shorter or longer than its limit
	ReasonOne       Reason = "one"       // not exactly one request, or answers that exclude one another
	ReasonValue     Reason = "value"     // a number or word outside its range
)

// Malformed is a message that was refused before anybody acted on it. Where
// names the field, or holds the parser's words; it never quotes content.
type Malformed struct {
	Reason Reason
	Where  string
}

func (m *Malformed) Error() string {
	s := ErrMalformed.Error() + ": " + string(m.Reason)
	if m.Where != "" {
		s += ": " + m.Where
	}
	return s
}

func (m *Malformed) Is(target error) bool { return target == ErrMalformed }
