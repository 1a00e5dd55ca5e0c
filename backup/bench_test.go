package backup

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"strongroom/store/dir"
)

// Sizes of the benchmarks' data: a database and media that do not compress.
const (
	benchFiles     = 400
	benchFileBytes = 100 << 10
	benchRows      = 60_000
)

func benchTree(b *testing.B) (root string, bytes int64) {
	b.Helper()
	root = filepath.Join(b.TempDir(), "data")
	if err := os.MkdirAll(filepath.Join(root, "media"), 0o755); err != nil {
		b.Fatal(err)
	}
	chacha := rand.NewChaCha8([32]byte{1})
	buf := make([]byte, benchFileBytes)
	for i := range benchFiles {
		chacha.Read(buf)
		if err := os.WriteFile(filepath.Join(root, "media", fmt.Sprint(i)), buf, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	db := filepath.Join(root, "msgstore.db")
	script(b, db, "CREATE TABLE m(id INTEGER PRIMARY KEY, body TEXT, tag BLOB)", "CREATE INDEX mt ON m(tag)",
		fmt.Sprintf("WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c WHERE x<%d) INSERT INTO m SELECT x, 'the message number '||x||' says '||hex(randomblob(200)), randomblob(12) FROM c", benchRows))
	info, err := os.Stat(db)
	if err != nil {
		b.Fatal(err)
	}
	return root, info.Size() + benchFiles*benchFileBytes
}

func benchRepository(b *testing.B) *Repository {
	b.Helper()
	st, err := dir.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	return mustCreate(b, st)
}

func BenchmarkBackupFirst(b *testing.B) {
	root, bytes := benchTree(b)
	b.SetBytes(bytes)
	for b.Loop() {
		b.StopTimer()
		r := benchRepository(b)
		b.StartTimer()
		mustBackup(b, r, b.TempDir(), root)
	}
}

// BenchmarkBackupAgain: a thousand rows changed since the last backup.
func BenchmarkBackupAgain(b *testing.B) {
	root, bytes := benchTree(b)
	b.SetBytes(bytes)
	r, state := benchRepository(b), b.TempDir()
	mustBackup(b, r, state, root)
	sent := int64(0)
	for b.Loop() {
		b.StopTimer()
		script(b, filepath.Join(root, "msgstore.db"), fmt.Sprintf("UPDATE m SET tag = randomblob(12) WHERE id %% 60 = %d", rand.IntN(60)))
		b.StartTimer()
		sent += mustBackup(b, r, state, root).BytesSent
	}
	b.ReportMetric(float64(sent)/float64(b.N), "sent-B/op")
}

// BenchmarkBackupUnchanged: nothing changed since the last backup.
func BenchmarkBackupUnchanged(b *testing.B) {
	root, bytes := benchTree(b)
	b.SetBytes(bytes)
	r, state := benchRepository(b), b.TempDir()
	mustBackup(b, r, state, root)
	for b.Loop() {
		mustBackup(b, r, state, root)
	}
}

func BenchmarkRestore(b *testing.B) {
	root, bytes := benchTree(b)
	b.SetBytes(bytes)
	r := benchRepository(b)
	mustBackup(b, r, b.TempDir(), root)
	for b.Loop() {
		mustRestore(b, r, "latest", "")
	}
}

func BenchmarkCheck(b *testing.B) {
	root, bytes := benchTree(b)
	b.SetBytes(bytes)
	r := benchRepository(b)
	mustBackup(b, r, b.TempDir(), root)
	for b.Loop() {
		mustCheck(b, r)
	}
}
