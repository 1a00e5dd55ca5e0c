package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"strongroom/client"
	"strongroom/cmd/internal/demostore"
)

// The demo's comparisons can fail: each is shown one difference.
func TestDemoSeesDifferences(t *testing.T) {
	a, b := demostore.Store{Dir: filepath.Join(t.TempDir(), "a"), Seed: 3}, t.TempDir()
	if err := a.Make(t.Context(), 3_000_000, nil); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(b, "a"), os.DirFS(a.Dir)); err != nil {
		t.Fatal(err)
	}
	isDatabase := func(path string) bool { return filepath.Base(path) == demostore.DatabaseName }
	twin := filepath.Join(b, "a")
	files, _, differ, err := compareTrees(a.Dir, twin, isDatabase)
	if err != nil || files < 5 || len(differ) != 0 {
		t.Fatalf("equal trees: %d files, %v, %v", files, differ, err)
	}
	pages, unlike, err := comparePages(a.Database(), filepath.Join(twin, demostore.DatabaseName))
	if err != nil || pages < 50 || unlike != 0 {
		t.Fatalf("equal databases: %d of %d differ, %v", unlike, pages, err)
	}

	flip(t, filepath.Join(twin, demostore.DatabaseName))
	if _, unlike, err = comparePages(a.Database(), filepath.Join(twin, demostore.DatabaseName)); err != nil || unlike != 1 {
		t.Errorf("one byte of a database flipped: %d pages differ, %v", unlike, err)
	}
	media, err := filepath.Glob(filepath.Join(twin, demostore.MediaName, "*", "*"))
	if err != nil || len(media) < 3 {
		t.Fatal(media, err)
	}
	flip(t, media[0])
	if err := os.Remove(media[1]); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(media[2], 100); err != nil {
		t.Fatal(err)
	}
	if _, _, differ, err = compareTrees(a.Dir, twin, isDatabase); err != nil || len(differ) != 3 {
		t.Errorf("a flip, a loss and a cut give %v, %v", differ, err)
	}
	if _, _, _, err := compareTrees(t.TempDir(), twin, isDatabase); err == nil {
		t.Error("comparing nothing succeeded")
	}
}

func flip(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-1] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A planted key is found in each form.
func TestSearchFindsPlantedKeys(t *testing.T) {
	k := client.NewKey()
	plain := strings.ReplaceAll(k.Reveal(), " ", "")
	for name, leak := range map[string]string{"raw": string(k[:]), "groups": k.Reveal(), "plain": plain, "upper": strings.ToUpper(plain)} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "f"), []byte("xx"+leak+"yy"), 0o600); err != nil {
			t.Fatal(err)
		}
		found, _, err := searchKey(k, dir)
		if err != nil || len(found) == 0 {
			t.Errorf("%s: not found, %v", name, err)
		}
		if found, _, err = searchKey(client.NewKey(), dir); err != nil || len(found) != 0 {
			t.Errorf("%s: another key found, %v", name, err)
		}
	}
}
