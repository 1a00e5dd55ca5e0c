package soft

import (
	"errors"
	"fmt"
	"io"
	"os"

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
