package wire

import (
	"bytes"

	"github.com/fxamacker/cbor/v2"
)

// Limits of structure. No message comes near them.
const (
	nestedLevelsMax  = 8
	arrayElementsMax = 16
	mapPairsMax      = 32
)

// The one encoding: RFC 8949 §4.2.1. Byte strings carry []byte and [N]byte
// alike (major type 2), nil and empty slices are both the empty byte string.
var encoding = must(func() (cbor.UserBufferEncMode, error) {
	o := cbor.CoreDetEncOptions()
	o.NilContainers = cbor.NilContainerAsEmpty
	o.ByteArray = cbor.ByteArrayToByteSlice
	o.TagsMd = cbor.TagsForbidden
	return o.UserBufferEncMode()
}())

var decoding = decodingWith(arrayElementsMax)

func decodingWith(elementsMax int) cbor.DecMode {
	return must(cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		UTF8:              cbor.UTF8RejectInvalid,
		MaxNestedLevels:   nestedLevelsMax,
		MaxArrayElements:  elementsMax,
		MaxMapPairs:       mapPairsMax,
	}.DecMode())
}

// must ends the program at start: the options above are constants.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Encode gives the one encoding of a message, or of a struct of another room
// with `keyasint` fields. A message that breaks a limit is ErrMalformed: what
// the other side would refuse is not sent.
func Encode(v any) ([]byte, error) {
	if m, ok := v.(interface{ Validate() error }); ok {
		if err := m.Validate(); err != nil {
			return nil, err
		}
	}
	return encoding.Marshal(v)
}

// Decode reads into v, a pointer to a zero struct, what Encode gave. Anything
// else is ErrMalformed: unknown fields, duplicate keys, tags, indefinite
// lengths, trailing bytes, and any second encoding of the same value.
func Decode(b []byte, v any) error {
	return decodeBy(decoding, RequestBytesMax, b, v)
}

func decodeBy(mode cbor.DecMode, bytesMax int, b []byte, v any) error {
	if len(b) > bytesMax {
		return &Malformed{ReasonLength, "message"}
	}
	if err := mode.Unmarshal(b, v); err != nil {
		return &Malformed{ReasonCBOR, err.Error()}
	}
	again, err := encoding.Marshal(v)
	if err != nil {
		return &Malformed{ReasonCBOR, err.Error()}
	}
	// Two encodings of one value would let a host vary a message without
	// changing what it says: longer integers, keys out of order, null for an
	// absent field, a short byte string for an array all end here.
	if !bytes.Equal(again, b) {
		return &Malformed{ReasonCanonical, ""}
	}
	return nil
}

// DecodeFirst reads and validates the plaintext of a first trip.
func DecodeFirst(b []byte) (*First, error) { return decode[First](b) }

// DecodeSecond reads and validates the plaintext of a second trip.
func DecodeSecond(b []byte) (*Second, error) { return decode[Second](b) }

// DecodeAnswer reads and validates the plaintext of an answer.
func DecodeAnswer(b []byte) (*Answer, error) { return decode[Answer](b) }

type message interface {
	First | Second | Answer | Alerts | StatusStatement
	Validate() error
}

func decode[M message](b []byte) (*M, error) {
	m := new(M)
	if err := Decode(b, m); err != nil {
		return nil, err
	}
	if err := (*m).Validate(); err != nil {
		return nil, err
	}
	return m, nil
}
