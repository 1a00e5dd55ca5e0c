package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
)

// A sealed object is
//
//	prefix 8 ("sr-seal", version) | salt 32 | commitment 32 | AES-256-GCM
//
// of length 4 (big-endian) | body | zeros, so that the whole object has a
// size that Padme allows and is at least objectBytesMin.
const (
	magicObject    = "sr-seal"
	magicPack      = "sr-pack"
	prefixBytes    = 8
	FrameBytes     = prefixBytes + SaltBytes + CommitmentBytes // before any ciphertext
	lengthBytes    = 4
	objectBytesMin = 1 << 10
	ObjectBytesMax = 64 << 20
	objectExtra    = FrameBytes + lengthBytes + TagBytes
)

// Object seals body as the whole object called name ("m/..."). It draws a
// new salt, so two seals of one body share nothing.
func (k *Keys) Object(name string, body []byte) ([]byte, error) {
	size := max(Padme(len(body)+objectExtra), objectBytesMin)
	if size > ObjectBytesMax {
		return nil, ErrSize
	}
	var salt [SaltBytes]byte
	rand.Read(salt[:])
	s := k.derive(labelObject, name, salt)
	out := s.frame(magicObject, salt, make([]byte, 0, size))
	plain := make([]byte, size-FrameBytes-TagBytes)
	binary.BigEndian.PutUint32(plain, uint32(len(body)))
	copy(plain[lengthBytes:], body)
	out = s.aead.Seal(out, make([]byte, nonceBytes), plain, out)
	return out, k.openedAgain(name, out, body)
}

// openedAgain proves that what was sealed opens to what was meant, before it
// leaves: a flipped bit in memory would else be found at restore.
func (k *Keys) openedAgain(name string, sealed, body []byte) error {
	got, err := k.OpenObject(name, sealed)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, body) {
		return ErrOpen
	}
	return nil
}

// OpenObject opens the object called name. ErrVersion or ErrOpen.
func (k *Keys) OpenObject(name string, sealed []byte) ([]byte, error) {
	if len(sealed) > ObjectBytesMax {
		return nil, ErrSize
	}
	s, err := k.openFrame(labelObject, magicObject, name, sealed)
	if err != nil {
		return nil, err
	}
	plain, err := s.aead.Open(nil, make([]byte, nonceBytes), sealed[FrameBytes:], sealed[:FrameBytes])
	if err != nil || len(plain) < lengthBytes {
		return nil, ErrOpen
	}
	n := uint64(binary.BigEndian.Uint32(plain))
	rest := plain[lengthBytes:]
	if n > uint64(len(rest)) || !zero(rest[n:]) {
		return nil, ErrOpen
	}
	return rest[:n:n], nil
}

// secret is the key of one sealed object and the commitment to it.
type secret struct {
	aead       cipher.AEAD
	commitment [CommitmentBytes]byte
}

// derive gives the key of one object: HKDF-SHA256(seal key, the object's
// salt, label || repository id || name), 32 bytes of key, 32 of commitment.
// An object moved to another name, kind or repository has another key.
func (k *Keys) derive(label, name string, salt [SaltBytes]byte) secret {
	info := label + string(k.repository[:]) + name
	b, err := hkdf.Key(sha256.New, k.seal[:], salt[:], info, KeyBytes+CommitmentBytes)
	if err != nil {
		panic(err) // only a length above 255 hashes can fail
	}
	block, err := aes.NewCipher(b[:KeyBytes])
	if err != nil {
		panic(err) // only a key of another length can fail
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // only a block of another size can fail
	}
	s := secret{aead: aead}
	copy(s.commitment[:], b[KeyBytes:])
	return s
}

func (s secret) frame(magic string, salt [SaltBytes]byte, out []byte) []byte {
	out = append(out, magic...)
	out = append(out, FormatVersion)
	out = append(out, salt[:]...)
	return append(out, s.commitment[:]...)
}

// openFrame checks the first FrameBytes of an object and gives its key.
//
// Attack: AES-GCM commits to no key; whoever can make one ciphertext open
// under two keys learns which one a client holds by its answer. Stop: the
// commitment in the frame is compared before anything is decrypted.
func (k *Keys) openFrame(label, magic, name string, sealed []byte) (secret, error) {
	if len(sealed) < FrameBytes || string(sealed[:prefixBytes-1]) != magic {
		return secret{}, ErrOpen
	}
	if sealed[prefixBytes-1] != FormatVersion {
		return secret{}, ErrVersion
	}
	salt := [SaltBytes]byte(sealed[prefixBytes:])
	s := k.derive(label, name, salt)
	if subtle.ConstantTimeCompare(s.commitment[:], sealed[prefixBytes+SaltBytes:FrameBytes]) != 1 {
		return secret{}, ErrOpen
	}
	return s, nil
}

func zero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}
