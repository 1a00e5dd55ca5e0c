package tpm

import (
	"bytes"
	"crypto/sha256"
	"fmt"

	"filippo.io/nistec"
	"github.com/google/go-tpm/tpm2"

	"strongroom/vault/hal"
)

// Public areas are never read from outside: each is rebuilt from a template
// below and a point, so nobody can hand us a key with other attributes. The
// integrity of a wrapped private area covers the public one (TPM 2.0 Part 1
// §22), so one that was made with another template does not load.

const (
	coordinateBytes = 32
	pointBytes      = 33 // SEC1 §2.3.3, compressed
	saltBytes       = 32
)

// storageTemplate is the key under which all others lie. The salt makes it
// this vault's own: it is not the storage key that many systems leave in the
// TPM for everybody, and wrapped keys of two vaults do not mix.
func storageTemplate(salt [saltBytes]byte) tpm2.TPMTPublic {
	return tpm2.TPMTPublic{
		Type:    tpm2.TPMAlgECC,
		NameAlg: tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{
			FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true, NoDA: true,
			Restricted: true, Decrypt: true,
		},
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{
			Symmetric: tpm2.TPMTSymDefObject{
				Algorithm: tpm2.TPMAlgAES,
				KeyBits:   tpm2.NewTPMUSymKeyBits(tpm2.TPMAlgAES, tpm2.TPMKeyBits(128)), // the size that every TPM has
				Mode:      tpm2.NewTPMUSymMode(tpm2.TPMAlgAES, tpm2.TPMAlgCFB),
			},
			CurveID: tpm2.TPMECCNistP256,
		}),
		Unique: tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, coordinates(salt[:], make([]byte, coordinateBytes))),
	}
}

// purpose says what a key is for. Its hash stands where a policy's would: no
// policy has that digest, so it permits nothing, and the TPM refuses to load
// the key under any other purpose. Without it a host could hand in the AKE
// key's file as somebody's wrapped OPRF key and have it multiplied at will.
type purpose struct {
	label string
	signs bool
}

var (
	purposeOPRF = purpose{label: "strongroom/v1/tpm/oprf"}
	purposeRoot = purpose{label: "strongroom/v1/tpm/root"}
)

func purposeNamed(name string) purpose   { return purpose{label: "strongroom/v1/tpm/named/" + name} }
func purposeSigning(name string) purpose { return purpose{"strongroom/v1/tpm/signing/" + name, true} }

func (p purpose) digest() tpm2.TPM2BDigest {
	sum := sha256.Sum256([]byte(p.label))
	return tpm2.TPM2BDigest{Buffer: sum[:]}
}

// keyTemplate is a P-256 key that never leaves this TPM: fixedTPM and
// fixedParent forbid duplication. It is for TPM2_ECDH_ZGen or for ECDSA, never
// for both.
func keyTemplate(p purpose, public *tpm2.TPMSECCPoint) tpm2.TPMTPublic {
	parameters := tpm2.TPMSECCParms{CurveID: tpm2.TPMECCNistP256}
	if p.signs {
		parameters.Scheme = tpm2.TPMTECCScheme{
			Scheme:  tpm2.TPMAlgECDSA,
			Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSigSchemeECDSA{HashAlg: tpm2.TPMAlgSHA256}),
		}
	}
	return tpm2.TPMTPublic{
		Type:    tpm2.TPMAlgECC,
		NameAlg: tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{
			FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true, NoDA: true,
			Decrypt: !p.signs, SignEncrypt: p.signs,
		},
		AuthPolicy: p.digest(),
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &parameters),
		Unique:     tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, public),
	}
}

// rootTemplate holds 32 sealed bytes.
func rootTemplate(unique []byte) tpm2.TPMTPublic {
	return tpm2.TPMTPublic{
		Type:             tpm2.TPMAlgKeyedHash,
		NameAlg:          tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, UserWithAuth: true, NoDA: true},
		AuthPolicy:       purposeRoot.digest(),
		Parameters:       tpm2.NewTPMUPublicParms(tpm2.TPMAlgKeyedHash, &tpm2.TPMSKeyedHashParms{}),
		Unique:           tpm2.NewTPMUPublicID(tpm2.TPMAlgKeyedHash, &tpm2.TPM2BDigest{Buffer: unique}),
	}
}

// expand gives the coordinates of a SEC1 compressed point, or hal.ErrPoint.
// It looks here and not in the TPM: an invalid point would tell about the
// scalar where a TPM forgets to look.
func expand(point []byte) (*tpm2.TPMSECCPoint, error) {
	if len(point) != pointBytes {
		return nil, hal.ErrPoint
	}
	p, err := nistec.NewP256Point().SetBytes(point)
	if err != nil {
		return nil, hal.ErrPoint
	}
	whole := p.Bytes()
	return coordinates(whole[1:1+coordinateBytes], whole[1+coordinateBytes:]), nil
}

func coordinates(x, y []byte) *tpm2.TPMSECCPoint {
	return &tpm2.TPMSECCPoint{X: tpm2.TPM2BECCParameter{Buffer: x}, Y: tpm2.TPM2BECCParameter{Buffer: y}}
}

// compress undoes expand for what a TPM answers. TPMs may leave leading zeros
// out.
func compress(p *tpm2.TPMSECCPoint) ([]byte, error) {
	whole := append([]byte{4}, make([]byte, 2*coordinateBytes)...)
	for i, c := range [][]byte{p.X.Buffer, p.Y.Buffer} {
		if len(c) > coordinateBytes {
			return nil, fmt.Errorf("%w: a coordinate of %d bytes", errLost, len(c))
		}
		copy(whole[1+(i+1)*coordinateBytes-len(c):], c)
	}
	on, err := nistec.NewP256Point().SetBytes(whole)
	if err != nil {
		return nil, fmt.Errorf("%w: a point off the curve", errLost)
	}
	return on.BytesCompressed(), nil
}

// publicPoint is the point of a public area that the TPM made.
func publicPoint(made *tpm2.TPM2BPublic) ([]byte, error) {
	public, err := made.Contents()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errLost, err)
	}
	p, err := public.Unique.ECC()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errLost, err)
	}
	return compress(p)
}

// same says whether the TPM made what the template says, byte for byte.
func same(made *tpm2.TPM2BPublic, want tpm2.TPMTPublic) bool {
	return bytes.Equal(made.Bytes(), tpm2.Marshal(want))
}
