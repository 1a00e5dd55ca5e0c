package scan

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestWalkLeavesOut(t *testing.T) {
	root := t.TempDir()
	for name, content := range map[string]string{
		"keep/a": "a", "keep/big": strings.Repeat("x", 2000), "keep/a.tmp": "t", "build/out": "o", "src/build/out": "o", "src/main.go": "m", "src/keep.tmp": "k",
		"cache/CACHEDIR.TAG": cacheSignature + "\n# made by a test", "cache/deep/x": "x", "false/CACHEDIR.TAG": "no signature", "false/y": "y",
	} {
		write(t, filepath.Join(root, name), content)
	}
	p, err := ParsePatterns([]string{"*.tmp", "!/src/keep.tmp", "/build", root + "/keep/a"})
	must(t, err)
	w := &Walker{Exclude: p, Caches: true, BytesMax: 1000}
	names, warnings := walk(t, w, root)
	slices.Sort(names)
	want := []string{"", "cache", "cache/CACHEDIR.TAG", "false", "false/CACHEDIR.TAG", "false/y", "keep", "src", "src/build", "src/build/out", "src/keep.tmp", "src/main.go"}
	if !slices.Equal(names, want) || len(warnings) != 0 {
		t.Errorf("%q %v", names, warnings)
	}
	if w.LeftOut != 5 {
		t.Errorf("%d left out: keep/a, keep/big, keep/a.tmp, build, cache/deep", w.LeftOut)
	}
	if names, _ := walk(t, &Walker{}, root); len(names) != 19 {
		t.Errorf("without a word, %d of 19 are found", len(names))
	}
}
