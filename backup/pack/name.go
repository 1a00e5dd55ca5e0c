package pack

import (
	"crypto/rand"
	"encoding/hex"
	"strings"

	"strongroom/backup/seal"
)

// Name is the random part of an object's name.
type Name [seal.NameBytes]byte

// Names of objects in the storage.
const (
	headerA        = "header-a"
	headerB        = "header-b"
	prefixPack     = "p/"
	prefixIndex    = "i/"
	prefixManifest = "m/"
	prefixHead     = "h/"
	copyA          = "-a" // a manifest is stored twice
	copyB          = "-b"
)

func newName() (n Name) {
	rand.Read(n[:])
	return n
}

func (n Name) under(prefix string) string { return prefix + hex.EncodeToString(n[:]) }

// parseName is the inverse of under.
func parseName(object, prefix, suffix string) (n Name, ok bool) {
	s, found := strings.CutPrefix(object, prefix)
	s, ends := strings.CutSuffix(s, suffix)
	if !found || !ends || len(s) != 2*len(n) || strings.ToLower(s) != s {
		return n, false
	}
	_, err := hex.Decode(n[:], []byte(s))
	return n, err == nil
}
