package backup

import (
	"fmt"
	"time"

	"strongroom/backup/scan"
)

// Phases of Progress, in order. A restore has PhaseScan, PhaseFiles and
// PhaseFinish.
const (
	PhaseScan      = "scan"
	PhaseDatabases = "databases"
	PhaseFiles     = "files"
	PhaseFinish    = "finish"
	PhaseCheck     = "check"
)

// Progress tells how far an operation is. Totals are known after PhaseScan.
type Progress struct {
	Phase                            string
	FilesDone, FilesTotal            int
	BytesDone, BytesTotal, BytesSent int64
	Current                          string // path
}

// Warning names a path that is not, or not quite, in the backup, and why.
type Warning = scan.Warning

// SnapshotInfo tells of one snapshot.
type SnapshotInfo struct {
	ID      string // short, hexadecimal, unique in its repository
	Time    time.Time
	Host    string
	Device  string // hexadecimal
	Paths   []string
	Entries int   // files, databases, links and folders
	Bytes   int64 // of files and databases
}

// BackupReport tells what a backup did.
type BackupReport struct {
	Snapshot                      SnapshotInfo
	Files, FilesNew, FilesChanged int // databases among them
	Databases                     int
	Pages, PagesChanged           int64 // of databases; changed since the last backup
	BytesRead, BytesSent          int64 // sent: every object of this backup, as stored
	PacksSent                     int
	Head                          Head // that this backup wrote
	LeftOut                       int  // as asked for; a folder counts once
	Warnings                      []Warning
	Elapsed                       time.Duration
}

// Head tells of the newest head of a device: what a freshness mark remembers.
type Head struct {
	Device   [16]byte
	Sequence uint64 // from 1, without gaps
	Hash     [32]byte
}

// RestoreReport tells what a restore did.
type RestoreReport struct {
	Snapshot  SnapshotInfo
	Files     int // written, databases among them, links not
	FilesKept int // were there already, as they should be
	Blocked   int // of a dry run: other content is in the way
	Verified  int // read again from the disk, and as they should be
	Databases int
	Bytes     int64    // written
	Damaged   []Damage // what could not be restored
	Warnings  []Warning
	Elapsed   time.Duration
}

// Damage names an object that is not as it was written, and the files of
// the backups that it costs.
type Damage struct {
	Object string // name in the storage
	What   string
	Files  []string
}

// Error says which object, what, and how many files it costs.
func (d Damage) Error() string {
	if len(d.Files) == 0 {
		return fmt.Sprintf("%s: %s", d.Object, d.What)
	}
	return fmt.Sprintf("%s: %s (files: %d, first %q)", d.Object, d.What, len(d.Files), d.Files[0])
}

// Is makes every Damage an ErrDamaged.
func (d Damage) Is(target error) bool { return target == ErrDamaged }
