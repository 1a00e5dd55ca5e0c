package ceremony

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"slices"

	"strongroom/protocol/bundle"
)

// CustodianSignature is one custodian's, Ed25519 (RFC 8032).
type CustodianSignature struct {
	Custodian int    `json:"custodian"` // his place in the fleet's document, from 1
	Signature string `json:"signature"`
}

// sign puts his signature among those that are there, in their order. A second
// one takes the place of the first.
func (c *Custodian) sign(f *bundle.Fleet, statement []byte, there []CustodianSignature) ([]CustodianSignature, error) {
	at := slices.IndexFunc(f.Custodians, func(key []byte) bool { return bytes.Equal(key, c.Card.key()) })
	if at < 0 {
		return there, fmt.Errorf("%w: %q is no custodian of this fleet", ErrCard, c.Card.Name)
	}
	signed := slices.DeleteFunc(slices.Clone(there), func(s CustodianSignature) bool { return s.Custodian == at+1 })
	signed = append(signed, CustodianSignature{at + 1, hex.EncodeToString(ed25519.Sign(c.private, statement))})
	slices.SortFunc(signed, func(a, b CustodianSignature) int { return a.Custodian - b.Custodian })
	return signed, nil
}

// signaturesOf gives them as a box takes them.
func signaturesOf(list []CustodianSignature) (signatures []bundle.OrderSignature, err error) {
	for _, s := range list {
		b, err := hex.DecodeString(s.Signature)
		if err != nil || s.Custodian < 1 || s.Custodian > 255 {
			return nil, fmt.Errorf("%w: the signature of custodian %d", bundle.ErrQuorum, s.Custodian)
		}
		signatures = append(signatures, bundle.OrderSignature{Custodian: uint8(s.Custodian - 1), Signature: b})
	}
	return signatures, nil
}
