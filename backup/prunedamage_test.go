package backup

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"strongroom/backup/pack"
	"strongroom/store/mem"
)

// A pack of which something needed does not open stops no prune: it stays as
// it is and is named, and all others are packed anew. What is damaged in it
// restores once it is made good.
func TestPruneKeepsADamagedPack(t *testing.T) {
	st := mem.New()
	r := mustCreate(t, st)
	root, state := filepath.Join(t.TempDir(), "data"), t.TempDir()
	x := &tree{t: t, root: root, rnd: rand.New(rand.NewPCG(14, 14))}
	x.must(os.MkdirAll(root, 0o755))
	packsOf := map[string]bool{}
	var first map[string]bool
	for i, pair := range [][2]string{{"a", "b"}, {"c", "d"}} {
		for _, name := range pair {
			x.must(os.WriteFile(filepath.Join(root, name), noisy(name[0]), 0o600))
		}
		mustBackup(t, r, state, root)
		x.must(os.Remove(filepath.Join(root, pair[1])))
		for name := range landedTables(t, st) {
			packsOf[name] = true
		}
		if i == 0 {
			first = map[string]bool{}
			for name := range packsOf {
				first[name] = true
			}
		}
	}
	held := takeShadow(t, root)
	last := mustBackup(t, r, state, root).Snapshot.ID
	if _, err := r.Forget(t.Context(), ForgetOptions{StateDir: state, Rules: KeepRules{Last: 1}}); err != nil {
		t.Fatal(err)
	}
	id := r.pack.SegmentID(pack.KindFile, noisy(0x61))
	hurt := &bent{Store: st}
	for name, segments := range landedTables(t, st) {
		for _, s := range segments {
			if s.id == id {
				hurt.name, hurt.bend = name, func(b []byte) []byte { b[s.from+9] ^= 1; return b }
			}
		}
	}
	if !first[hurt.name] {
		t.Fatal("the pack of the first backup was not found")
	}
	for range 3 {
		opened := mustOpen(t, hurt)
		report, err := opened.Prune(t.Context(), PruneOptions{StateDir: state, Host: "test"})
		if err != nil || len(report.Damaged) != 1 || report.Damaged[0].Object != hurt.name || !strings.Contains(report.Damaged[0].What, "segment") {
			t.Fatalf("%+v %v", report.Damaged, err)
		}
	}
	left := landedTables(t, st)
	if left[hurt.name] == nil {
		t.Fatal("the damaged pack is gone")
	}
	gone := 0
	for name := range packsOf {
		if left[name] == nil {
			gone++
		}
	}
	if gone == 0 {
		t.Error("no other pack was packed anew and deleted")
	}
	whole := mustOpen(t, st)
	mustCheck(t, whole)
	wantRestored(t, whole, last, held)
}

// noisy is 30,000 bytes that do not compress.
func noisy(seed byte) []byte {
	b := make([]byte, 30_000)
	rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}
