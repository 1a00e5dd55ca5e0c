package pack

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
)

// A second writer of the format, made from spec/repository.md alone and
// sharing no code with the first: HKDF from HMAC, CBOR by hand, BLAKE3 from
// its paper. The vectors are its output.

type reference struct {
	key, repository, salt []byte
}

// hkdf is RFC 5869.
func (v reference) hkdf(secret, salt []byte, info string, n int) []byte {
	mac := func(key, data []byte) []byte { m := hmac.New(sha256.New, key); m.Write(data); return m.Sum(nil) }
	prk := mac(salt, secret)
	var out, block []byte
	for i := byte(1); len(out) < n; i++ {
		block = mac(prk, append(append(slices.Clone(block), info...), i))
		out = append(out, block...)
	}
	return out[:n]
}

func (v reference) purpose(what string) []byte {
	return v.hkdf(v.key, v.salt, "strongroom/v1/backup/"+what+string(v.repository), 32)
}

func (v reference) header() []byte {
	b := []byte("strongroom repo\n\x00\x00\x00\x01")
	b = append(append(append(b, v.repository...), v.salt...), v.purpose("check")...)
	m := hmac.New(sha256.New, v.purpose("header"))
	m.Write(b)
	b = m.Sum(b)
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

func (v reference) gcm(what, name string, salt []byte) (cipher.AEAD, []byte) {
	b := v.hkdf(v.purpose("seal"), salt, "strongroom/v1/backup/"+what+string(v.repository)+name, 64)
	block, _ := aes.NewCipher(b[:32])
	aead, _ := cipher.NewGCM(block)
	return aead, b[32:]
}

// object seals plain, which is the whole plaintext with length and zeros.
func (v reference) object(name string, salt, plain []byte) []byte {
	aead, commitment := v.gcm("object", name, salt)
	frame := append(append([]byte("sr-seal\x01"), salt...), commitment...)
	return aead.Seal(slices.Clone(frame), make([]byte, 12), plain, frame)
}

// plain is a body with its length and padding.
func (v reference) plain(body []byte) []byte {
	n := max(v.padme(72+4+len(body)+16), 1024) - 72 - 16
	b := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	b = append(b, body...)
	return append(b, make([]byte, n-len(b))...)
}

// padme is the paper's formula, by floating point.
func (v reference) padme(n int) int {
	if n < 2 {
		return n
	}
	e := int(math.Floor(math.Log2(float64(n))))
	s := int(math.Floor(math.Log2(float64(e)))) + 1
	unit := int(math.Exp2(float64(e - s)))
	return (n + unit - 1) / unit * unit
}

type refSegment struct {
	Kind   byte   `json:"kind"`
	Plain  string `json:"plaintext"` // hex
	Stored string `json:"stored"`    // hex
	ID     string `json:"id"`        // hex
}

// packParts are what a reference pack is made of; tests change one.
type packParts struct {
	ids     [][]byte
	kinds   []byte
	raws    []int
	stored  [][]byte
	table   []byte // its plaintext
	pad     []byte
	trailer [4]uint32
}

func (v reference) parts(segments []packPart) packParts {
	var p packParts
	at := 72
	table := append(cborHead(5, 2), 1, 1, 2)
	table = append(table, cborHead(4, len(segments))...)
	for _, s := range segments {
		id := v.id(s.kind, s.plain)
		p.ids, p.kinds, p.raws, p.stored = append(p.ids, id), append(p.kinds, s.kind), append(p.raws, len(s.plain)), append(p.stored, s.stored)
		at += len(s.stored) + 16
		table = append(append(table, 0x84), cborBytes(id)...)
		table = append(table, cborHead(0, int(s.kind))...)
		table = append(table, cborHead(0, len(s.plain))...)
		table = append(table, cborHead(0, len(s.stored)+16)...)
	}
	tail := len(table) + 16 + 16 + 16
	size := v.padme(at + 16 + tail)
	p.table, p.pad = table, make([]byte, size-tail-at-16)
	p.trailer = [4]uint32{uint32(size - tail), uint32(len(table) + 16), uint32(len(segments)), uint32(size)}
	return p
}

type packPart struct {
	kind          byte
	plain, stored []byte
}

func (v reference) pack(name string, salt []byte, p packParts) []byte {
	aead, commitment := v.gcm("pack", name, salt)
	b := append(append([]byte("sr-pack\x01"), salt...), commitment...)
	seal := func(plain []byte, aad ...byte) {
		n := make([]byte, 12)
		binary.BigEndian.PutUint64(n[4:], uint64(len(b)))
		b = aead.Seal(b, n, plain, aad)
	}
	for i := range p.ids {
		seal(p.stored[i], append([]byte{1, p.kinds[i]}, p.ids[i]...)...)
	}
	seal(p.pad, 2)
	seal(p.table, 3)
	var t []byte
	for _, x := range p.trailer {
		t = binary.BigEndian.AppendUint32(t, x)
	}
	seal(t, 4)
	return b
}

func (v reference) id(kind byte, plain []byte) []byte {
	return blake3Keyed(v.purpose("id"), append(slices.Clone(plain), kind))
}

func (v reference) headName(device []byte, sequence uint64) []byte {
	m := hmac.New(sha256.New, v.purpose("name"))
	m.Write(binary.BigEndian.AppendUint64(slices.Clone(device), sequence))
	return m.Sum(nil)[:16]
}

// cborHead is RFC 8949 section 3, the shortest form.
func cborHead(major byte, n int) []byte {
	m := major << 5
	switch {
	case n < 24:
		return []byte{m | byte(n)}
	case n < 1<<8:
		return []byte{m | 24, byte(n)}
	case n < 1<<16:
		return binary.BigEndian.AppendUint16([]byte{m | 25}, uint16(n))
	case n < 1<<32:
		return binary.BigEndian.AppendUint32([]byte{m | 26}, uint32(n))
	}
	return binary.BigEndian.AppendUint64([]byte{m | 27}, uint64(n))
}

func cborBytes(b []byte) []byte { return append(cborHead(2, len(b)), b...) }
func cborText(s string) []byte  { return append(cborHead(3, len(s)), s...) }

// cborArray and cborMap join encoded items; a map's keys are 1, 2, ...
func cborArray(items ...[]byte) []byte {
	return append(cborHead(4, len(items)), slices.Concat(items...)...)
}

func cborMap(items ...[]byte) []byte {
	b := cborHead(5, len(items))
	for i, x := range items {
		b = append(append(b, cborHead(0, i+1)...), x...)
	}
	return b
}

// blake3Keyed is BLAKE3's keyed_hash for inputs of at most one chunk (1024
// bytes), from the paper's sections 2.1 to 2.6.
func blake3Keyed(key, in []byte) []byte {
	if len(in) > 1024 {
		panic("more than one chunk")
	}
	const chunkStart, chunkEnd, root, keyedHash = 1, 2, 8, 16
	var cv [8]uint32
	for i := range cv {
		cv[i] = binary.LittleEndian.Uint32(key[4*i:])
	}
	flags := uint32(keyedHash | chunkStart)
	for {
		block := make([]byte, 64)
		n := copy(block, in)
		in = in[n:]
		if len(in) == 0 {
			flags |= chunkEnd | root
		}
		cv = blake3Compress(cv, block, uint32(n), flags)
		flags = keyedHash
		if len(in) == 0 {
			break
		}
	}
	var out []byte
	for _, w := range cv {
		out = binary.LittleEndian.AppendUint32(out, w)
	}
	return out
}

func blake3Compress(cv [8]uint32, block []byte, n, flags uint32) [8]uint32 {
	iv := [4]uint32{0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A}
	var m [16]uint32
	for i := range m {
		m[i] = binary.LittleEndian.Uint32(block[4*i:])
	}
	v := [16]uint32{cv[0], cv[1], cv[2], cv[3], cv[4], cv[5], cv[6], cv[7], iv[0], iv[1], iv[2], iv[3], 0, 0, n, flags}
	g := func(a, b, c, d int, x, y uint32) {
		v[a] += v[b] + x
		v[d] = bits.RotateLeft32(v[d]^v[a], -16)
		v[c] += v[d]
		v[b] = bits.RotateLeft32(v[b]^v[c], -12)
		v[a] += v[b] + y
		v[d] = bits.RotateLeft32(v[d]^v[a], -8)
		v[c] += v[d]
		v[b] = bits.RotateLeft32(v[b]^v[c], -7)
	}
	order := [16]int{2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8}
	for range 7 {
		for i := range 4 {
			g(i, 4+i, 8+i, 12+i, m[2*i], m[2*i+1])
		}
		for i := range 4 {
			g(i, 4+(i+1)%4, 8+(i+2)%4, 12+(i+3)%4, m[8+2*i], m[9+2*i])
		}
		was := m
		for i := range m {
			m[i] = was[order[i]]
		}
	}
	var out [8]uint32
	for i := range out {
		out[i] = v[i] ^ v[i+8]
	}
	return out
}
