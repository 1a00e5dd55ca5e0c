//go:build unix

package dir_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"strongroom/store"
	"strongroom/store/contract"
	"strongroom/store/dir"
	"strongroom/store/mem"
	"strongroom/store/storetest"
)

var background = context.Background()

func mustOpen(t *testing.T, folder string) store.Store {
	t.Helper()
	s, err := dir.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestContract(t *testing.T) {
	storetest.RunShared(t, contract.Whole, func(t *testing.T) contract.Open {
		folder := t.TempDir() + "/made/later"
		return func() (store.Store, error) { return dir.Open(folder) }
	})
}

// A folder is near, however it is wrapped; what is behind a line is not.
func TestNear(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	if !store.Near(s) || !store.Near(store.Retry(s, nil)) {
		t.Error("a folder is not near")
	}
	if store.Near(store.Retry(mem.New(), nil)) {
		t.Error("a store that does not say so is near")
	}
}

// Looking does not make the folder; the first Put does, for its owner only.
func TestModes(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	folder := filepath.Join(t.TempDir(), "new")
	s := mustOpen(t, folder)
	for _, err := range s.List(t.Context(), "") {
		t.Errorf("an absent folder lists something: %v", err)
	}
	if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("List made the folder: %v", err)
	}
	if err := s.Put(t.Context(), "a/b", []byte("x")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{"": 0o700 | fs.ModeDir, "a": 0o700 | fs.ModeDir, ".tmp": 0o700 | fs.ModeDir, "a/b": 0o600} {
		info, err := os.Stat(filepath.Join(folder, name))
		if err != nil || info.Mode() != want {
			t.Errorf("%q: %v, %v; want %v", name, info.Mode(), err, want)
		}
	}
}

// A cloud folder holds more than ours: it is neither listed nor read.
func TestForeignFiles(t *testing.T) {
	folder := t.TempDir()
	s := mustOpen(t, folder)
	if err := s.Put(t.Context(), "packs/a", []byte("x")); err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(t.TempDir(), "secret")
	for _, path := range []string{"README.txt", ".hidden", "packs/.tmp", "packs/Upper", "lost+found", secret} {
		if !filepath.IsAbs(path) {
			path = filepath.Join(folder, path)
		}
		if err := os.WriteFile(path, []byte("foreign"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(secret, filepath.Join(folder, "packs/link")); err != nil {
		t.Fatal(err)
	}
	var listed []string
	for info, err := range s.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		listed = append(listed, info.Name)
	}
	if len(listed) != 1 || listed[0] != "packs/a" {
		t.Errorf("listed %v, want packs/a alone", listed)
	}
	if _, err := s.Get(t.Context(), "packs/link", 0, -1); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a link out of the folder: %v, want ErrNotFound", err)
	}
}

// An object and a folder can not have one name: refused, nothing is lost.
func TestObjectAndFolder(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	for _, c := range []struct {
		name string
		want error
	}{{"a", nil}, {"a/b", store.ErrName}, {"c/d", nil}, {"c", store.ErrName}} {
		if err := s.Put(t.Context(), c.name, []byte(c.name)); !errors.Is(err, c.want) {
			t.Errorf("Put %s: %v, want %v", c.name, err, c.want)
		}
	}
	for _, name := range []string{"a", "c/d"} {
		if data, err := s.Get(t.Context(), name, 0, -1); err != nil || string(data) != name {
			t.Errorf("Get %s: %q, %v", name, data, err)
		}
	}
}

// Someone made a file larger than any object: it does not fill the memory.
func TestHugeFile(t *testing.T) {
	folder := t.TempDir()
	s := mustOpen(t, folder)
	path := filepath.Join(folder, "huge")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 1<<40); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), "huge", 0, -1); !errors.Is(err, store.ErrSize) {
		t.Errorf("Get: %v, want ErrSize", err)
	}
	if data, err := s.Get(t.Context(), "huge", 1<<39, 10); err != nil || len(data) != 10 {
		t.Errorf("a part of it: %d bytes, %v", len(data), err)
	}
}

func TestOpen(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"", "relative", "./relative", file} {
		if _, err := dir.Open(path); err == nil {
			t.Errorf("Open(%q) was taken", path)
		}
	}
}
