package node

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"

	"strongroom/protocol/wire"
)

const (
	pagesCacheBytes = 32 << 20
	// Several tables are held at times, on the heap: larger ones take minutes
	// to fill, and the box grows by 30 MiB meanwhile.
	pagesMemTableBytes = 4 << 20
	pagesFilterBits    = 10 // a page: a read of one that is not there seldom touches the disk
)

// Pages keeps the box's pages in a folder: its record tree and its
// checkpoint. They mean nothing here; the box finds out whoever changes them.
type Pages struct {
	db    *pebble.DB
	cache *pebble.Cache
}

// OpenPages opens or makes the pages in a folder. Fatal is called, and must
// not return, when a write or an fsync failed: what is on the disk is then
// known only to the next start (nil: it panics). What was acknowledged is
// safe all the same: the log has it.
func OpenPages(path string, fatal func(error)) (*Pages, error) {
	if fatal == nil {
		fatal = func(err error) { panic(err) }
	}
	cache := pebble.NewCache(pagesCacheBytes)
	// Sealed records and hashes do not compress.
	level := pebble.LevelOptions{FilterPolicy: bloom.FilterPolicy(pagesFilterBits), Compression: func() *sstable.CompressionProfile { return sstable.NoCompression }}
	options := &pebble.Options{
		Cache: cache, MemTableSize: pagesMemTableBytes, Logger: pagesLogger{fatal},
		FormatMajorVersion: pebble.FormatNewest,
		// Whoever reads is told, by the error: it need not end the program here.
		EventListener: &pebble.EventListener{DataCorruption: func(pebble.DataCorruptionInfo) {}},
	}
	for i := range options.Levels {
		options.Levels[i] = level
	}
	db, err := pebble.Open(path, options)
	if err != nil {
		cache.Unref()
		return nil, fmt.Errorf("node: opening the records: %w", ofPages(err))
	}
	return &Pages{db, cache}, nil
}

// ofPages names what a person can do something about: damage, a full disk.
func ofPages(err error) error {
	if pebble.IsCorruptionError(err) {
		what, _, _ := strings.Cut(err.Error(), "\n")
		return fmt.Errorf("%w: %s", ErrDamaged, what)
	}
	return outOfRoom(err)
}

// pagesLogger says nothing of what goes well.
type pagesLogger struct{ fatal func(error) }

func (pagesLogger) Infof(string, ...any)  {}
func (pagesLogger) Errorf(string, ...any) {}
func (l pagesLogger) Fatalf(format string, args ...any) {
	l.fatal(fmt.Errorf("%w: the records: %w", ErrStopped, fmt.Errorf(format, args...)))
}

// Read gives the page of each key, empty for one that is not there.
func (p *Pages) Read(keys [][]byte) ([][]byte, error) {
	values := make([][]byte, len(keys))
	for i, key := range keys {
		value, done, err := p.db.Get(key)
		if errors.Is(err, pebble.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("node: reading the records: %w", ofPages(err))
		}
		values[i] = append([]byte(nil), value...)
		if err := done.Close(); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// Keep drops all pages whose keys begin with one of drop, and then replaces
// pages: all of it or nothing, durable when it returns nil.
func (p *Pages) Keep(pages []wire.Page, drop [][]byte) error {
	batch := p.db.NewBatch()
	defer batch.Close()
	for _, prefix := range drop {
		if err := batch.DeleteRange(prefix, after(prefix), nil); err != nil {
			return err
		}
	}
	for _, page := range pages {
		if err := batch.Set(page.Key, page.Bytes, nil); err != nil {
			return err
		}
	}
	if err := batch.Commit(pebble.Sync); err != nil {
		return fmt.Errorf("node: keeping the records: %w", outOfRoom(err))
	}
	return nil
}

// after is the first key that does not begin with a prefix any more. No prefix
// is all 0xff: each begins with a letter.
func after(prefix []byte) []byte {
	b := bytes.Clone(prefix)
	for i := len(b) - 1; ; i-- {
		if b[i]++; b[i] != 0 {
			return b[:i+1]
		}
	}
}

// Bytes is the size of the pages on the disk.
func (p *Pages) Bytes() int64 { return int64(p.db.Metrics().DiskSpaceUsage()) }

// Close closes the pages.
func (p *Pages) Close() error {
	defer p.cache.Unref()
	return p.db.Close()
}
