package node

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// disk is the folder of a log, as small as it can be, so that a test can make
// every one of these calls fail.
type disk interface {
	list() ([]string, error)          // names of the segments, in order
	open(name string) (file, error)   // an existing one, to read and write
	create(name string) (file, error) // a new one
	remove(name string) error
	put(name string, b []byte) error // a file beside the segments, in the place of an older one
	syncFolder() error               // makes names durable
}

// file is one segment.
type file interface {
	io.ReaderAt
	io.WriterAt
	Size() (int64, error)
	Truncate(bytes int64) error
	Sync() error // data and length are on stable storage when it returns nil
	Close() error
}

const (
	segmentSuffix = ".log"
	tornSuffix    = ".torn" // what was cut off a segment's end
)

// folder is the disk of the operating system.
type folder struct{ path string }

func (d folder) list() ([]string, error) {
	found, err := os.ReadDir(d.path)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, f := range found {
		if strings.HasSuffix(f.Name(), segmentSuffix) {
			names = append(names, f.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

func (d folder) open(name string) (file, error) {
	f, err := os.OpenFile(filepath.Join(d.path, name), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return segmentFile{f}, nil
}

func (d folder) create(name string) (file, error) {
	f, err := os.OpenFile(filepath.Join(d.path, name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return segmentFile{f}, nil
}

func (d folder) remove(name string) error { return os.Remove(filepath.Join(d.path, name)) }

func (d folder) put(name string, b []byte) error {
	return os.WriteFile(filepath.Join(d.path, name), b, 0o600)
}

func (d folder) syncFolder() error {
	f, err := os.Open(d.path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

type segmentFile struct{ *os.File }

func (f segmentFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f segmentFile) Sync() error { return syncData(f.File) }
