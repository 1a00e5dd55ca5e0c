// Package scan finds what there is to back up: it walks folders and takes
// consistent snapshots of live SQLite databases. It sees plaintext and
// changes nothing that it looks at, except that SQLite may leave an empty
// -wal and a -shm file beside a database in WAL mode that nobody had open.
package scan

import "io/fs"

// Kind says what a Node is.
type Kind uint8

// Kinds of nodes.
const (
	KindDir  Kind = 1
	KindFile Kind = 2
	KindLink Kind = 3
)

// Stat is what tells a changed file from an unchanged one without reading
// it. Change time, inode and device are zero where the system has none.
type Stat struct {
	_           struct{} `cbor:",toarray"`
	Size        int64    // bytes
	ModNanos    int64    // Unix time, nanoseconds
	ChangeNanos int64    // Unix time, nanoseconds
	Inode       uint64
	Device      uint64
}

// racyNanos is how long after its last change a file may change again
// without its times showing it (coarse clocks of file systems).
const racyNanos = 2e9

// Racy tells whether a file that was seen at nowNanos with this Stat may
// change later and still look the same. Such a file is read again next time.
func (s Stat) Racy(nowNanos int64) bool {
	return max(s.ModNanos, s.ChangeNanos) > nowNanos-racyNanos
}

// Node is one thing found below a root.
type Node struct {
	Full string // path to open it by
	Rel  string // below the root, slash-separated; "" is the root itself
	Kind Kind
	Mode uint32 // Unix permission bits, with setuid (04000), setgid (02000), sticky (01000)
	Link string // target of a symbolic link
	// Links is how many names a file has, 1 where the system does not say.
	Links  uint64
	Sparse bool // a file with less on the disk than its size: it may have holes
	Stat
}

// Warning names a path that is not, or not quite, in the backup, and why.
type Warning struct {
	Path string
	What string
}

// unixMode turns Go's mode bits into the twelve of Unix.
func unixMode(m fs.FileMode) uint32 {
	out := uint32(m.Perm())
	for _, bit := range specialBits {
		if m&bit.mode != 0 {
			out |= bit.unix
		}
	}
	return out
}

// FileMode is the inverse of how Node.Mode was made.
func FileMode(unix uint32) fs.FileMode {
	out := fs.FileMode(unix & 0o777)
	for _, bit := range specialBits {
		if unix&bit.unix != 0 {
			out |= bit.mode
		}
	}
	return out
}

var specialBits = []struct {
	mode fs.FileMode
	unix uint32
}{{fs.ModeSetuid, 0o4000}, {fs.ModeSetgid, 0o2000}, {fs.ModeSticky, 0o1000}}
