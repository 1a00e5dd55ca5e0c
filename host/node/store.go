package node

import (
	"errors"

	"strongroom/protocol/wire"
)

// Storage is what a node keeps for its box. *Store is one.
type Storage interface {
	wire.Disk
	Append([]wire.Entry) error // durable when it returns nil; no retry after an error
	Last() uint64              // the index of the last entry, durable
}

// Store is log and pages on the disk of this machine.
type Store struct {
	*Log
	pages *Pages
}

// OpenStore opens the log and the pages in two folders that exist. Errors as
// OpenLog's, and those of the pages; fatal as OpenPages'.
func OpenStore(log, pages string, fatal func(error)) (*Store, error) {
	l, err := OpenLog(log)
	if err != nil {
		return nil, err
	}
	p, err := OpenPages(pages, fatal)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return &Store{l, p}, nil
}

// Read gives the pages of keys, as wire.Disk says.
func (s *Store) Read(keys [][]byte) ([][]byte, error) { return s.pages.Read(keys) }

// Keep keeps a checkpoint, and then drops what it stands for of the log.
func (s *Store) Keep(pages []wire.Page, c wire.Checkpoint) error {
	if err := s.pages.Keep(pages, c.Drop); err != nil {
		return err
	}
	return s.Drop(c.Index)
}

// RecordBytes is the size of the pages on the disk.
func (s *Store) RecordBytes() int64 { return s.pages.Bytes() }

// Close closes both.
func (s *Store) Close() error { return errors.Join(s.Log.Close(), s.pages.Close()) }
