package backup

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"io"
	"iter"
	"os"
	"path/filepath"

	"github.com/fxamacker/cbor/v2"
)

// The state's file is the HMAC-SHA256 of all behind it, the version in a
// byte, and one CBOR map for each file that was seen. It is written and read
// piece by piece: of a million files it is larger than a backup may be.

var stateDecoding = func() cbor.DecMode {
	m, err := cbor.DecOptions{UTF8: cbor.UTF8DecodeInvalid, MaxArrayElements: 1 << 26}.DecMode()
	if err != nil {
		panic(err) // only options out of range can fail
	}
	return m
}()

// load reads the state's file. What does not check says nothing.
func (s *state) load() {
	f, err := os.Open(filepath.Join(s.folder, stateFile))
	if err != nil {
		return
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Size() > stateBytesMax {
		return
	}
	all := map[string]*seen{}
	if s.parse(f, func(x *seen) { all[x.Path] = x }) == nil {
		s.seen = all
	}
}

var errStateFile = errors.New("backup: not a state of this repository")

// parse gives each thing that a state file tells. The file is gone through
// twice: nothing of it is looked at before its checksum under K was right.
func (s *state) parse(f io.ReadSeeker, each func(*seen)) error {
	var sum [sha256.Size]byte
	if _, err := io.ReadFull(f, sum[:]); err != nil {
		return err
	}
	m := hmac.New(sha256.New, s.key[:])
	if _, err := io.Copy(m, f); err != nil {
		return err
	}
	if !hmac.Equal(sum[:], m.Sum(nil)) {
		return errStateFile
	}
	if _, err := f.Seek(int64(len(sum)), io.SeekStart); err != nil {
		return err
	}
	in := bufio.NewReaderSize(f, stateBufferBytes)
	if version, err := in.ReadByte(); err != nil || version != stateVersion {
		return errStateFile
	}
	d := stateDecoding.NewDecoder(in)
	for {
		var x seen
		err := d.Decode(&x)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		each(&x)
	}
}

const stateBufferBytes = 64 << 10

// save replaces the state by all.
func (s *state) save(all iter.Seq[*seen]) (err error) {
	path := filepath.Join(s.folder, stateFile)
	f, err := os.OpenFile(path+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(s.encode(f, all), f.Close()); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// encode writes what parse reads.
func (s *state) encode(f io.WriteSeeker, all iter.Seq[*seen]) error {
	if _, err := f.Write(make([]byte, sha256.Size)); err != nil { // the sum comes last
		return err
	}
	m := hmac.New(sha256.New, s.key[:])
	out := bufio.NewWriterSize(io.MultiWriter(f, m), stateBufferBytes)
	out.WriteByte(stateVersion)
	var text bytes.Buffer
	for x := range all {
		text.Reset()
		if err := cbor.MarshalToBuffer(x, &text); err != nil {
			return err
		}
		out.Write(text.Bytes())
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	_, err := f.Write(m.Sum(nil))
	return err
}
