package folder

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Lock keeps other strongrooms out of the folder until unlock or the end of
// the process. Error: ErrInUse.
func (f Folder) Lock() (unlock func() error, err error) {
	if err := f.Make(); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(f.Path, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := flock(file); err != nil {
		err = fmt.Errorf("%w (%s)", ErrInUse, f.Path)
		return nil, errors.Join(err, file.Close())
	}
	if err := f.sweep(); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file.Close, nil
}
