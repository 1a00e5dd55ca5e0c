package soft

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"strongroom/vault/hal"
)

// disk is a file of a fixed size, opened once: behind the wall of a box in its
// own process nothing can be opened any more.
type disk interface {
	io.ReaderAt
	io.WriterAt
	Sync() error // the data alone: the size never changes
	Close() error
}

type diskFile struct{ *os.File }

func openDisk(path string) (disk, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	return diskFile{f}, nil
}

// diskError gives a failed write the contract's name.
func diskError(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("%w: %w", hal.ErrFull, err)
	}
	return fmt.Errorf("%w: %w", hal.ErrGone, err)
}

// writeFile replaces a file so that either the old or the new one is read,
// also after a power cut.
func writeFile(path string, data []byte) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, filepath.Base(path)+".*.tmp") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
