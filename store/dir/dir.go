// Package dir keeps objects as files in a folder: "file:/path".
//
// The life of an object: it is written to .tmp/, fsynced, linked to its name
// if that is free, and the folder is fsynced; only then Put answers. A program
// killed on the way leaves a file in .tmp/ which List does not show and which
// a later Open sweeps away.
//
// The folder may be a person's cloud folder or a USB disk, so other files in
// it are left alone and not listed. An object "a" and an object "a/b" can not
// stand in one folder: the second is refused with store.ErrName.
package dir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"strongroom/store"
)

const (
	fileMode   fs.FileMode = 0o600
	folderMode fs.FileMode = 0o700
)

// Store is a folder. Use Open.
type Store struct {
	root    string   // absolute
	durable sync.Map // folder (string) -> true: its own entry is known to be on disk
}

// Open takes an absolute path. The folder need not exist: the first Put makes
// it. Temporary files that a killed program left more than a day ago go.
func Open(root string) (*Store, error) {
	if !filepath.IsAbs(root) {
		return nil, fmt.Errorf("the folder %q is not an absolute path", root)
	}
	s := &Store{root: filepath.Clean(root)}
	info, err := os.Stat(s.root)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s, nil
	case err != nil:
		return nil, fmt.Errorf("open the folder: %w", err)
	case !info.IsDir():
		return nil, fmt.Errorf("open the folder: %s is a file", s.root)
	}
	return s, s.sweep()
}

// Nearby: store.Nearby.
func (s *Store) Nearby() {}

// Get reads a part of a file.
func (s *Store) Get(ctx context.Context, name string, offset, length int64) ([]byte, error) {
	return s.GetInto(ctx, name, offset, length, nil)
}

// GetInto is Get into buf where that has the room: store.Into.
func (s *Store) GetInto(ctx context.Context, name string, offset, length int64, buf []byte) ([]byte, error) {
	if err := store.CheckRange(offset, length); err != nil {
		return nil, err
	}
	size, err := s.Size(ctx, name)
	if err != nil {
		return nil, err
	}
	from, to := store.Span(offset, length, size)
	if to-from > store.ObjectBytesMax { // whoever holds the disk can make a file of any size
		return nil, fmt.Errorf("%w: %s has %d bytes", store.ErrSize, name, size)
	}
	f, err := os.Open(s.path(name))
	if err != nil {
		return nil, notFound(name, err)
	}
	defer f.Close()
	data := buf[:0]
	if int64(cap(data)) < to-from {
		data = make([]byte, to-from)
	}
	n, err := f.ReadAt(data[:to-from], from)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return data[:n], nil
}

// Size is the file's size in bytes.
func (s *Store) Size(ctx context.Context, name string) (int64, error) {
	if err := store.CheckName(name); err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	info, err := os.Lstat(s.path(name))
	if err != nil {
		return 0, notFound(name, err)
	}
	if !info.Mode().IsRegular() { // a folder, a link out of the folder, a pipe that would block
		return 0, fmt.Errorf("%w: %s is not a file", store.ErrNotFound, name)
	}
	return info.Size(), nil
}

// Delete removes the file and fsyncs its folder. Folders stay.
func (s *Store) Delete(ctx context.Context, name string) error {
	_, err := s.Size(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	path := s.path(name)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete %s: %w", name, err)
	}
	if err := syncFolder(filepath.Dir(path)); err != nil {
		return fmt.Errorf("delete %s: %w: %w", name, store.ErrUnknown, err)
	}
	return nil
}

// Location is "file:" and the path.
func (s *Store) Location() string { return "file:" + s.root }

func (s *Store) path(name string) string {
	return filepath.Join(s.root, filepath.FromSlash(name))
}

// notFound makes ErrNotFound of a missing file, or of a missing folder on the
// way to it.
func notFound(name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return fmt.Errorf("%w: %s", store.ErrNotFound, name)
	}
	return err
}
