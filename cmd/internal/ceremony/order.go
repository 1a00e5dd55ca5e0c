package ceremony

import (
	"encoding/hex"
	"fmt"

	"strongroom/protocol/bundle"
	"strongroom/protocol/wire"
)

// orderOf puts a statement and its signatures together for a box.
func orderOf(statement []byte, signatures []CustodianSignature) ([]byte, error) {
	o := bundle.Order{Statement: statement}
	for _, s := range signatures {
		b, err := hex.DecodeString(s.Signature)
		if err != nil || s.Custodian < 1 || s.Custodian > 255 {
			return nil, fmt.Errorf("%w: the signature of custodian %d", bundle.ErrOrder, s.Custodian)
		}
		o.Signatures = append(o.Signatures, bundle.Signature{Custodian: uint8(s.Custodian - 1), Bytes: b})
	}
	return wire.Encode(o)
}
