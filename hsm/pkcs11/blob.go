package pkcs11

import (
	"encoding/binary"
	"slices"

	"strongroom/vault/hal"
)

// A wrapped key is
//
//	version (1) | group (1) | mechanism (4) | public (33) | wrapped | HMAC-SHA256 (32)
//
// and a sealed value
//
//	version (1) | mechanism (4) | length of wrapped (2) | nonce (12) | wrapped | ciphertext and tag | HMAC-SHA256 (32)
//
// The HMAC key (RFC 2104) never leaves the token, and all before the sum is
// under it. So a wrapped key stands with its own public element only: with a
// swapped one the sign of y would come out by another's choice. And damage is
// told from a token's fault before the token is asked: many faults look alike.
const (
	blobVersion  = 1
	macBytes     = 32
	nonceBytes   = 12
	tagBytes     = 16
	keyHeader    = 1 + 1 + 4 + compressedBytes
	sealedHeader = 1 + 4 + 2 + nonceBytes

	// What the token may give for one wrapped key: PKCS #8 of P-256 is 67 to
	// 150 bytes by vendor, and the whole stays under wire.WrappedBytesMax.
	wrappedBytesMin = 16
	wrappedBytesMax = 512 - keyHeader - macBytes
)

// Labels of what the HMAC key sums: none is ever taken for another.
const (
	keyLabel    = "strongroom/v1/pkcs11/key\x00"
	sealedLabel = "strongroom/v1/pkcs11/sealed\x00"
	memoryLabel = "strongroom/v1/pkcs11/memory\x00"
	epochLabels = "strongroom/v1/pkcs11/epoch\x00"
)

// keyBlob is a wrapped OPRF key outside the token.
type keyBlob struct {
	mechanism uint32
	public    []byte // compressed
	wrapped   []byte
}

// body is what the HMAC is over, and all but the HMAC of the encoding.
func (k keyBlob) body() []byte {
	b := binary.BigEndian.AppendUint32([]byte{blobVersion, byte(hal.P256)}, k.mechanism)
	return append(append(b, k.public...), k.wrapped...)
}

// parseKey undoes body || sum, or gives hal.ErrWrapped. Nothing of it is to be
// believed before the sum is checked.
func parseKey(g hal.Group, b []byte) (k keyBlob, body, sum []byte, err error) {
	n := len(b) - keyHeader - macBytes
	if n < wrappedBytesMin || n > wrappedBytesMax || b[0] != blobVersion || b[1] != byte(g) || g != hal.P256 {
		return keyBlob{}, nil, nil, hal.ErrWrapped
	}
	body, sum = b[:len(b)-macBytes], b[len(b)-macBytes:]
	return keyBlob{
		mechanism: binary.BigEndian.Uint32(b[2:]),
		public:    b[6:keyHeader],
		wrapped:   body[keyHeader:],
	}, body, sum, nil
}

// sealedBlob is a sealed value: its own key, wrapped, and what is under it.
type sealedBlob struct {
	mechanism  uint32
	nonce      []byte
	wrapped    []byte
	ciphertext []byte // with the tag
}

func (s sealedBlob) body() []byte {
	b := binary.BigEndian.AppendUint32([]byte{blobVersion}, s.mechanism)
	b = binary.BigEndian.AppendUint16(b, uint16(len(s.wrapped)))
	return slices.Concat(b, s.nonce, s.wrapped, s.ciphertext)
}

// parseSealed undoes body || sum, or gives hal.ErrSealed.
func parseSealed(b []byte) (s sealedBlob, body, sum []byte, err error) {
	if len(b) < sealedHeader+wrappedBytesMin+tagBytes+macBytes || b[0] != blobVersion {
		return sealedBlob{}, nil, nil, hal.ErrSealed
	}
	body, sum = b[:len(b)-macBytes], b[len(b)-macBytes:]
	n := int(binary.BigEndian.Uint16(b[5:]))
	if n < wrappedBytesMin || n > wrappedBytesMax || sealedHeader+n+tagBytes > len(body) {
		return sealedBlob{}, nil, nil, hal.ErrSealed
	}
	return sealedBlob{
		mechanism:  binary.BigEndian.Uint32(b[1:]),
		nonce:      b[7:sealedHeader],
		wrapped:    body[sealedHeader : sealedHeader+n],
		ciphertext: body[sealedHeader+n:],
	}, body, sum, nil
}

// sealedInput is what the HMAC of a sealed value is over: its place comes
// first, with its length, so that no byte moves between the two.
func sealedInput(aad, body []byte) []byte {
	b := binary.BigEndian.AppendUint64([]byte(sealedLabel), uint64(len(aad)))
	return slices.Concat(b, aad, body)
}

// epochInput is the same for a value under the key of an epoch.
func epochInput(key string, aad, body []byte) []byte {
	b := binary.BigEndian.AppendUint64([]byte(epochLabels), uint64(len(key)))
	b = append(b, key...)
	b = binary.BigEndian.AppendUint64(b, uint64(len(aad)))
	return slices.Concat(b, aad, body)
}

func keyInput(body []byte) []byte { return append([]byte(keyLabel), body...) }
