package standard

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// source is where a file of vectors comes from.
type source struct {
	module string // "" for the Go distribution's own
	sum    string // as go.sum has it
}

var (
	goSource = source{}
	// circl is in go.mod, and its sum in go.sum.
	circl = source{module: "github.com/cloudflare/circl"}
	// s2a carries Wycheproof's AES-GCM vectors; nothing of it is linked.
	s2a = source{module: "github.com/google/s2a-go@v0.1.11", sum: "h1:7v1V1TraNGP63WptsAkNqr2w8jgm4vM6A6qx6Lsw9iM="}
)

// read gives a file of a source, unpacked.
func (s source) read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(s.folder(t), filepath.FromSlash(name)))
	if err != nil {
		t.Fatalf("%v (a Go distribution without its test data is not enough here)", err)
	}
	if strings.HasSuffix(name, ".gz") {
		r, err := gzip.NewReader(bytes.NewReader(data))
		must(t, err)
		data, err = io.ReadAll(r)
		must(t, err)
	}
	if len(data) == 0 {
		t.Fatalf("%s is empty", name)
	}
	return data
}

func (s source) json(t *testing.T, name string, into any) {
	t.Helper()
	must(t, json.Unmarshal(s.read(t, name), into))
}

func (s source) folder(t *testing.T) string {
	t.Helper()
	if s.module == "" {
		return filepath.Join(strings.TrimSpace(string(run(t, "go", "env", "GOROOT"))), "src")
	}
	var got struct{ Dir, Sum, Error string }
	must(t, json.Unmarshal(run(t, "go", "mod", "download", "-json", s.module), &got))
	if got.Error != "" || got.Dir == "" || s.sum != "" && got.Sum != s.sum {
		t.Fatalf("%s: %q, sum %s, want %s", s.module, got.Error, got.Sum, s.sum)
	}
	return got.Dir
}

func run(t *testing.T, name string, arguments ...string) []byte {
	t.Helper()
	command := exec.Command(name, arguments...)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	output, err := command.Output()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s%s", name, arguments, err, output, stderr.Bytes())
	}
	return output
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// hexBytes is a string of hexadecimal digits in JSON.
type hexBytes []byte

func (h *hexBytes) UnmarshalJSON(text []byte) error {
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	b, err := hex.DecodeString(s)
	*h = b
	return err
}

// ran fails a run that went through fewer vectors than its source held when
// it was pinned.
func ran(t *testing.T, what string, n, want int) {
	t.Helper()
	if n != want {
		t.Errorf("ran %d %s, want %d", n, what, want)
	}
	t.Logf("%d %s", n, what)
}
