package seal

import (
	"crypto/rand"
	"encoding/binary"
)

// Part says what a sealed part of a pack is. It is bound as associated data,
// so that no part passes for another.
type Part uint8

// Parts of a pack.
const (
	PartSegment Part = 1
	PartPadding Part = 2
	PartTable   Part = 3
	PartTrailer Part = 4
)

// Pack is the key of one pack: it seals and opens the pack's parts. It is
// for one goroutine while it seals; Open may be called from many.
type Pack struct {
	secret secret
	salt   [SaltBytes]byte
	next   uint32 // no part is sealed below this offset again
}

// NewPack draws the key of a new pack called name ("p/...").
func (k *Keys) NewPack(name string) *Pack {
	var salt [SaltBytes]byte
	rand.Read(salt[:])
	return &Pack{secret: k.derive(labelPack, name, salt), salt: salt, next: FrameBytes}
}

// KnownPack is the key of a pack whose salt an authenticated index tells, so
// that a segment is read without the pack's frame.
func (k *Keys) KnownPack(name string, salt [SaltBytes]byte) *Pack {
	return &Pack{secret: k.derive(labelPack, name, salt), salt: salt, next: ^uint32(0)}
}

// OpenPack reads the pack's frame: the first FrameBytes of it.
func (k *Keys) OpenPack(name string, frame []byte) (*Pack, error) {
	s, err := k.openFrame(labelPack, magicPack, name, frame)
	if err != nil {
		return nil, err
	}
	return &Pack{secret: s, salt: [SaltBytes]byte(frame[prefixBytes:]), next: ^uint32(0)}, nil
}

// Salt is what KnownPack needs.
func (p *Pack) Salt() [SaltBytes]byte { return p.salt }

// Frame is the pack's first FrameBytes.
func (p *Pack) Frame() []byte {
	return p.secret.frame(magicPack, p.salt, make([]byte, 0, FrameBytes))
}

// SegmentPlace is the associated data of a segment.
func SegmentPlace(kind Kind, id ID) []byte {
	return append([]byte{byte(PartSegment), byte(kind)}, id[:]...)
}

// PartPlace is the associated data of a part that there is once a pack.
func PartPlace(part Part) []byte { return []byte{byte(part)} }

// Seal appends the sealed plaintext to dst; offset is where in the pack the
// sealed bytes begin. dst may be plaintext[:0] with room for the tag.
//
// The nonce is the offset. Attack: two plaintexts under one nonce give away
// the authentication key. Stop: offsets only grow, and a pack's key is drawn
// for this pack alone.
func (p *Pack) Seal(dst []byte, offset uint32, place, plaintext []byte) ([]byte, error) {
	if offset < p.next {
		return nil, ErrOffset
	}
	p.next = offset + uint32(len(plaintext)) + TagBytes
	return p.secret.aead.Seal(dst, nonce(offset), plaintext, place), nil
}

// Open appends the plaintext of the sealed bytes found at offset to dst; dst
// may be sealed[:0]. ErrOpen.
func (p *Pack) Open(dst []byte, offset uint32, place, sealed []byte) ([]byte, error) {
	out, err := p.secret.aead.Open(dst, nonce(offset), sealed, place)
	if err != nil {
		return nil, ErrOpen
	}
	return out, nil
}

// nonce is the offset as a 96-bit big-endian number.
func nonce(offset uint32) []byte {
	n := make([]byte, nonceBytes)
	binary.BigEndian.PutUint32(n[nonceBytes-4:], offset)
	return n
}
