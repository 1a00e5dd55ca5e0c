package demostore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"time"
)

// writerPause is between two commits of the live writer: about a hundred
// commits a second, far more than a person causes.
const writerPause = 8 * time.Millisecond

const mediumOneIn = 40 // commits of the live writer bring a medium

// Live is the messenger at work: it commits again and again until ctx ends,
// and says every commit's number on out, a line each. What commit n writes
// depends on the seed and n only.
func (s Store) Live(ctx context.Context, out io.Writer) error {
	w, err := openWriter(s)
	if err != nil {
		return err
	}
	defer w.Close()
	for n := uint64(1); ctx.Err() == nil; n++ {
		if err := w.live(n); err != nil {
			return err
		}
		if n%mediumOneIn == 0 {
			if err := s.addMedium(s.random(forMedia, n), fmt.Sprintf("live-%d", n)); err != nil {
				return err
			}
		}
		if _, err := fmt.Fprintln(out, n); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(writerPause):
		}
	}
	return nil
}

// live is commit n, whole even when the end comes meanwhile.
func (w *writer) live(n uint64) error {
	r := w.store.random(forWriter, n)
	return w.commit(context.Background(), func(tx *sql.Tx) error {
		for range 3 {
			if err := w.message(tx, r, ""); err != nil {
				return err
			}
		}
		_, err := tx.Exec("UPDATE message SET text_data = ? WHERE _id = ?", sentence(r, 6), 1+r.Int64N(w.last))
		return err
	})
}

// Commits is how many commits the database at path has seen, read without
// changing it.
func Commits(path string) (n uint64, err error) {
	db, err := sql.Open("sqlite", "file:"+path+"?mode=ro")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	err = db.QueryRow("SELECT commits FROM demo_commit").Scan(&n)
	return n, err
}

// Replay repeats the live writer's first n commits on this store. On a copy
// of the store from before the writer began it gives the database as it was
// after commit n, page for page: a witness that never saw the backup.
func (s Store) Replay(ctx context.Context, n uint64) error {
	w, err := openWriter(s)
	if err != nil {
		return err
	}
	defer w.Close()
	for i := uint64(1); i <= n; i++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := w.live(i); err != nil {
			return err
		}
	}
	_, err = w.db.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	return err
}
