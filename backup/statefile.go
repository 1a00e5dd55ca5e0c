package backup

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"os"
	"path/filepath"

	"github.com/fxamacker/cbor/v2"
)

// A state's file is the HMAC-SHA256 of all behind it, the version in a byte,
// the root's full path in CBOR, and one CBOR map for each file that was seen,
// in ascending order of their paths below it.

var stateDecoding = func() cbor.DecMode {
	m, err := cbor.DecOptions{UTF8: cbor.UTF8DecodeInvalid, MaxArrayElements: 1 << 26}.DecMode()
	if err != nil {
		panic(err) // only options out of range can fail
	}
	return m
}()

const stateBufferBytes = 64 << 10

// stateFile names the file of a root.
func stateFile(root string) string {
	sum := sha256.Sum256([]byte(root))
	return statePrefix + "-" + hex.EncodeToString(sum[:16])
}

// stateReader reads the file of one root.
type stateReader struct {
	root string
	f    io.ReadSeeker
	in   *cbor.Decoder
	last string
	any  bool
}

var errStateFile = errors.New("backup: not a state of this repository")

// openStateReader begins to read. The file is gone through twice: nothing of it
// is looked at before its checksum under K was right. step is called now and
// then.
func (s *state) openStateReader(f io.ReadSeeker, step func()) (*stateReader, error) {
	var sum [sha256.Size]byte
	if _, err := io.ReadFull(f, sum[:]); err != nil {
		return nil, err
	}
	m := hmac.New(sha256.New, s.key[:])
	for {
		n, err := io.CopyN(m, f, 16*stateBufferBytes)
		step()
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		if n < 16*stateBufferBytes {
			break
		}
	}
	if !hmac.Equal(sum[:], m.Sum(nil)) {
		return nil, errStateFile
	}
	if _, err := f.Seek(int64(len(sum)), io.SeekStart); err != nil {
		return nil, err
	}
	in := bufio.NewReaderSize(f, stateBufferBytes)
	if version, err := in.ReadByte(); err != nil || version != stateVersion {
		return nil, errStateFile
	}
	r := &stateReader{f: f, in: stateDecoding.NewDecoder(in)}
	return r, r.in.Decode(&r.root)
}

// next gives the next file that was seen, nil at the end. What does not
// follow in order is an end too: a state is only a cache.
func (r *stateReader) next() *seen {
	x := &seen{}
	if r.in.Decode(x) != nil || r.any && x.Path <= r.last {
		return nil
	}
	r.last, r.any = x.Path, true
	return x
}

func (r *stateReader) close() {
	if f, ok := r.f.(*os.File); ok {
		f.Close()
	}
}

// stateWriter writes the file of one root, which replaces the one before when
// it is kept.
type stateWriter struct {
	path string
	f    *os.File
	mac  hash.Hash
	out  *bufio.Writer
	text bytes.Buffer
	last string
	any  bool
}

// begin begins to write the state of a root. It is not synced: a torn one
// does not check.
func (s *state) begin(root string) (*stateWriter, error) {
	w := &stateWriter{path: filepath.Join(s.folder, stateFile(root)), mac: hmac.New(sha256.New, s.key[:])}
	var err error
	if w.f, err = os.OpenFile(w.path+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600); err != nil {
		return nil, err
	}
	if _, err = w.f.Write(make([]byte, sha256.Size)); err != nil { // the sum comes last
		w.drop()
		return nil, err
	}
	w.out = bufio.NewWriterSize(io.MultiWriter(w.f, w.mac), stateBufferBytes)
	w.out.WriteByte(stateVersion)
	return w, w.encode(root)
}

func (w *stateWriter) encode(v any) error {
	w.text.Reset()
	if err := cbor.MarshalToBuffer(v, &w.text); err != nil {
		return err
	}
	_, err := w.out.Write(w.text.Bytes())
	return err
}

// add appends one file. One that is not behind those before it is left out:
// it is read again next time.
func (w *stateWriter) add(x *seen) error {
	if w.any && x.Path <= w.last {
		return nil
	}
	w.last, w.any = x.Path, true
	return w.encode(x)
}

// keep ends the file and puts it in the place of the one before.
func (w *stateWriter) keep() error {
	err := w.out.Flush()
	if err == nil {
		_, err = w.f.WriteAt(w.mac.Sum(nil), 0)
	}
	if err = errors.Join(err, w.f.Close()); err != nil {
		os.Remove(w.path + ".new")
		return err
	}
	return os.Rename(w.path+".new", w.path)
}

// drop gives up.
func (w *stateWriter) drop() {
	w.f.Close()
	os.Remove(w.path + ".new")
}
