package seal

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
)

// The header of a repository, the same bytes in the objects header-a and
// header-b:
//
//	magic 16 | version 4 | repository 16 | salt 32 | check 32 | mac 32 | checksum 32
//
// check tells a wrong K at once. mac is HMAC-SHA256 of all before it under a
// key from K. checksum is SHA-256 of all before it, to tell damage from a
// wrong key without one.
const (
	headerMagic  = "strongroom repo\n"
	HeaderBytes  = 16 + 4 + RepositoryBytes + SaltBytes + 3*32
	headerCheck  = 16 + 4 + RepositoryBytes + SaltBytes
	headerMAC    = headerCheck + 32
	headerSum    = headerMAC + 32
	versionStart = 16
	idStart      = versionStart + 4
	saltStart    = idStart + RepositoryBytes
)

var (
	// ErrHeader: the header is damaged or is none.
	ErrHeader = errors.New("seal: damaged repository header")
	// ErrWrongKey: the key is not this repository's.
	ErrWrongKey = errors.New("seal: wrong backup key")
)

// Header is what a repository tells without its key.
type Header struct {
	Repository [RepositoryBytes]byte
	Salt       [SaltBytes]byte
	check      [32]byte
	bytes      [HeaderBytes]byte
}

// NewHeader draws a new repository's id and salt.
func NewHeader(key *[KeyBytes]byte) *Header {
	h := &Header{}
	rand.Read(h.Repository[:])
	rand.Read(h.Salt[:])
	h.finish(key)
	return h
}

// finish computes check, mac and checksum.
func (h *Header) finish(key *[KeyBytes]byte) {
	b := append(h.bytes[:0], headerMagic...)
	b = binary.BigEndian.AppendUint32(b, FormatVersion)
	b = append(b, h.Repository[:]...)
	b = append(b, h.Salt[:]...)
	h.check = purpose(key, h, labelCheck)
	b = append(b, h.check[:]...)
	b = append(b, h.mac(key, b)...)
	sum := sha256.Sum256(b)
	copy(h.bytes[headerSum:], sum[:])
}

// Bytes is the header as it is stored.
func (h *Header) Bytes() []byte { return append([]byte(nil), h.bytes[:]...) }

// ParseHeader reads a header without a key: ErrHeader or ErrVersion.
func ParseHeader(b []byte) (*Header, error) {
	if len(b) != HeaderBytes || string(b[:versionStart]) != headerMagic {
		return nil, ErrHeader
	}
	if sum := sha256.Sum256(b[:headerSum]); string(sum[:]) != string(b[headerSum:]) {
		return nil, ErrHeader
	}
	if binary.BigEndian.Uint32(b[versionStart:]) != FormatVersion {
		return nil, ErrVersion
	}
	h := &Header{Repository: [RepositoryBytes]byte(b[idStart:]), Salt: [SaltBytes]byte(b[saltStart:])}
	copy(h.check[:], b[headerCheck:])
	copy(h.bytes[:], b)
	return h, nil
}

// Verify proves the key against the header and the header under the key:
// ErrWrongKey, or ErrHeader where the key is right and the header was changed.
func (h *Header) Verify(key *[KeyBytes]byte) error {
	check := purpose(key, h, labelCheck)
	if subtle.ConstantTimeCompare(check[:], h.check[:]) != 1 {
		return ErrWrongKey
	}
	if !hmac.Equal(h.mac(key, h.bytes[:headerMAC]), h.bytes[headerMAC:headerSum]) {
		return ErrHeader
	}
	return nil
}

func (h *Header) mac(key *[KeyBytes]byte, b []byte) []byte {
	k := purpose(key, h, labelHeader)
	m := hmac.New(sha256.New, k[:])
	m.Write(b)
	return m.Sum(nil)
}
