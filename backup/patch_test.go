package backup

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"strongroom/backup/chunk"
	"strongroom/backup/seal"
	"strongroom/store/mem"
)

// A page that is not the one that was backed up is never given out as live,
// nor kept for others to lean on, however its group came to hold it.
func TestPagesAreProved(t *testing.T) {
	const bytes, live, dead, kept = 512, 0, 1, 2
	r, rnd := mustCreate(t, mem.New()), rand.New(rand.NewPCG(41, 1))
	noise := func(pages int) []byte {
		b := make([]byte, pages*bytes)
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		return b
	}
	file, err := unnamedFile()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	p := &patcher{repo: r.pack, bytes: bytes, kept: file}
	plain := noise(3)
	g := &chunk.Group{Pages: []uint32{7, 8, 9}, Live: []bool{true, false, false}, Keep: []int{-1, -1, 0}}
	for i := range g.Pages {
		g.Hashes = append(g.Hashes, r.pack.PageHash(plain[i*bytes:(i+1)*bytes]))
	}
	bent := func(page int) []byte {
		b := slices.Clone(plain)
		b[page*bytes+rnd.IntN(bytes)] ^= 1 << rnd.IntN(8)
		return b
	}
	for _, c := range []struct {
		name  string
		plain []byte
		want  error
	}{
		{"a live page", bent(live), errPage}, {"a kept page", bent(kept), errPage}, {"a dead page", bent(dead), nil},
		{"one page less", plain[bytes:], errPage}, {"a byte less", plain[:len(plain)-1], errPage}, {"as it was", plain, nil},
	} {
		if _, err := p.pages(g, c.plain); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}

	// A difference: page 9 is another now, by what was kept of it.
	base := plain[kept*bytes:]
	now := slices.Clone(base)
	copy(now[100:], "a message")
	d, err := seal.Difference(base, now)
	if err != nil || d == nil {
		t.Fatal(d, err)
	}
	leaning := &chunk.Group{Pages: []uint32{9}, Live: []bool{true}, Bases: []int{0}, Hashes: []chunk.Hash{r.pack.PageHash(now)}}
	if got, err := p.pages(leaning, d); err != nil || string(got) != string(now) {
		t.Fatal("it does not come back:", err)
	}
	if _, err := p.pages(leaning, d[:len(d)-1]); !errors.Is(err, errPage) {
		t.Error("a cut difference:", err)
	}
	if _, err := file.WriteAt(noise(1), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := p.pages(leaning, d); !errors.Is(err, errPage) {
		t.Error("by another page than it was made of:", err)
	}
}

// Attack: a bug, or a program that has K, makes a snapshot say that pages lie
// in segments where others do. Each opens and has its right id. The database is
// lost and named, nothing of it is left, and what is beside it is restored.
func TestRestoreOfOtherPages(t *testing.T) {
	root, stateDir := filepath.Join(t.TempDir(), "data"), t.TempDir()
	path := filepath.Join(root, "msgstore.db")
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatal(err)
	}
	script(t, path, "PRAGMA page_size=65536", "CREATE TABLE m(b BLOB)", "INSERT INTO m VALUES(zeroblob(2500000))")
	note := func(text string) {
		if err := os.WriteFile(filepath.Join(root, "note"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	note("first")
	r := mustCreate(t, mem.New())
	mustBackup(t, r, stateDir, root)
	s, err := r.openState(stateDir)
	if err != nil {
		t.Fatal(err)
	}
	full, err := realPath(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := 0
	changeSeen(t, r, stateDir, func(x *seen) {
		if x.Database == nil {
			return
		}
		image := s.image(full, x)
		if image == nil {
			t.Fatal("no image")
		}
		ids := image.Layers()[0].Groups
		one, two := string(ids[0][:]), string(ids[1][:])
		text := strings.NewReplacer(one, two, two, one).Replace(string(image.Bytes()))
		if image, err = chunk.ParseImage([]byte(text)); err == nil {
			x.Database.Image, err = s.saveImage(full, image)
		}
		if err != nil {
			t.Fatal(err)
		}
		changed++
	})
	if changed != 1 {
		t.Fatal(changed)
	}
	note("second")
	id := mustBackup(t, r, stateDir, root).Snapshot.ID
	target := t.TempDir()
	report, err := r.Restore(t.Context(), id, target, RestoreOptions{})
	if !errors.Is(err, ErrDamaged) {
		t.Fatal(err)
	}
	if lost := slices.Compact(lostFiles(report)); !slices.Equal(lost, []string{"msgstore.db"}) {
		t.Fatalf("lost %q: %+v", lost, report.Damaged)
	}
	entries, err := os.ReadDir(filepath.Join(target, "data"))
	if err != nil || len(entries) != 1 || entries[0].Name() != "note" {
		t.Fatal(entries, err)
	}
	if b, err := os.ReadFile(filepath.Join(target, "data", "note")); err != nil || string(b) != "second" {
		t.Fatal(string(b), err)
	}
}
