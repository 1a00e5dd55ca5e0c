package scan

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite", with SQLITE_ENABLE_DBPAGE_VTAB
)

// Side files of a SQLite database. What they hold is in a snapshot.
var sideSuffixes = []string{"-wal", "-shm", "-journal"}

// SideFiles gives the paths of the files that SQLite keeps beside a database.
func SideFiles(database string) (out []string) {
	for _, s := range sideSuffixes {
		out = append(out, database+s)
	}
	return out
}

var (
	// ErrDatabase: SQLite can not read this file as a database.
	ErrDatabase = errors.New("SQLite can not read it")
	// ErrReadOnly: a WAL database in a folder that may not be written to,
	// so that SQLite can not take its place among the readers.
	ErrReadOnly = errors.New("a WAL database whose folder is read-only")
)

// Snapshot is one commit of a live database: a read transaction. It must be
// closed soon: in WAL mode the log grows meanwhile, in rollback mode
// writers wait.
type Snapshot struct {
	PageBytes uint32
	Pages     uint32

	db   *sql.DB
	conn *sql.Conn
	path string
	seen *Stat // set if the file is read as immutable: must not change
}

// OpenDatabase begins a read transaction on a live SQLite database, in WAL or
// rollback mode, waiting at most busy for a writer that holds the file.
func OpenDatabase(ctx context.Context, path string, busy time.Duration) (*Snapshot, error) {
	s, err := begin(ctx, path, fmt.Sprintf("mode=ro&_pragma=busy_timeout(%d)", busy.Milliseconds()))
	if err == nil || ctx.Err() != nil {
		return s, err
	}
	frozen, frozenErr := openFrozen(ctx, path)
	if frozenErr == nil {
		return frozen, nil
	}
	if errors.Is(frozenErr, ErrReadOnly) {
		return nil, frozenErr
	}
	if errors.Is(err, ErrDatabase) {
		return nil, err
	}
	return nil, fmt.Errorf("%w: %w", ErrDatabase, err)
}

// openFrozen opens a WAL database in a folder that this process may not
// write to, if no log lies beside it: then nobody has it open, and the file
// is all there is. Close tells if that changed meanwhile.
func openFrozen(ctx context.Context, path string) (*Snapshot, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if writable(filepath.Dir(path)) {
		return nil, ErrDatabase
	}
	for _, side := range SideFiles(path) {
		if info, err := os.Lstat(side); err == nil && info.Size() > 0 {
			return nil, ErrReadOnly
		}
	}
	s, err := begin(ctx, path, "mode=ro&immutable=1")
	if err != nil {
		return nil, err
	}
	seen := StatOf(info)
	s.seen = &seen
	return s, nil
}

// begin opens the database by a URI (sqlite.org/uri.html) and pins one commit.
func begin(ctx context.Context, path, query string) (*Snapshot, error) {
	uri := "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + query
	db, err := sql.Open("sqlite", uri)
	if err != nil {
		return nil, err
	}
	s := &Snapshot{db: db, path: path}
	if s.conn, err = db.Conn(ctx); err != nil {
		db.Close()
		return nil, err
	}
	if err := s.pin(ctx); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *Snapshot) pin(ctx context.Context) error {
	if _, err := s.conn.ExecContext(ctx, "BEGIN"); err != nil {
		return err
	}
	if err := s.conn.QueryRowContext(ctx, "PRAGMA page_count").Scan(&s.Pages); err != nil {
		return err
	}
	if err := s.conn.QueryRowContext(ctx, "PRAGMA page_size").Scan(&s.PageBytes); err != nil {
		return err
	}
	return s.checkSize()
}

// checkSize holds the number of pages against the bytes that are there: each
// page, but SQLite's lock page, lies in the file or in its log. Attack: a log of one kilobyte whose
// commit says that the database has four billion pages; SQLite believes it and
// gives zeros for each, for days. Both files only grow while the transaction
// is open, so the sizes of now will do.
func (s *Snapshot) checkSize() error {
	var there int64
	for _, path := range []string{s.path, s.path + "-wal"} {
		info, err := os.Stat(path)
		if err == nil {
			there += info.Size()
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if (int64(s.Pages)-1)*int64(s.PageBytes) > there {
		return fmt.Errorf("%w: it says %d pages of %d bytes, and only %d bytes are there", ErrDatabase, s.Pages, s.PageBytes, there)
	}
	return nil
}

// Each gives every page in ascending order; the page is page's own only
// while it runs.
func (s *Snapshot) Each(ctx context.Context, page func(number uint32, data []byte) error) error {
	next := uint32(1)
	err := s.query(ctx, "SELECT pgno, data FROM sqlite_dbpage", nil, func(number uint32, data []byte) error {
		if number != next {
			return fmt.Errorf("%w: page %d where page %d was due", ErrDatabase, number, next)
		}
		next++
		return page(number, data)
	})
	if err == nil && next-1 != s.Pages {
		err = fmt.Errorf("%w: %d pages where %d were due", ErrDatabase, next-1, s.Pages)
	}
	return err
}

// someMax is how many pages one query asks for.
const someMax = 4096

// Some gives the pages with these numbers, in the order of the numbers; the
// page is page's own only while it runs. One query for each page would take
// longer than to read it.
func (s *Snapshot) Some(ctx context.Context, numbers []uint32, page func(number uint32, data []byte) error) error {
	for part := range slices.Chunk(numbers, someMax) {
		list, err := json.Marshal(part)
		if err != nil {
			return err
		}
		left := part
		err = s.query(ctx, "SELECT p.pgno, p.data FROM json_each(?) AS n CROSS JOIN sqlite_dbpage AS p WHERE p.pgno = n.value", []any{string(list)},
			func(number uint32, data []byte) error {
				if len(left) == 0 || number != left[0] {
					return fmt.Errorf("%w: page %d was not due", ErrDatabase, number)
				}
				left = left[1:]
				return page(number, data)
			})
		if err != nil {
			return err
		}
		if len(left) > 0 {
			return fmt.Errorf("%w: page %d is not there", ErrDatabase, left[0])
		}
	}
	return nil
}

// query gives the rows of a query, each a number and its page.
//
// The driver is not told of ctx: it would make a goroutine for each query that
// waits for its end, and ask it at every row, which costs more than the row. It
// does not wait for anybody, since pin has taken the lock that readers need.
func (s *Snapshot) query(ctx context.Context, query string, args []any, page func(number uint32, data []byte) error) error {
	rows, err := s.conn.QueryContext(context.WithoutCancel(ctx), query, args...)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDatabase, err)
	}
	defer rows.Close()
	for rows.Next() {
		var number uint32
		var data sql.RawBytes
		if err := errors.Join(ctx.Err(), rows.Scan(&number, &data)); err != nil {
			return err
		}
		if len(data) != int(s.PageBytes) {
			return fmt.Errorf("%w: page %d has %d bytes", ErrDatabase, number, len(data))
		}
		if err := page(number, data); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrDatabase, err)
	}
	return nil
}

// Close ends the read transaction. ErrReadOnly: the file was read as one that
// nobody writes, and somebody did: what was read is of no use.
func (s *Snapshot) Close() error {
	s.close()
	if s.seen == nil {
		return nil
	}
	info, err := os.Stat(s.path)
	if err != nil || StatOf(info) != *s.seen {
		return fmt.Errorf("%w, and it changed while it was read", ErrReadOnly)
	}
	for _, side := range SideFiles(s.path) {
		if info, err := os.Lstat(side); err == nil && info.Size() > 0 {
			return fmt.Errorf("%w, and it was opened while it was read", ErrReadOnly)
		}
	}
	return nil
}

func (s *Snapshot) close() {
	s.conn.Close()
	s.db.Close()
}
