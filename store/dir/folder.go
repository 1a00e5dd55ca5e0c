package dir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"strongroom/store"
)

// tempAgeMax: a file in .tmp older than this belongs to no living Put.
const tempAgeMax = 24 * time.Hour

// tempFolder has a dot in its name, so no object can be named like it.
func (s *Store) tempFolder() string { return filepath.Join(s.root, ".tmp") }

// sweep removes what killed programs left behind.
func (s *Store) sweep() error {
	entries, err := os.ReadDir(s.tempFolder())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open the folder: %w", err)
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || !info.Mode().IsRegular() || time.Since(info.ModTime()) < tempAgeMax {
			continue
		}
		// Left to the next sweep if it fails (a disk mounted read-only).
		_ = os.Remove(filepath.Join(s.tempFolder(), entry.Name()))
	}
	return nil
}

// makeFolder makes a folder and those above it, each durable in its parent.
func (s *Store) makeFolder(path string) error {
	if _, done := s.durable.Load(path); done {
		if _, err := os.Stat(path); err == nil {
			return nil
		}
	}
	parent := filepath.Dir(path)
	if path == parent {
		return nil
	}
	if _, err := os.Stat(parent); err != nil || len(path) > len(s.root) {
		if err := s.makeFolder(parent); err != nil {
			return err
		}
	}
	err := os.Mkdir(path, folderMode)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	// Even one that was there: its maker may be at work beside us, or have
	// died before its fsync. Above the root only what was made just now.
	if err == nil || len(path) > len(s.root) {
		if err := syncFolder(parent); err != nil {
			return err
		}
	}
	s.durable.Store(path, true)
	return nil
}

func syncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// List walks the folders that can hold the prefix.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		if err := store.CheckPrefix(prefix); err != nil {
			yield(store.Info{}, err)
			return
		}
		s.walk(ctx, prefix[:strings.LastIndexByte(prefix, '/')+1], prefix, yield)
	}
}

// walk lists one folder ("" or ending with a slash) and those below; false
// once the caller has had enough.
func (s *Store) walk(ctx context.Context, folder, prefix string, yield func(store.Info, error) bool) bool {
	entries, err := os.ReadDir(filepath.Join(s.root, filepath.FromSlash(folder)))
	if err != nil && !errors.Is(notFound(folder, err), store.ErrNotFound) {
		return yield(store.Info{}, fmt.Errorf("list %s: %w", s.Location(), err))
	}
	for _, entry := range entries {
		if err := ctx.Err(); err != nil {
			yield(store.Info{}, err)
			return false
		}
		if !s.visit(ctx, folder+entry.Name(), entry, prefix, yield) {
			return false
		}
	}
	return true
}

func (s *Store) visit(ctx context.Context, name string, entry fs.DirEntry, prefix string, yield func(store.Info, error) bool) bool {
	if store.CheckName(name) != nil {
		return true // .tmp, .DS_Store, lost+found: not ours
	}
	if entry.IsDir() {
		inside := strings.HasPrefix(name+"/", prefix) || strings.HasPrefix(prefix, name+"/")
		return !inside || s.walk(ctx, name+"/", prefix, yield)
	}
	if !entry.Type().IsRegular() || !strings.HasPrefix(name, prefix) {
		return true
	}
	info, err := entry.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return true // deleted meanwhile
	}
	if err != nil {
		return yield(store.Info{}, fmt.Errorf("list %s: %w", s.Location(), err))
	}
	return yield(store.Info{Name: name, Size: info.Size()}, nil)
}

// Sweep removes folders that hold nothing, .tmp among them, and then the
// store's own. Other people's are left, empty or not.
func (s *Store) Sweep(ctx context.Context) error { return s.sweepFolder(ctx, "") }

func (s *Store) sweepFolder(ctx context.Context, folder string) error {
	path := filepath.Join(s.root, filepath.FromSlash(folder))
	entries, err := os.ReadDir(path)
	if err != nil {
		return notFoundIsNil(err)
	}
	for _, entry := range entries {
		name := folder + entry.Name()
		if !entry.IsDir() || store.CheckName(name) != nil && name != filepath.Base(s.tempFolder()) {
			continue
		}
		if err := errors.Join(ctx.Err(), s.sweepFolder(ctx, name+"/")); err != nil {
			return err
		}
	}
	s.durable.Delete(path)
	// rmdir takes no folder that holds something, whoever put it there since.
	err = syscall.Rmdir(path)
	if left, _ := os.ReadDir(path); len(left) > 0 {
		return nil
	}
	return notFoundIsNil(err)
}

func notFoundIsNil(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
