// Package demostore makes a messaging store as a phone holds it: a SQLite
// database in WAL mode (chats, messages, receipts, thumbnails, a full-text
// index, several indices) and a folder of media. Everything follows from a
// seed, so that a test can make the same store again elsewhere and compare.
//
// Nothing in it is anybody's: names, words and pictures are drawn.
package demostore

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// Names inside a store's folder.
const (
	DatabaseName = "msgstore.db"
	MediaName    = "Media"
)

// Shares and sizes of a generated store.
const (
	bytesPerMessage  = 720 // of the database, all indices and thumbnails together
	databaseShare    = 0.3 // of the whole; media are the rest
	chatsPerThousand = 10  // chats per thousand messages
	chatsMin         = 8
	batchMessages    = 2000 // in one transaction while the store is made
)

// Store is a messaging store on disk.
type Store struct {
	Dir  string
	Seed uint64
}

// Database is the path of its database.
func (s Store) Database() string { return filepath.Join(s.Dir, DatabaseName) }

// Media is the path of its media folder.
func (s Store) Media() string { return filepath.Join(s.Dir, MediaName) }

// random gives the draws of one purpose: equal for equal (seed, purpose, n).
func (s Store) random(purpose, n uint64) *rand.Rand {
	return rand.New(rand.NewPCG(s.Seed*1_000_003+purpose, n))
}

// Purposes of random draws.
const (
	forPast = iota + 1
	forDay
	forWriter
	forMedia
)

// Make makes a new store of about size bytes in s.Dir, which must not hold
// one. Progress, if any, is told the bytes made so far.
func (s Store) Make(ctx context.Context, size int64, progress func(done int64)) error {
	if _, err := os.Stat(s.Database()); err == nil {
		return fmt.Errorf("demostore: %s holds a store already", s.Dir)
	}
	if err := os.MkdirAll(s.Media(), 0o700); err != nil {
		return err
	}
	if progress == nil {
		progress = func(int64) {}
	}
	databaseBytes := int64(float64(size) * databaseShare)
	if err := s.makeDatabase(ctx, int(databaseBytes/bytesPerMessage), progress); err != nil {
		return err
	}
	return s.makeMedia(ctx, databaseBytes, size, progress)
}

func (s Store) makeDatabase(ctx context.Context, messages int, progress func(int64)) error {
	w, err := openWriter(s)
	if err != nil {
		return err
	}
	defer w.Close()
	if _, err := w.db.ExecContext(ctx, schema); err != nil {
		return err
	}
	r := s.random(forPast, 0)
	if err := w.makeChats(ctx, r, max(chatsMin, messages*chatsPerThousand/1000)); err != nil {
		return err
	}
	for made := 0; made < messages; {
		n := min(batchMessages, messages-made)
		err := w.commit(ctx, func(tx *sql.Tx) error {
			for range n {
				if err := w.message(tx, r, ""); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		made += n
		progress(int64(made) * bytesPerMessage)
	}
	_, err = w.db.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	return err
}

// AddDay adds what a day brings: messages (one in a hundred of those there
// are), edits, deletions, receipts, new media. Day numbers differ from call
// to call.
func (s Store) AddDay(ctx context.Context, day uint64) error {
	w, err := openWriter(s)
	if err != nil {
		return err
	}
	defer w.Close()
	r := s.random(forDay, day)
	n := max(20, int(w.last/100))
	for range n / 20 {
		if err := w.commit(ctx, func(tx *sql.Tx) error { return w.busyMinute(tx, r) }); err != nil {
			return err
		}
	}
	for i := range max(2, n/50) {
		if err := s.addMedium(r, fmt.Sprintf("day%d-%d", day, i)); err != nil {
			return err
		}
	}
	return nil
}
