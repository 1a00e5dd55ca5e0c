package tpm

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"strongroom/hsm/internal/folder"
)

// The keys' file: magic || salt (32) || storage key's point (33) || first NV
// index (4) || sealed root: unique (32), private || count (1) || that many of
// name, use (1), point (33), private || HMAC-SHA256 under the root over all
// before it. A name has its length in one byte before it, a private area in
// two. Nothing in it opens without the TPM.

const (
	keysFile = "tpm.keys"
	lockFile = "tpm.lock"

	keysMagic        = "strongroom tpm 1\n"
	keysFileBytesMax = 16 << 10
	namedMax         = 16
	nameBytesMax     = 64
)

// errSave: the file can not be written. The old one is still there.
var errSave = errors.New("tpm: the HSM's file is not written")

// secret is 32 bytes that refuse to print.
type secret [32]byte

func (secret) String() string   { return "tpm.secret(hidden)" }
func (secret) GoString() string { return "tpm.secret(hidden)" }

// keyring is what must not be lost.
type keyring struct {
	salt    [saltBytes]byte
	storage [pointBytes]byte
	index   uint32 // the first of two NV indexes
	root    sealedRoot
	named   []namedKey
}

type sealedRoot struct {
	unique  [sha256.Size]byte
	private []byte
}

type namedKey struct {
	name string
	use  byte
	key  blob
}

// What a named key is for.
const (
	useMultiply = 1
	useSign     = 3
)

func (n namedKey) purpose() purpose {
	if n.use == useSign {
		return purposeSigning(n.name)
	}
	return purposeNamed(n.name)
}

func (k *keyring) find(name string) (namedKey, bool) {
	for _, n := range k.named {
		if n.name == name {
			return n, true
		}
	}
	return namedKey{}, false
}

func (k *keyring) encode(root secret) []byte {
	b := append([]byte(keysMagic), k.salt[:]...)
	b = append(b, k.storage[:]...)
	b = binary.BigEndian.AppendUint32(b, k.index)
	b = append(b, k.root.unique[:]...)
	b = appendPrivate(b, k.root.private)
	b = append(b, byte(len(k.named)))
	for _, n := range k.named {
		b = append(append(b, byte(len(n.name))), n.name...)
		b = append(append(b, n.use), n.key.point[:]...)
		b = appendPrivate(b, n.key.private)
	}
	return append(b, fileSum(root, b)...)
}

func appendPrivate(b, private []byte) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(private))), private...)
}

func fileSum(root secret, body []byte) []byte {
	key := root.derive("file")
	mac := hmac.New(sha256.New, key[:])
	mac.Write(body)
	return mac.Sum(nil)
}

// checks says whether the file is one that this root's holder wrote.
func (k *keyring) checks(file []byte, root secret) bool {
	return hmac.Equal(k.encode(root), file)
}

// reader takes fields off the front; after a field that is not there, all are
// empty and short is set.
type reader struct {
	rest  []byte
	short bool
}

func (r *reader) take(n int) []byte {
	if n > len(r.rest) {
		r.rest, r.short = nil, true
		return make([]byte, n)
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) private() []byte {
	n := int(binary.BigEndian.Uint16(r.take(2)))
	if n < privateBytesMin || n > privateBytesMax {
		r.short = true
		return nil
	}
	return bytes.Clone(r.take(n))
}

// parseKeys reads a file whose sum was not checked yet: for that the root has
// to be unsealed first. ErrFile: not one of ours.
func parseKeys(file []byte) (k keyring, err error) {
	damaged := fmt.Errorf("%w: %s", ErrFile, keysFile)
	rest, ok := bytes.CutPrefix(file, []byte(keysMagic))
	if !ok || len(file) > keysFileBytesMax {
		return k, damaged
	}
	r := &reader{rest: rest}
	k.salt = [saltBytes]byte(r.take(saltBytes))
	k.storage = [pointBytes]byte(r.take(pointBytes))
	k.index = binary.BigEndian.Uint32(r.take(4))
	k.root.unique = [sha256.Size]byte(r.take(sha256.Size))
	k.root.private = r.private()
	count := int(r.take(1)[0])
	if count > namedMax || k.index < indexFirst || k.index > indexLast {
		return keyring{}, damaged
	}
	for range count {
		n := namedKey{name: string(r.take(int(r.take(1)[0])))}
		n.use = r.take(1)[0]
		n.key.point = [pointBytes]byte(r.take(pointBytes))
		n.key.private = r.private()
		if _, twice := k.find(n.name); twice || r.short || n.name == "" || len(n.name) > nameBytesMax || n.use != useMultiply && n.use != useSign {
			return keyring{}, damaged
		}
		k.named = append(k.named, n)
	}
	r.take(sha256.Size)
	if r.short || len(r.rest) > 0 {
		return keyring{}, damaged
	}
	return k, nil
}

func (h *HSM) save() error { return folder.Replace(h.folder.path(), h.keys.encode(h.root)) }

// place is a folder whose lock this process holds.
type place struct {
	dir  string
	lock *os.File
}

func openFolder(dir string) (*place, error) {
	f, err := folder.Lock(dir, lockFile)
	if errors.Is(err, folder.ErrLocked) {
		return nil, fmt.Errorf("%w: %s", ErrLocked, dir)
	}
	if err != nil {
		return nil, err
	}
	return &place{dir, f}, nil
}

func (f *place) path() string { return filepath.Join(f.dir, keysFile) }

func (f *place) has() (bool, error) {
	_, err := os.Lstat(f.path())
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func (f *place) read() ([]byte, error) {
	file, err := os.ReadFile(f.path())
	if errors.Is(err, os.ErrNotExist) {
		return nil, ErrMissing
	}
	return file, err
}

func (f *place) close() error { return f.lock.Close() }
