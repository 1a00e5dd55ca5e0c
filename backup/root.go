package backup

import (
	"fmt"
	"os"
	"path/filepath"
)

// cleanRoots makes paths absolute, drops repetitions, and proves that each
// is there.
func cleanRoots(paths []string) (roots []string, err error) {
	known := map[string]bool{}
	for _, p := range paths {
		full, err := filepath.Abs(p)
		if err != nil {
			return nil, err
		}
		if _, err := os.Stat(full); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrPath, p, err)
		}
		if !known[full] {
			known[full] = true
			roots = append(roots, full)
		}
	}
	if len(roots) == 0 {
		return nil, fmt.Errorf("%w: none was named", ErrPath)
	}
	return roots, nil
}

// rootNames gives the name under the target that each root is restored to:
// its last element, with -2, -3 and so on where two have the same.
func rootNames(roots []string) []string {
	out := make([]string, len(roots))
	used := map[string]bool{}
	for i, root := range roots {
		base := filepath.Base(filepath.Clean(root))
		if base == "/" || base == "." || base == ".." {
			base = "root"
		}
		name := base
		for n := 2; used[name]; n++ {
			name = fmt.Sprintf("%s-%d", base, n)
		}
		used[name] = true
		out[i] = name
	}
	return out
}

// RestoredPaths gives where a restore into target puts each path of a
// snapshot.
func RestoredPaths(target string, paths []string) []string {
	names := rootNames(paths)
	for i, name := range names {
		names[i] = filepath.Join(target, name)
	}
	return names
}

// realPath is the absolute path without symbolic links.
func realPath(path string) (string, error) {
	full, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(full)
}
