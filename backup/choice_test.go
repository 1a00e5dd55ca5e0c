package backup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"strongroom/store/mem"
)

// plain makes files of the given names under a new folder called data, each
// with its name as content.
func plain(t *testing.T, names ...string) (root string) {
	t.Helper()
	root = filepath.Join(t.TempDir(), "data")
	for _, name := range names {
		full := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func filesBelow(t *testing.T, root string) (out []string) {
	t.Helper()
	for path, x := range takeShadow(t, root) {
		if x.mode.IsRegular() {
			out = append(out, path)
		}
	}
	slices.Sort(out)
	return out
}

func TestRestoreOfSomePaths(t *testing.T) {
	root, st := plain(t, "a/1.jpg", "a/2.txt", "a-b/3.jpg", "a/deep/er/4.jpg", "z/5.txt", "6.txt"), mem.New()
	if err := os.Chmod(filepath.Join(root, "a", "deep"), 0o711); err != nil {
		t.Fatal(err)
	}
	r := mustCreate(t, st)
	mustBackup(t, r, t.TempDir(), root)
	for _, c := range []struct {
		include string
		want    string
	}{
		{"data/a", "data/a/1.jpg data/a/2.txt data/a/deep/er/4.jpg"},
		{"*.jpg", "data/a-b/3.jpg data/a/1.jpg data/a/deep/er/4.jpg"},
		{"/data/a/**/*.jpg", "data/a/1.jpg data/a/deep/er/4.jpg"},
		{root + "/a/deep", "data/a/deep/er/4.jpg"},
		{"data/6.txt\n" + root + "/z/", "data/6.txt data/z/5.txt"},
		{"data/a\n!*.jpg", "data/a/1.jpg data/a/2.txt data/a/deep/er/4.jpg"}, // their folder is chosen
		{root, "data/6.txt data/a-b/3.jpg data/a/1.jpg data/a/2.txt data/a/deep/er/4.jpg data/z/5.txt"},
	} {
		target := t.TempDir()
		_, err := r.Restore(t.Context(), "latest", target, RestoreOptions{Include: strings.Split(c.include, "\n"), Verify: true})
		if got := strings.Join(filesBelow(t, target), " "); err != nil || got != c.want {
			t.Errorf("%q: %s, %v", c.include, got, err)
		}
		if info, err := os.Stat(filepath.Join(target, "data/a/deep")); err == nil && info.Mode().Perm() != 0o711 {
			t.Errorf("%q: a folder on the way has mode %v", c.include, info.Mode())
		}
	}
	// A folder that only leads there and is there already is left alone.
	target := t.TempDir()
	if err := os.MkdirAll(filepath.Join(target, "data"), 0o750); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Restore(t.Context(), "latest", target, RestoreOptions{Include: []string{"data/z"}}); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(target, "data")); err != nil || info.Mode().Perm() != 0o750 {
		t.Error(info.Mode(), err)
	}
	for include, want := range map[string]error{"nothing": ErrSelection, "[": ErrPattern, "": ErrPattern} {
		if _, err := r.Restore(t.Context(), "latest", t.TempDir(), RestoreOptions{Include: []string{include}}); !errors.Is(err, want) {
			t.Errorf("%q: %v", include, err)
		}
	}
}

func TestDryRunSaysWhatWouldBeDone(t *testing.T) {
	root, st := plain(t, "new", "same", "other", "gone/x"), mem.New()
	r := mustCreate(t, st)
	mustBackup(t, r, t.TempDir(), root)
	target := filepath.Join(t.TempDir(), "not there")
	said := map[string]string{}
	dry := func(overwrite bool) RestoreReport {
		t.Helper()
		clear(said)
		report, err := r.Restore(t.Context(), "latest", target, RestoreOptions{DryRun: true, Overwrite: overwrite, Plan: func(path, action string, _ int64) { said[path] = action }})
		if err != nil {
			t.Fatal(err)
		}
		return report
	}
	if report := dry(false); report.Files != 4 || report.Bytes == 0 || len(said) != 6 || said["data/new"] != Write {
		t.Errorf("%+v %v", report, said)
	}
	if _, err := os.Stat(target); !os.IsNotExist(err) {
		t.Fatal("a dry run made its target", err)
	}
	for name, content := range map[string]string{"same": "same", "other": "mine"} {
		if err := os.MkdirAll(filepath.Join(target, "data"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(target, "data", name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before := takeShadow(t, target)
	if report := dry(false); report.Files != 2 || report.FilesKept != 1 || report.Blocked != 1 || said["data/other"] != Blocked || said["data/same"] != Keep {
		t.Errorf("%+v %v", report, said)
	}
	if report := dry(true); report.Files != 3 || report.Blocked != 0 || said["data/other"] != Replace {
		t.Errorf("%+v %v", report, said)
	}
	wantSame(t, before, takeShadow(t, target))
}

// A disk that does not give back what it was given is found out.
func TestVerifyReadsBack(t *testing.T) {
	root, st := plain(t, "a", "b"), mem.New()
	resumeTree(t, root)
	r := mustCreate(t, st)
	mustBackup(t, r, t.TempDir(), root)
	target := t.TempDir()
	lie := func(p Progress) {
		if p.Phase != PhaseCheck || p.Current != "" {
			return
		}
		b, err := os.ReadFile(filepath.Join(target, "data", "msgstore.db"))
		if err == nil {
			b[len(b)/2] ^= 1
			err = os.WriteFile(filepath.Join(target, "data", "msgstore.db"), b, 0o600)
		}
		if err != nil {
			t.Error(err)
		}
	}
	_, err := r.Restore(t.Context(), "latest", target, RestoreOptions{Verify: true, Progress: lie})
	if !errors.Is(err, ErrVerify) || !strings.Contains(err.Error(), "data/msgstore.db") {
		t.Error(err)
	}
	target = t.TempDir()
	report, err := r.Restore(t.Context(), "latest", target, RestoreOptions{Verify: true})
	if err != nil || report.Verified != report.Files || report.Files < 300 {
		t.Errorf("%+v %v", report, err)
	}
}

// Names that a target can not keep get others, each its own, and are named.
func TestNamesThatATargetCanNotKeep(t *testing.T) {
	long := strings.Repeat("ä", 120) + ".jpeg"
	names := []string{"Invoice.txt", "invoice.txt", "INVOICE.txt", "Dir/x", "dir/x", "caf\u00e9", "cafe\u0301", "\xff\xfe", "\xfe", "nul.txt", "COM1", "com¹.x", "end.", "end ", "a:b?", "back\\slash", "CONSOLE", long, "plain"}
	root, st := plain(t, names...), mem.New()
	r := mustCreate(t, st)
	mustBackup(t, r, t.TempDir(), root)
	for system, n := range map[string]naming{
		"linux":   {bytesMax: 255},
		"darwin":  {folds: true, text: true, bytesMax: 255},
		"windows": {folds: true, text: true, windows: true, bytesMax: 255},
		"short":   {bytesMax: 143},
	} {
		target := t.TempDir()
		report, err := r.Restore(t.Context(), "latest", target, RestoreOptions{naming: &n})
		if err != nil {
			t.Fatal(system, err)
		}
		got := takeShadow(t, target)
		contents, folded := map[string]bool{}, map[string]bool{}
		for path, x := range got {
			if x.mode.IsRegular() {
				contents[x.content] = true
			}
			key := newPlacer(n).fold.String(path)
			if n.folds && folded[key] {
				t.Errorf("%s: %q is another's name too", system, path)
			}
			folded[key] = true
			base := filepath.Base(path)
			if n.windows && base != "." && newPlacer(n).fit(base) != base {
				t.Errorf("%s: %q was made", system, path)
			}
			if len(base) > n.bytesMax {
				t.Errorf("%s: %d bytes of name", system, len(base))
			}
		}
		if len(contents) != len(names) {
			t.Errorf("%s: %d of %d files came back", system, len(contents), len(names))
		}
		want := map[string]int{"linux": 0, "darwin": 6, "windows": 13, "short": 1}[system]
		if len(report.Warnings) != want {
			t.Errorf("%s: %d warnings: %v", system, len(report.Warnings), report.Warnings)
		}
		again, err := r.Restore(t.Context(), "latest", target, RestoreOptions{naming: &n})
		if err != nil || again.Files != 0 || again.FilesKept != len(names) {
			t.Errorf("%s: a second restore is not at rest: %+v %v", system, again, err)
		}
	}
}

func ExampleRestoredPaths() {
	fmt.Println(RestoredPaths("/new", []string{"/srv/anna/data", "/media/data"}))
	// Output: [/new/data /new/data-2]
}
