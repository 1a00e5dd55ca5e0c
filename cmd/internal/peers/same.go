package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// sameTree proves that every file of the store is in a restored tree, byte
// for byte, and that there is at least one. What SQLite keeps beside a
// database is no part of it once nobody has it open.
func sameTree(want, got string) error {
	files := 0
	err := filepath.WalkDir(want, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, "-wal") || strings.HasSuffix(path, "-shm") {
			return err
		}
		files++
		a, err := digest(path)
		if err != nil {
			return err
		}
		b, err := digest(filepath.Join(got, strings.TrimPrefix(path, want)))
		if err != nil {
			return err
		}
		if a != b {
			return fmt.Errorf("%s differs", path)
		}
		return nil
	})
	if err == nil && files == 0 {
		err = fmt.Errorf("%s holds no file", want)
	}
	return err
}

func digest(path string) (sum [sha256.Size]byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return sum, err
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}
