package soft

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"

	"golang.org/x/crypto/argon2"

	"strongroom/vault/hal"
)

// The keys' file: magic || stretch (9) || salt (32) || sealed keyring.

const (
	keysMagic      = "strongroom hsm 1\n"
	keyringVersion = 1
	stretchBytes   = 9

	stretchTimeMax      = 64
	stretchMemoryKiBMax = 4 << 20
	keysFileBytesMax    = 1 << 20
)

// Stretch holds the Argon2id parameters (RFC 9106) of the passphrase.
type Stretch struct {
	Time      uint32
	MemoryKiB uint32
	Threads   uint8
}

var (
	// Default follows RFC 9106 §4, second recommendation.
	Default = Stretch{Time: 3, MemoryKiB: 64 << 10, Threads: 4}
	// Cheap is for tests.
	Cheap = Stretch{Time: 1, MemoryKiB: 8, Threads: 1}
)

// secret is 32 bytes that refuse to print.
type secret [32]byte

func (secret) String() string   { return "soft.secret(hidden)" }
func (secret) GoString() string { return "soft.secret(hidden)" }

// keyring is everything that must not be lost.
type keyring struct {
	Version int
	Root    secret
	Named   map[string]namedKey

	// Of an island of several boxes.
	Wrap     secret `json:",omitzero"`  // wraps OPRF keys, in the place of what Root gives
	Movable  bool   `json:",omitempty"` // and the named keys that move may be taken out
	Transfer []byte `json:",omitempty"` // the private half of the transfer key, if there is one
}

type namedKey struct {
	Group  hal.Group
	Scalar secret
	Signs  bool `json:",omitempty"` // and multiplies nothing
	Moves  bool `json:",omitempty"` // while the keyring is movable
}

// subkeys are what Root is used for: one purpose each.
type subkeys struct{ wrap, seal, memory, epochs secret }

func (s secret) derive() (*subkeys, error) {
	k := new(subkeys)
	for label, into := range map[string]*secret{"wrap": &k.wrap, "seal": &k.seal, "memory": &k.memory, "epochs": &k.epochs} {
		b, err := hkdf.Key(sha256.New, s[:], nil, "strongroom/v1/soft/"+label, len(into))
		if err != nil {
			return nil, err
		}
		copy(into[:], b)
	}
	return k, nil
}

// kek is the stretched passphrase, kept so that a changed keyring can be
// written again.
type kek struct {
	stretch Stretch
	salt    [32]byte
	key     secret
}

func newKEK(passphrase []byte, s Stretch) (*kek, error) {
	k := &kek{stretch: s}
	if _, err := rand.Read(k.salt[:]); err != nil {
		return nil, err
	}
	return k, k.unlock(passphrase)
}

func (k *kek) unlock(passphrase []byte) error {
	s := k.stretch
	if s.Time < 1 || s.Time > stretchTimeMax || s.Threads < 1 || s.MemoryKiB < 8*uint32(s.Threads) || s.MemoryKiB > stretchMemoryKiBMax {
		return fmt.Errorf("%w: stretching parameters out of range", ErrFile)
	}
	copy(k.key[:], argon2.IDKey(passphrase, k.salt[:], s.Time, s.MemoryKiB, s.Threads, uint32(len(k.key))))
	return nil
}

// header is what stands in clear; it is authenticated with the keyring.
func (k *kek) header() []byte {
	b := []byte(keysMagic)
	b = binary.BigEndian.AppendUint32(b, k.stretch.Time)
	b = binary.BigEndian.AppendUint32(b, k.stretch.MemoryKiB)
	b = append(b, k.stretch.Threads)
	return append(b, k.salt[:]...)
}

func (k *kek) seal(r keyring) ([]byte, error) {
	plaintext, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	header := k.header()
	sealed, err := sealOnce(k.key, header, plaintext)
	return append(header, sealed...), err
}

// openKeys reads the keys' file. ErrFile: it is not one of ours or damaged;
// hal.ErrSecret: its form is right and it does not open.
func openKeys(file, passphrase []byte) (*kek, keyring, error) {
	k := new(kek)
	rest, ok := bytes.CutPrefix(file, []byte(keysMagic))
	if !ok || len(rest) < stretchBytes+len(k.salt) || len(file) > keysFileBytesMax {
		return nil, keyring{}, fmt.Errorf("%w: %s", ErrFile, keysFile)
	}
	k.stretch = Stretch{binary.BigEndian.Uint32(rest), binary.BigEndian.Uint32(rest[4:]), rest[8]}
	copy(k.salt[:], rest[stretchBytes:])
	if err := k.unlock(passphrase); err != nil {
		return nil, keyring{}, err
	}
	plaintext, err := openOnce(k.key, k.header(), rest[stretchBytes+len(k.salt):])
	if err != nil {
		return nil, keyring{}, hal.ErrSecret
	}
	var r keyring
	d := json.NewDecoder(bytes.NewReader(plaintext))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil || r.Version != keyringVersion || r.Named == nil {
		return nil, keyring{}, fmt.Errorf("%w: %s was written by another version", ErrFile, keysFile)
	}
	return k, r, nil
}
