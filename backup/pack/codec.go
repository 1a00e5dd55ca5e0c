package pack

import (
	"bytes"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// Limits of what is decoded.
const (
	arrayMax = 1 << 24 // elements of one CBOR array
	nestMax  = 8       // levels
)

var (
	encMode = must(encOptions().EncMode())
	decMode = must(cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField, UTF8: cbor.UTF8DecodeInvalid,
		MaxArrayElements: arrayMax, MaxNestedLevels: nestMax, IntDec: cbor.IntDecConvertNone,
	}.DecMode())
	laxMode = must(cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
		UTF8: cbor.UTF8DecodeInvalid, MaxArrayElements: arrayMax, MaxNestedLevels: 2 * nestMax,
	}.DecMode())
)

// encOptions are core deterministic; a nil list is written as an empty one,
// so that there is one form of it.
func encOptions() cbor.EncOptions {
	o := cbor.CoreDetEncOptions()
	o.NilContainers = cbor.NilContainerAsEmpty
	return o
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// encode is core deterministic CBOR, RFC 8949 section 4.2.1.
func encode(v any) []byte { return must(encMode.Marshal(v)) }

// decode reads what encode wrote and nothing else: encoding the value again
// must give the same bytes, so that one value has one form.
func decode(b []byte, v any) error {
	if err := decMode.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%w: %v", ErrMalformed, err)
	}
	if !bytes.Equal(encode(v), b) {
		return fmt.Errorf("%w: not in its one form", ErrMalformed)
	}
	return nil
}

// decodeVersion is decode for a body whose field 1 is its version: one of
// another version is ErrVersion, whatever else it holds.
func decodeVersion(b []byte, version uint64, v any) error {
	var head struct {
		Version uint64 `cbor:"1,keyasint"`
	}
	if err := laxMode.Unmarshal(b, &head); err != nil {
		return fmt.Errorf("%w: %v", ErrMalformed, err)
	}
	if head.Version != version {
		return ErrVersion
	}
	return decode(b, v)
}
