package mutants

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"strongroom/test/soak"
)

const top = "../.."

// Bugs of a run.
const (
	plantedEveryday = 5
	plantedLong     = 63
)

// TestPlantedBugsAreFound: with each bug in, the named test fails; it passes
// without, which `go test` of its own room shows.
func TestPlantedBugsAreFound(t *testing.T) {
	caught := 0
	for _, b := range bugs {
		if !b.everyday && !soak.Long() {
			continue
		}
		t.Run(b.name, func(t *testing.T) {
			if b.caught(t) {
				caught++
			}
		})
	}
	soak.Tried(t, "P0", "planted bugs, each caught by the test that is named for it", caught, soak.Size(plantedEveryday, plantedLong))
}

// TestNoBugIsRotten: each can be planted, also those that only a soak runs.
func TestNoBugIsRotten(t *testing.T) {
	if len(bugs) < plantedLong {
		t.Errorf("only %d bugs", len(bugs))
	}
	for _, b := range bugs {
		if n := strings.Count(b.text(t), b.was); n != 1 {
			t.Errorf("%s: %q stands %d times in %s: plant it anew", b.name, b.was, n, b.file)
		}
	}
}

func (b bug) text(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(top, b.file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (b bug) caught(t *testing.T) bool {
	t.Helper()
	was, err := filepath.Abs(filepath.Join(top, b.file))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	is, overlay := filepath.Join(dir, "bug.go"), filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(is, []byte(strings.Replace(b.text(t), b.was, b.is, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	paths, err := json.Marshal(map[string]map[string]string{"Replace": {was: is}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(overlay, paths, 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command("go", "test", "-count=1", "-vet=off", "-run", "^"+b.test+"$", "./"+b.room)
	command.Dir = top
	// By environment, so that a test which builds a program builds it in too.
	// The bug is tried at the everyday size, also in a soak.
	command.Env = append(os.Environ(), "GOFLAGS="+os.Getenv("GOFLAGS")+" -overlay="+overlay, "CGO_ENABLED=0", soak.Variable+"=")
	output, err := command.CombinedOutput()
	switch {
	case err == nil:
		t.Errorf("%s %s does not find it", b.room, b.test)
		return false
	case !strings.Contains(string(output), "--- FAIL: "+b.test):
		t.Errorf("%s %s did not run: %v\n%s", b.room, b.test, err, output)
		return false
	}
	return true
}
