// Package backup is the loop: it takes folders and live databases into a
// repository, and back. It is handed 32 bytes, the backup key K, and a
// store.Store, and knows nothing of passwords or vaults.
//
// The life of a chunk: scan finds what changed, chunk cuts it, seal (behind
// pack) compresses, encrypts and opens again what it sealed, pack fills packs
// and the store keeps them. The manifest and the device's head go last: an
// interrupted backup is absent or complete.
package backup

import (
	"errors"

	"strongroom/backup/pack"
	"strongroom/backup/scan"
)

var (
	// ErrNoRepository: the storage holds no repository.
	ErrNoRepository = pack.ErrNoRepository
	// ErrRepository: Create found a repository; nothing was changed.
	ErrRepository = pack.ErrRepository
	// ErrWrongKey: the key is not this repository's.
	ErrWrongKey = pack.ErrWrongKey
	// ErrDamaged is what every Damage is, for errors.Is.
	ErrDamaged = pack.ErrDamaged
	// ErrPath: there is nothing at a path that was to be backed up.
	ErrPath = errors.New("backup: nothing to back up at this path")
	// ErrSnapshot: no snapshot, or more than one, goes by this name.
	ErrSnapshot = errors.New("backup: no such snapshot")
	// ErrDiffers: a restore found other content where it would write, and
	// wrote nothing.
	ErrDiffers = errors.New("backup: other content is in the way")
	// ErrSelection: nothing in the snapshot is what was chosen.
	ErrSelection = errors.New("backup: nothing in this snapshot matches")
	// ErrPattern: a pattern is malformed.
	ErrPattern = scan.ErrPattern
	// ErrVerify: what was written is not what is read back.
	ErrVerify = errors.New("backup: what was written reads otherwise from the disk")
	// ErrTarget: the folder to restore into can not be written (full,
	// read-only, not a folder). What was restored whole stays.
	ErrTarget = errors.New("the folder to restore into can not be written")
	// ErrState: the folder for the local state can not be written.
	ErrState = errors.New("the folder for the local state can not be written")
	// ErrUnsafe: a snapshot names a path outside the target. Nothing that
	// this program wrote does.
	ErrUnsafe = errors.New("backup: a path leads out of the target")
)
