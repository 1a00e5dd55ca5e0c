// Package seal is the line where plaintext ends: everything a repository
// stores is made here from the 32-byte backup key K and opened here. It knows
// keys, sealed objects, packs' keys, the repository's header and the stored
// form of a segment; it does no I/O. The format is spec/repository.md.
//
// Trusted. A thief of its keys holds the backup of one user.
package seal

import "errors"

// FormatVersion is the version of the repository format that this program
// writes. It is bound into every key.
const FormatVersion = 1

// Lengths, in bytes.
const (
	KeyBytes        = 32
	SaltBytes       = 32
	CommitmentBytes = 32
	RepositoryBytes = 16
	NameBytes       = 16 // the random part of an object's name
	IDBytes         = 32
	PageHashBytes   = 16
	TagBytes        = 16 // AES-GCM, NIST SP 800-38D
	nonceBytes      = 12
)

var (
	// ErrOpen: the bytes do not open: they were changed, cut, moved to
	// another place, or belong to another repository or key.
	ErrOpen = errors.New("seal: does not open: changed, cut, moved or from another repository")
	// ErrVersion: the object says a format version that this program does
	// not know. Nothing is wrong with it if a newer program wrote it.
	ErrVersion = errors.New("seal: unknown format version")
	// ErrOffset: a pack was asked to seal at an offset already sealed.
	ErrOffset = errors.New("seal: offset already sealed")
	// ErrStored: the stored form of a segment does not decode.
	ErrStored = errors.New("seal: stored form does not decode")
	// ErrSize: the object is larger than the format allows.
	ErrSize = errors.New("seal: too large")
)
