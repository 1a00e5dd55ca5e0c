package wire

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// ErrMalformed: the bytes are not the one encoding of a message, or break one
// of its limits. It is wrapped with what was found.
var ErrMalformed = errors.New("wire: malformed message")

// Limits of the codec, beneath those of each message.
const (
	nestedLevelsMax  = 4
	arrayElementsMax = 16
	mapPairsMax      = 32
)

var (
	encoder = must(cbor.CoreDetEncOptions().EncMode())
	decoder = must(cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		MaxNestedLevels:   nestedLevelsMax,
		MaxArrayElements:  arrayElementsMax,
		MaxMapPairs:       mapPairsMax,
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic("wire: constant options are refused: " + err.Error())
	}
	return v
}

// Encode gives the core deterministic encoding (RFC 8949 §4.2.1) of a message
// or of a value that a box keeps. Arrays of bytes are byte strings.
func Encode(v any) ([]byte, error) { return encoder.Marshal(v) }

// Decode reads into v what Encode gave, and nothing else: unknown fields,
// duplicate keys, tags, indefinite lengths, other orders, longer forms of a
// number and trailing bytes are ErrMalformed. So one meaning has one byte
// string, and what was parsed encodes to the same bytes.
func Decode(b []byte, v any) error {
	if len(b) > RequestBytesMax {
		return fmt.Errorf("%w: %d bytes", ErrMalformed, len(b))
	}
	if err := decoder.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%w: %v", ErrMalformed, err)
	}
	again, err := encoder.Marshal(v)
	if err != nil || !bytes.Equal(again, b) {
		return fmt.Errorf("%w: not in its deterministic encoding", ErrMalformed)
	}
	return nil
}

// DecodeFirst reads the plaintext of a first trip, or gives ErrMalformed.
func DecodeFirst(b []byte) (*First, error) { return decode(b, new(First)) }

// DecodeSecond reads the plaintext of a second trip, or gives ErrMalformed.
func DecodeSecond(b []byte) (*Second, error) { return decode(b, new(Second)) }

// DecodeAnswer reads the plaintext of an answer, or gives ErrMalformed.
func DecodeAnswer(b []byte) (*Answer, error) { return decode(b, new(Answer)) }

// message checks its own limits.
type message interface{ validate() error }

func decode[M message](b []byte, m M) (M, error) {
	var none M
	if err := Decode(b, m); err != nil {
		return none, err
	}
	if err := m.validate(); err != nil {
		return none, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return m, nil
}
