package demostore

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
)

const (
	dayZeroMillis    = 1_600_000_000_000
	millisPerMessage = 90_000
	thumbnailOneIn   = 12 // messages carry a thumbnail
	receiptOneIn     = 3  // messages of a group carry receipts
	checkpointPages  = 400
)

// writer is the messenger's own connection: the one that writes.
type writer struct {
	store Store
	db    *sql.DB
	last  int64 // newest message
	chats int64
}

func openWriter(s Store) (*writer, error) {
	dsn := (&url.URL{Scheme: "file", Path: s.Database(), RawQuery: url.Values{"_pragma": {
		"journal_mode(WAL)", "synchronous(NORMAL)", "busy_timeout(30000)", fmt.Sprintf("wal_autocheckpoint(%d)", checkpointPages),
	}}.Encode()}).String()
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1) // one connection, so that one history gives one file
	w := &writer{store: s, db: db}
	if err := db.Ping(); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	// A store that is only now being made has no tables yet.
	_ = db.QueryRow("SELECT coalesce(max(_id), 0) FROM message").Scan(&w.last)
	_ = db.QueryRow("SELECT count(*) FROM chat").Scan(&w.chats)
	return w, nil
}

func (w *writer) Close() error { return w.db.Close() }

// commit runs do in one transaction and counts it inside: whoever reads the
// database later knows which commit he reads.
func (w *writer) commit(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := w.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	if _, err := tx.Exec("UPDATE demo_commit SET commits = commits + 1"); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

func (w *writer) makeChats(ctx context.Context, r *rand.Rand, n int) error {
	return w.commit(ctx, func(tx *sql.Tx) error {
		for i := 1; i <= n; i++ {
			user := fmt.Sprintf("49%09d%03d", r.IntN(1_000_000_000), i%1000)
			if _, err := tx.Exec("INSERT INTO jid VALUES (?, ?, ?, ?)", i, user, "s.example.net", sentence(r, 2)); err != nil {
				return err
			}
			if _, err := tx.Exec("INSERT INTO chat VALUES (?, ?, ?, 0, NULL, 0)", i, i, sentence(r, 3)); err != nil {
				return err
			}
		}
		w.chats = int64(n)
		return nil
	})
}

// message adds one message with everything that hangs on it. mediaName, when
// not empty, is the medium that it shows.
func (w *writer) message(tx *sql.Tx, r *rand.Rand, mediaName string) error {
	w.last++
	id, text := w.last, sentence(r, 3+r.IntN(18))
	chat := 1 + int64(r.ExpFloat64()*float64(w.chats)/6)%w.chats // a few chats are busy
	at := dayZeroMillis + id*millisPerMessage
	kind := 0
	if mediaName != "" {
		kind = 1
	}
	steps := []step{
		{"INSERT INTO message VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
			[]any{id, chat, id % 2, keyID(r), 1 + r.Int64N(w.chats), 13, at, at + r.Int64N(4000), kind, text, b2i(r.IntN(400) == 0), id}},
		{"INSERT INTO message_ftsv2(rowid, content) VALUES (?, ?)", []any{id, text}},
		{"UPDATE chat SET last_message_row_id = ?, sort_timestamp = ?, unseen = unseen + 1 WHERE _id = ?", []any{id, at, chat}},
	}
	if r.IntN(thumbnailOneIn) == 0 {
		steps = append(steps, step{"INSERT INTO message_thumbnail VALUES (?, ?)", []any{id, picture(r, 1500+r.IntN(4000))}})
	}
	if mediaName != "" {
		steps = append(steps, step{"INSERT INTO message_media VALUES (?,?,?,?,?,?)",
			[]any{id, chat, MediaName + "/" + mediaName, 1 + r.IntN(1<<20), "image/jpeg", keyID(r)}})
	}
	if r.IntN(receiptOneIn) == 0 {
		steps = append(steps, step{"INSERT OR IGNORE INTO receipt_user(message_row_id, receipt_user_jid_row_id, receipt_timestamp) VALUES (?,?,?)",
			[]any{id, 1 + r.Int64N(w.chats), at}})
	}
	return run(tx, steps)
}

// busyMinute is twenty messages, an edit, and now and then a deletion.
func (w *writer) busyMinute(tx *sql.Tx, r *rand.Rand) error {
	for range 20 {
		if err := w.message(tx, r, ""); err != nil {
			return err
		}
	}
	edited, text := 1+r.Int64N(w.last), sentence(r, 8)
	steps := []step{
		{"UPDATE message SET text_data = ? WHERE _id = ?", []any{text, edited}},
		{"UPDATE receipt_user SET read_timestamp = ? WHERE message_row_id > ?", []any{dayZeroMillis + w.last*millisPerMessage, w.last - 20}},
	}
	if r.IntN(4) == 0 {
		steps = append(steps, deletion(1+r.Int64N(w.last))...)
	}
	return run(tx, steps)
}

// amend is edits of old messages, deletions, and the last messages read.
func (w *writer) amend(tx *sql.Tx, r *rand.Rand, edits, deletions int) error {
	steps := []step{{"UPDATE receipt_user SET read_timestamp = ? WHERE message_row_id > ?",
		[]any{dayZeroMillis + w.last*millisPerMessage, w.last - minuteMessages}}}
	for range edits {
		edited := 1 + r.Int64N(w.last)
		steps = append(steps, step{"UPDATE message SET text_data = ? WHERE _id = ?", []any{sentence(r, 8), edited}})
	}
	for range deletions {
		steps = append(steps, deletion(1+r.Int64N(w.last))...)
	}
	return run(tx, steps)
}

// deletion removes a message and what hangs on it.
func deletion(message int64) (steps []step) {
	for _, table := range []string{"message WHERE _id", "message_ftsv2 WHERE rowid", "message_thumbnail WHERE message_row_id"} {
		steps = append(steps, step{"DELETE FROM " + table + " = ?", []any{message}})
	}
	return steps
}

type step struct {
	sql  string
	args []any
}

func run(tx *sql.Tx, steps []step) error {
	for _, s := range steps {
		if _, err := tx.Exec(s.sql, s.args...); err != nil {
			return err
		}
	}
	return nil
}

func keyID(r *rand.Rand) string {
	b := make([]byte, 16)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return hex.EncodeToString(b)
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
