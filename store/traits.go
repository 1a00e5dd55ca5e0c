package store

import "context"

// Traits are what a storage does beyond the contract, or does not.
type Traits struct {
	// Conditional: Put replaces nothing, even when two devices put one name
	// in the same moment. Without it Put looks first and then writes: of two
	// that come between look and write both hear nil, and one object, whole,
	// stands there afterwards.
	Conditional bool
	// Versions: what is deleted stays in the storage as an old version, out
	// of sight of List and Get, and takes room there.
	Versions bool
	// Locked: old versions can not be deleted before their time.
	Locked bool
}

// Traited is a store that knows its traits. Asking may call the storage.
type Traited interface {
	Traits(ctx context.Context) (Traits, error)
}

// Sweeper is a store that leaves more behind than objects: folders, a probe.
// Sweep takes away what is empty of them; it never takes an object.
type Sweeper interface {
	Sweep(ctx context.Context) error
}

// Nearby is a store of which a request costs no more than the bytes that it
// reads: a folder of this machine.
type Nearby interface{ Nearby() }

// Near tells whether a store is Nearby, or the one that it is wrapped around.
func Near(s Store) bool {
	for {
		if _, near := s.(Nearby); near {
			return true
		}
		w, ok := s.(wrapper)
		if !ok {
			return false
		}
		s = w.Unwrap()
	}
}

// wrapper is a store around another one.
type wrapper interface{ Unwrap() Store }

// TraitsOf gives the traits of a store or of the one it is wrapped around. A
// store that says nothing is held to be conditional: the contract then tries it.
func TraitsOf(ctx context.Context, s Store) (Traits, error) {
	for {
		if t, ok := s.(Traited); ok {
			return t.Traits(ctx)
		}
		w, ok := s.(wrapper)
		if !ok {
			return Traits{Conditional: true}, nil
		}
		s = w.Unwrap()
	}
}

// Sweep sweeps a store that can be swept, wrapped or not.
func Sweep(ctx context.Context, s Store) error {
	for {
		if t, ok := s.(Sweeper); ok {
			return t.Sweep(ctx)
		}
		w, ok := s.(wrapper)
		if !ok {
			return nil
		}
		s = w.Unwrap()
	}
}
