package dir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"strongroom/store"
)

// writeBytesMax is what is written between two looks at the context.
const writeBytesMax = 1 << 20

// Put writes, fsyncs, links, fsyncs the folder.
func (s *Store) Put(ctx context.Context, name string, data []byte) error {
	if err := store.CheckPut(name, data); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	path := s.path(name)
	if err := s.taken(name, path); err != nil {
		return err // before 64 MiB are written for nothing
	}
	if err := s.makeFolder(filepath.Dir(path)); err != nil {
		return s.explain(name, err)
	}
	if err := s.makeFolder(s.tempFolder()); err != nil {
		return s.explain(name, err)
	}
	temp, err := writeTemp(ctx, s.tempFolder(), data)
	if err != nil {
		return s.explain(name, err)
	}
	defer os.Remove(temp) // after a rename it is gone already
	return s.claim(name, temp, path)
}

// taken: ErrExists, or ErrName where the name is a folder's.
func (s *Store) taken(name, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%w: a part of %s is an object already", store.ErrName, name)
	case err != nil:
		return err
	case info.IsDir():
		return fmt.Errorf("%w: %s is a folder", store.ErrName, name)
	}
	// The other writer may have linked but not yet fsynced its folder. Who
	// hears "exists" will build on the object, so it must be durable first.
	if err := syncFolder(filepath.Dir(path)); err != nil {
		return err
	}
	return fmt.Errorf("%w: %s", store.ErrExists, name)
}

// claim gives a whole and fsynced file its name. Of many that try the file
// system lets one through.
func (s *Store) claim(name, temp, path string) error {
	err := linkNew(temp, path)
	if errors.Is(err, fs.ErrExist) {
		return s.taken(name, path)
	}
	if err != nil {
		return s.explain(name, err)
	}
	if err := syncFolder(filepath.Dir(path)); err != nil {
		return fmt.Errorf("put %s: %w: %w", name, store.ErrUnknown, err)
	}
	return nil
}

// writeTemp leaves a whole file, or none.
func writeTemp(ctx context.Context, folder string, data []byte) (path string, err error) {
	f, err := os.CreateTemp(folder, "put-*") // mode 0600
	if err != nil {
		return "", err
	}
	defer func() {
		err = errors.Join(err, f.Close())
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	for len(data) > 0 {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		n, err := f.Write(data[:min(len(data), writeBytesMax)])
		if err != nil {
			return "", err
		}
		data = data[n:]
	}
	if err := f.Sync(); err != nil {
		return "", err
	}
	forget(f)
	return f.Name(), ctx.Err()
}

// explain says what a person can do about a failed write.
func (s *Store) explain(name string, err error) error {
	full := errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
	switch {
	case full:
		return store.Classed(store.Full, fmt.Errorf("put %s: no room left in %s; nothing was kept of this object, what was there is untouched; make room and run it again: %w", name, s.root, err))
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("put %s: may not write in %s; nothing was changed: %w", name, s.root, err)
	}
	return fmt.Errorf("put %s: %w", name, err)
}
