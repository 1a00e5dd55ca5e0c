//go:build !linux

package mount

import (
	"context"
	"fmt"
	"runtime"

	"strongroom/backup"
)

// Run refuses: this system has no FUSE that this program speaks.
func Run(context.Context, *backup.Repository, string, func(snapshots int), func(string)) error {
	return fmt.Errorf("%w on %s: only on Linux. strongroom ls lists a backup, strongroom restore --path gets files out of it", ErrMount, runtime.GOOS)
}
