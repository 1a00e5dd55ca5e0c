package pkcs11

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"fmt"

	"strongroom/vault/hal"
)

// What moves is
//
//	SHA-256 of the rest (32) | length of header (4) | header, JSON | nonce (12) | AES-256-GCM of the secret that goes along
//
// The header is the GCM's additional data, so its wrapped keys go together or
// not at all; the GCM's key is wrapped in it. The SHA-256 proves nothing: it
// tells damage before the token is asked, whose faults look alike.
const (
	luggageVersion  = 1
	luggageItemsMax = 16
	luggageBytesMax = 64 << 10
)

// transferBits are of RSA: 128 bits of strength (NIST SP 800-57 part 1, table
// 2). Tests make shorter ones.
var transferBits = 3072

type luggageHeader struct {
	Version   int
	Mechanism uint32 // that wrapped all but Carrier
	To        []byte // SHA-256 of the transfer key; of a copy, a check of its key
	Carrier   []byte // the AES key that wraps the others, by RSA-OAEP; none in a copy
	Secret    []byte // the GCM's key, wrapped by Carrier
	Wrap, MAC []byte // of OPRF keys
	Named     []luggageKey
}

// luggageKey is a named key.
type luggageKey struct {
	Name    string
	Signs   bool
	Public  []byte // SEC1 compressed
	Wrapped []byte
}

// encode gives all but nonce and ciphertext, without the SHA-256.
func (h luggageHeader) encode() ([]byte, error) {
	text, err := json.Marshal(h)
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), text...), err
}

func sealLuggage(header, nonce, ciphertext []byte) []byte {
	rest := bytes.Join([][]byte{header, nonce, ciphertext}, nil)
	sum := sha256.Sum256(rest)
	return append(sum[:], rest...)
}

// parseLuggage undoes it, or gives hal.ErrMoved. aad is the header's bytes.
func parseLuggage(b []byte) (h luggageHeader, aad, nonce, ciphertext []byte, err error) {
	if len(b) < sha256.Size+4+nonceBytes+tagBytes || len(b) > luggageBytesMax {
		return h, nil, nil, nil, hal.ErrMoved
	}
	rest := b[sha256.Size:]
	sum := sha256.Sum256(rest)
	n := int64(binary.BigEndian.Uint32(rest))
	if !bytes.Equal(sum[:], b[:sha256.Size]) || n > int64(len(rest)-4-nonceBytes-tagBytes) {
		return h, nil, nil, nil, hal.ErrMoved
	}
	aad, rest = rest[:4+n], rest[4+n:]
	if err := json.Unmarshal(aad[4:], &h); err != nil || h.Version != luggageVersion || len(h.Named) > luggageItemsMax {
		return h, nil, nil, nil, fmt.Errorf("%w: another version made them", hal.ErrMoved)
	}
	return h, aad, rest[:nonceBytes], rest[nonceBytes:], nil
}

// copyCheck tells a wrong key of a copy before the token is asked.
func copyCheck(key [hal.CopyKeyBytes]byte) []byte {
	sum := sha256.Sum256(append([]byte("strongroom/v1/pkcs11/copy\x00"), key[:]...))
	return sum[:]
}

// parseTransfer reads a transfer key: PKIX, RSA of transferBits.
func parseTransfer(b []byte) (*rsa.PublicKey, error) {
	key, err := x509.ParsePKIXPublicKey(b)
	public, is := key.(*rsa.PublicKey)
	if err != nil || !is || public.N.BitLen() != transferBits {
		return nil, fmt.Errorf("%w: this is no transfer key of a token", hal.ErrMoved)
	}
	return public, nil
}
