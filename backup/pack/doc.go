// Package pack keeps a repository: packs of sealed segments, the index of
// where they are, manifests of snapshots and each device's chain of heads, in
// any store.Store. It sees plaintext only on its way through backup/seal.
// The format is spec/repository.md.
//
// The order of a backup is: packs, index, manifest, head. Nothing refers to
// an object before it is durable, so a backup that was interrupted is absent
// and one whose head is there is complete.
package pack

import (
	"errors"
	"fmt"

	"strongroom/backup/seal"
)

// ID names a segment, Kind says what it holds.
type (
	ID   = seal.ID
	Kind = seal.Kind
)

// Kinds of segments.
const (
	KindFile     = seal.KindFile
	KindPages    = seal.KindPages
	KindPageHash = seal.KindPageHash
	KindRuns     = seal.KindRuns
	KindList     = seal.KindList
	KindRefs     = seal.KindRefs
)

// SegmentBytesMax is the largest plaintext of a segment.
const SegmentBytesMax = seal.SegmentBytesMax

var (
	// ErrNoRepository: the storage holds no repository.
	ErrNoRepository = errors.New("pack: no repository here")
	// ErrRepository: Create found a repository; nothing was changed.
	ErrRepository = errors.New("pack: a repository is here already")
	// ErrWrongKey: the backup key is not this repository's.
	ErrWrongKey = seal.ErrWrongKey
	// ErrVersion: a newer program wrote this; nothing is wrong with it.
	ErrVersion = seal.ErrVersion
	// ErrDamaged is what every Damage is, for errors.Is.
	ErrDamaged = errors.New("pack: damaged")
	// ErrUnknownSegment: no index and no pack holds this segment.
	ErrUnknownSegment = errors.New("pack: no such segment")
	// ErrHeadTaken: the head's sequence number is taken by another head of
	// the same device: a second device runs under this identity (a copied
	// data folder), or the local state is old. Nothing was changed.
	ErrHeadTaken = errors.New("pack: another head has this device's sequence number")
	// ErrSelfCheck: what was sealed did not open again. Memory or processor
	// are at fault; nothing of it left the machine.
	ErrSelfCheck = errors.New("pack: what was sealed does not open again")
	// ErrWriter: the writer was used after Finish.
	ErrWriter = errors.New("pack: the writer is finished")
	// ErrMalformed: an authentic object says what the format does not allow.
	ErrMalformed = errors.New("pack: malformed")
	// ErrUnknownKind: an entry of a kind, or a layer of a coding, that this
	// program does not know. It costs this entry only.
	ErrUnknownKind = errors.New("pack: unknown kind of entry")
)

// Damage names one object that is not as it was written, what is wrong, and
// which segments can not be read because of it.
type Damage struct {
	Object string // name in the storage
	What   string
	Lost   []ID
	cause  error
}

// damaged is the Damage of an object for a reason that errors.Is still finds.
func damaged(object, part string, cause error) *Damage {
	return &Damage{Object: object, What: part + cause.Error(), cause: cause}
}

// Unwrap gives the reason, where it is an error of its own: ErrVersion says
// that a newer program wrote the object.
func (d *Damage) Unwrap() error { return d.cause }

// Error says which object and what.
func (d *Damage) Error() string {
	if len(d.Lost) == 0 {
		return fmt.Sprintf("%s: %s", d.Object, d.What)
	}
	return fmt.Sprintf("%s: %s (%d segments lost)", d.Object, d.What, len(d.Lost))
}

// Is makes every Damage an ErrDamaged.
func (d *Damage) Is(target error) bool { return target == ErrDamaged }
