package bundle

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// Pin is the SHA-256 of a fleet's document: what a client must know to know
// the fleet. It is public.
type Pin [sha256.Size]byte

// ErrPin: the document is not the pinned one. Somebody shows another fleet.
var ErrPin = errors.New("bundle: the vault shows another fleet than the pinned one")

// ErrPinText: the text is no pin.
var ErrPinText = errors.New("bundle: not a fleet pin")

// A pin is written as pinGroups groups of pinGroupChars: five characters of
// base32 (Crockford's alphabet: no I, L, O, U) and one that checks them, so
// that a slip is told by its group.
const (
	pinGroups     = 11
	pinDataChars  = 5
	pinGroupChars = pinDataChars + 1
	pinAlphabet   = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
)

var pinEncoding = base32.NewEncoding(pinAlphabet).WithPadding(base32.NoPadding)

// PinOf is the pin of a document.
func PinOf(document []byte) Pin { return sha256.Sum256(document) }

// Check gives the pinned fleet, ErrPin or ErrDocument.
func (p Pin) Check(document []byte) (*Fleet, error) {
	if PinOf(document) != p {
		return nil, ErrPin
	}
	return Decode(document)
}

// islandNameBytes of a pin name its island on the way to it.
const islandNameBytes = 8

// IslandName is how requests, relays and files name the island of the pin:
// its first bytes, 16 hex digits. Nobody trusts a name; who is meant is told
// by the whole pin.
func (p Pin) IslandName() string { return hex.EncodeToString(p[:islandNameBytes]) }

// String is the pin as people read it aloud.
func (p Pin) String() string {
	padded := pinEncoding.EncodeToString(p[:]) + p.checkChars()
	groups := make([]string, pinGroups)
	for i := range groups {
		data := padded[i*pinDataChars:][:pinDataChars]
		groups[i] = data + string(checkChar(i, data))
	}
	return strings.Join(groups, "-")
}

// checkChars fill the last group: a check of the whole pin. A group's one
// character misses a slip in 32; then these still tell it, so that a slip of
// the hand is not taken for a vault that shows another fleet.
func (p Pin) checkChars() string {
	sum := sha256.Sum256(append([]byte("strongroom pin"), p[:]...))
	return pinEncoding.EncodeToString(sum[:])[:pinGroups*pinDataChars-pinEncoding.EncodedLen(len(p))]
}

// checkChar depends on the group's number too: swapped groups are told.
func checkChar(group int, data string) byte {
	sum := sha256.Sum256(fmt.Appendf(nil, "strongroom pin %d %s", group, data))
	return pinAlphabet[sum[0]%32]
}

// ParsePin reads what String gives, forgiving case, spaces, missing dashes and
// the letters that look like digits. ErrPinText names the group that is wrong.
func ParsePin(text string) (Pin, error) {
	clean := strings.NewReplacer("-", "", " ", "", "\t", "", "\n", "", "\r", "").Replace(strings.ToUpper(text))
	clean = strings.NewReplacer("O", "0", "I", "1", "L", "1").Replace(clean)
	if len(clean) != pinGroups*pinGroupChars {
		return Pin{}, fmt.Errorf("%w: it has %d characters in %d groups, this has %d", ErrPinText,
			pinGroups*pinGroupChars, pinGroups, len(clean))
	}
	var data strings.Builder
	for i := range pinGroups {
		group := clean[i*pinGroupChars:][:pinGroupChars]
		if checkChar(i, group[:pinDataChars]) != group[pinDataChars] {
			return Pin{}, fmt.Errorf("%w: group %d, %q, holds a slip", ErrPinText, i+1, group)
		}
		data.WriteString(group[:pinDataChars])
	}
	n := pinEncoding.EncodedLen(len(Pin{}))
	b, err := pinEncoding.DecodeString(data.String()[:n])
	if err != nil || len(b) != len(Pin{}) || Pin(b).String() != regroup(clean) {
		return Pin{}, fmt.Errorf("%w: it holds more than one slip, or a group of another pin", ErrPinText)
	}
	return Pin(b), nil
}

func regroup(clean string) string {
	var groups []string
	for ; len(clean) > 0; clean = clean[pinGroupChars:] {
		groups = append(groups, clean[:pinGroupChars])
	}
	return strings.Join(groups, "-")
}
