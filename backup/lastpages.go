package backup

import (
	"bufio"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
)

// lastPages is what the index pages of a database were at the last backup, so
// that the next one can say what changed within them: an index changes all
// over, a little in each page. It is a cache in the local state: a page
// counts only if it has the hash that the repository's has.
//
// It is sealed, since it holds what a message was after the messenger deleted
// it: a page is AES-256-GCM under a key of its own from K, with a random nonce
// (NIST SP 800-38D section 8.2.2), in one file: sealed pages, back to back; the
// numbers of the pages, ascending, 4 bytes each; how many they are, 4 bytes.
type lastPages struct {
	file    *os.File
	aead    cipher.AEAD
	size    int // of a sealed page
	numbers []uint32
	buf     []byte // a sealed page
}

const (
	lastPagesPrefix = "pages-"
	newSuffix       = ".new"
)

func lastPagesFile(path string) string { return lastPagesPrefix + imageFile(path)[len(imagePrefix):] }

func (r *Repository) lastPagesAEAD() (cipher.AEAD, error) {
	c, err := aes.NewCipher(r.pagesKey[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(c)
}

// openLastPages opens what the state has of a database; nil for nothing.
func (r *Repository) openLastPages(s *state, path string, pageBytes uint32) *lastPages {
	f, err := os.Open(filepath.Join(s.folder, lastPagesFile(path)))
	if err != nil {
		return nil
	}
	l := &lastPages{file: f}
	if l.aead, err = r.lastPagesAEAD(); err == nil {
		l.size = int(pageBytes) + l.aead.Overhead()
		l.buf = make([]byte, l.size)
		err = l.readNumbers()
	}
	if err != nil {
		f.Close()
		return nil
	}
	return l
}

var errLastPages = errors.New("backup: not the last pages of this database")

const numberBytes = 4

func (l *lastPages) readNumbers() error {
	info, err := l.file.Stat()
	if err != nil {
		return err
	}
	var end [numberBytes]byte
	if _, err := l.file.ReadAt(end[:], info.Size()-numberBytes); err != nil {
		return err
	}
	n := int64(binary.BigEndian.Uint32(end[:]))
	if info.Size() != n*int64(l.size+numberBytes)+numberBytes {
		return errLastPages
	}
	b := make([]byte, n*numberBytes)
	if _, err := l.file.ReadAt(b, n*int64(l.size)); err != nil {
		return err
	}
	for ; len(b) > 0; b = b[numberBytes:] {
		l.numbers = append(l.numbers, binary.BigEndian.Uint32(b))
	}
	return nil
}

// sealed reads a page as it lies in the file.
func (l *lastPages) sealed(number uint32, buf []byte) bool {
	if l == nil {
		return false
	}
	i, ok := slices.BinarySearch(l.numbers, number)
	if ok {
		_, err := l.file.ReadAt(buf[:l.size], int64(i)*int64(l.size))
		ok = err == nil
	}
	return ok
}

func (l *lastPages) has(number uint32) bool {
	if l == nil {
		return false
	}
	_, ok := slices.BinarySearch(l.numbers, number)
	return ok
}

// page appends a page to b; ok if it is there and opens.
func (l *lastPages) page(b []byte, number uint32) (out []byte, ok bool) {
	if !l.sealed(number, l.buf) {
		return b, false
	}
	out, err := l.aead.Open(b, nil, l.buf, nil)
	return out, err == nil
}

func (l *lastPages) close() {
	if l != nil {
		l.file.Close()
	}
}

// lastPagesWriter writes the file anew beside the old one, which counts until
// the backup is done. A disk that does not take it costs the next backup bytes.
type lastPagesWriter struct {
	lastPages
	old  *lastPages
	path string // in the end
	out  *bufio.Writer
	bad  error
}

func (r *Repository) newLastPages(s *state, path string, pageBytes uint32, old *lastPages) *lastPagesWriter {
	w := &lastPagesWriter{old: old, path: filepath.Join(s.folder, lastPagesFile(path))}
	if w.aead, w.bad = r.lastPagesAEAD(); w.bad != nil {
		return w
	}
	w.size = int(pageBytes) + w.aead.Overhead()
	if w.file, w.bad = os.OpenFile(w.path+newSuffix, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600); w.bad == nil {
		w.out, w.buf = bufio.NewWriterSize(w.file, stateBufferBytes), make([]byte, w.size)
	}
	return w
}

// add adds a page, which comes after those before; one that is as it was last
// time is taken from there.
func (w *lastPagesWriter) add(number uint32, page []byte, same bool) {
	if w.bad != nil {
		return
	}
	if !same || !w.old.sealed(number, w.buf) {
		w.buf = w.aead.Seal(w.buf[:0], nil, page, nil)
	}
	w.numbers = append(w.numbers, number)
	_, w.bad = w.out.Write(w.buf)
}

// end closes the file, of which nothing counts yet.
func (w *lastPagesWriter) end() {
	if w.file == nil {
		return
	}
	b := make([]byte, 0, (len(w.numbers)+1)*numberBytes)
	for _, n := range append(w.numbers, uint32(len(w.numbers))) {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	if w.bad == nil {
		_, w.bad = w.out.Write(b)
	}
	if w.bad == nil {
		w.bad = w.out.Flush()
	}
	w.bad = errors.Join(w.bad, w.file.Close())
	w.numbers = nil
	if w.bad != nil {
		os.Remove(w.path + newSuffix)
	}
}

// keep puts the file in the old one's place.
func (w *lastPagesWriter) keep() {
	if w.bad == nil {
		os.Rename(w.path+newSuffix, w.path)
	}
}
