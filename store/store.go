// Package store is where sealed objects rest: a small interface over any
// storage that keeps bytes by name. It is trusted with nothing but keeping.
// storetest is the one contract that every provider passes.
package store

import (
	"context"
	"errors"
	"iter"
)

var (
	// ErrNotFound: no object of this name.
	ErrNotFound = errors.New("store: no such object")
	// ErrExists: Put found an object of this name; nothing was changed.
	ErrExists = errors.New("store: the object exists")
	// ErrUnknown: it is not known whether a Put or Delete took effect (a
	// broken line, a time-out). Look, then decide.
	ErrUnknown = errors.New("store: outcome unknown")
	// ErrName: the name is not one that every storage can keep.
	ErrName = errors.New("store: invalid object name")
)

// ObjectBytesMax is the largest object, in bytes.
const ObjectBytesMax = 64 << 20

// Info tells of one object.
type Info struct {
	Name string
	Size int64
}

// Store keeps objects. Names are slash-separated, made of [a-z0-9-] with no
// empty part, at most 200 bytes. Many goroutines may call it at once.
type Store interface {
	// Put writes a whole object if no object of this name exists, else
	// ErrExists. When it returns nil the object is durable and whole; a
	// reader never sees a part of it.
	Put(ctx context.Context, name string, data []byte) error

	// Get reads length bytes from offset; length -1 reads to the end. A
	// range past the end gives the bytes there are.
	Get(ctx context.Context, name string, offset, length int64) ([]byte, error)

	// List gives every object whose name begins with prefix, in any order.
	List(ctx context.Context, prefix string) iter.Seq2[Info, error]

	// Delete removes an object; deleting what is not there is no error.
	Delete(ctx context.Context, name string) error

	// Size is the object's size in bytes.
	Size(ctx context.Context, name string) (int64, error)

	// Location is the storage's URL without secrets, as people may see it.
	Location() string
}
