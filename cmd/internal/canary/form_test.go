//go:build linux

package canary

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"
)

// secret is one canary.
type secret struct {
	name  string // "anna's password"
	bytes []byte // at least secretBytesMin
}

const (
	secretBytesMin = 12
	prefixBytes    = 8 // by which a form is found
)

// forms are the ways in which a program may write a secret down.
func forms(b []byte) map[string][]byte {
	all := map[string][]byte{
		"raw":         b,
		"hex":         []byte(hex.EncodeToString(b)),
		"HEX":         []byte(strings.ToUpper(hex.EncodeToString(b))),
		"hex groups":  []byte(groups(hex.EncodeToString(b))), // as a person writes a key
		"decimal":     []byte(strings.Trim(fmt.Sprint(b), "[]")),
		"decimal Go":  []byte(strings.ReplaceAll(strings.Trim(fmt.Sprint(b), "[]"), " ", ", ")),
		"hex Go":      []byte(strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", b), "[]byte{"), "}")),
		"JSON number": []byte(strings.ReplaceAll(strings.Trim(fmt.Sprint(b), "[]"), " ", ",")),
	}
	for order, put := range map[string]binary.AppendByteOrder{"LE": binary.LittleEndian, "BE": binary.BigEndian} {
		var wide []byte
		for _, unit := range utf16.Encode([]rune(string(b))) {
			wide = put.AppendUint16(wide, unit)
		}
		all["UTF-16"+order] = wide
	}
	for name, encoding := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64url": base64.RawURLEncoding} {
		for offset := range 3 { // of the secret in what was encoded
			// Only digits that the secret alone decides.
			digits := encoding.EncodeToString(append(make([]byte, offset), b...))
			first := (8*offset + 5) / 6
			all[fmt.Sprintf("%s at %d", name, offset)] = []byte(digits[first : 8*(offset+len(b))/6])
		}
	}
	return all
}

func groups(digits string) string {
	var b strings.Builder
	for i := 0; i < len(digits); i += 4 {
		b.WriteString(digits[i:min(i+4, len(digits))] + " ")
	}
	return strings.TrimSpace(b.String())
}

// searcher finds all forms of all secrets in one pass over any bytes.
type searcher struct {
	patterns map[uint64][]pattern // by their first prefixBytes
	maybe    [1 << 16]uint64      // a set of 22-bit hashes of such prefixes
	overlap  int                  // the longest form, less one
	secrets  int
}

type pattern struct {
	form   string
	bytes  []byte
	secret *secret
}

const hashBits = 22

func hashOf(prefix uint64) uint64 { return prefix * 0x9e3779b97f4a7c15 >> (64 - hashBits) }

func newSearcher(secrets []*secret) *searcher {
	s := &searcher{patterns: map[uint64][]pattern{}, secrets: len(secrets)}
	for _, c := range secrets {
		if len(c.bytes) < secretBytesMin {
			panic("a canary that is too short: " + c.name)
		}
		for form, b := range forms(c.bytes) {
			if len(b) < prefixBytes {
				panic("a form that is too short: " + form)
			}
			p := binary.LittleEndian.Uint64(b)
			s.patterns[p] = append(s.patterns[p], pattern{form, b, c})
			s.maybe[hashOf(p)>>6] |= 1 << (hashOf(p) & 63)
			s.overlap = max(s.overlap, len(b)-1)
		}
	}
	return s
}

// find calls found for each form in data.
func (s *searcher) find(data []byte, found func(p pattern, at int)) {
	for i := 0; i+prefixBytes <= len(data); i++ {
		prefix := binary.LittleEndian.Uint64(data[i:])
		h := hashOf(prefix)
		if s.maybe[h>>6]>>(h&63)&1 == 0 {
			continue
		}
		for _, p := range s.patterns[prefix] {
			if bytes.HasPrefix(data[i:], p.bytes) {
				found(p, i)
			}
		}
	}
}

// TestEveryFormIsFound, wherever it begins and whatever stands around it.
func TestEveryFormIsFound(t *testing.T) {
	c := &secret{"key", []byte("k\x00e\xffy-0123456789-ABCDEF")}
	text := &secret{"password", []byte("correct horse battery")}
	s := newSearcher([]*secret{c, text})
	tried := 0
	for _, planted := range []*secret{c, text} {
		for form, b := range forms(planted.bytes) {
			if form[:3] == "UTF" && planted == c {
				continue // it is no text
			}
			for at := range 9 {
				data := append(bytes.Repeat([]byte{'x'}, at), b...)
				data = append(data, "yyyyyyyy"...)
				hit := false
				s.find(data, func(p pattern, i int) { hit = hit || p.secret == planted && i == at })
				if !hit {
					t.Errorf("%s as %s at %d: not found", planted.name, form, at)
				}
				s.find(data[:len(data)-9], func(p pattern, _ int) {
					if p.form == form {
						t.Errorf("%s as %s, one byte short: found", planted.name, form)
					}
				})
				tried++
			}
		}
		// As encoders write it, in the middle of something.
		for offset := range 7 {
			whole := append(append(bytes.Repeat([]byte{0xa5}, offset), planted.bytes...), "tail"...)
			for name, encoded := range map[string]string{
				"base64": base64.StdEncoding.EncodeToString(whole), "base64url": base64.URLEncoding.EncodeToString(whole),
				"%x": fmt.Sprintf("%x", whole), "%v": fmt.Sprint(whole), "%#v": fmt.Sprintf("%#v", whole),
			} {
				hit := false
				s.find([]byte(encoded), func(p pattern, _ int) { hit = hit || p.secret == planted })
				if !hit {
					t.Errorf("%s in %s at %d: not found", planted.name, name, offset)
				}
				tried++
			}
		}
	}
	if tried < 300 {
		t.Errorf("only %d tried", tried)
	}
}
