//go:build !linux

package backup

import (
	"errors"
	"os"
)

// syncFiles makes files durable.
func syncFiles(root *os.Root, names []string) error {
	for _, name := range names {
		f, err := root.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// syncFolders makes names durable.
func syncFolders(root *os.Root, names []string) error {
	for _, name := range names {
		f, err := root.Open(name)
		if err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	return nil
}
