package backup

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"strongroom/store/s3"
	"strongroom/store/s3/s3test"
)

// wire counts the requests that go out to a real server, by method and what
// they are for.
type wire struct {
	mu    sync.Mutex
	asked map[string]int // guarded by mu: "GET p/"
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	what := r.URL.RawQuery
	if _, object, found := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"+s3test.Bucket), "/"); found && what == "" {
		what = object[:min(2, len(object))]
	} else if strings.Contains(what, "list-type") {
		what = "list"
	}
	w.mu.Lock()
	w.asked[r.Method+" "+what]++
	w.mu.Unlock()
	return http.DefaultTransport.RoundTrip(r)
}

// take gives what was counted since the last time.
func (w *wire) take() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.asked
	w.asked = map[string]int{}
	return out
}

// Over S3 a restore sends at most 1.2 GETs for each pack, and few for what is
// none: counted at the wire, to a real server.
func TestRestoreOverS3(t *testing.T) {
	const files, fileBytes, days = 320, 200 << 10, 10
	g, w := s3test.Start(t), &wire{asked: map[string]int{}}
	st, err := s3.Open(g.URL+"/"+s3test.Bucket, s3.Options{Region: "us-east-1", Transport: w,
		Credentials: s3.Credentials{AccessKeyID: s3test.AccessKeyID, SecretAccessKey: s3test.SecretAccessKey}})
	if err != nil {
		t.Fatal(err)
	}
	root, state := filepath.Join(t.TempDir(), "data"), t.TempDir()
	mustFolder(t, root)
	noise, buf := rand.NewChaCha8([32]byte{8}), make([]byte, fileBytes)
	add := func(name string) {
		noise.Read(buf)
		if err := os.WriteFile(filepath.Join(root, name), buf, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i := range files {
		add(fmt.Sprint(i))
	}
	r := mustCreate(t, st)
	for day := range days {
		add(fmt.Sprint("day", day))
		mustBackup(t, r, state, root)
	}
	held := takeShadow(t, root)
	packs := countObjects(t, st, "p/")
	if r, err = Open(t.Context(), st, testKey); err != nil {
		t.Fatal(err)
	}
	w.take()
	target := mustRestore(t, r, "latest", "")
	asked := w.take()
	t.Logf("%d packs: %v", packs, asked)
	if n := asked["GET p/"]; packs < 2*days || n == 0 || n*10 > packs*12 {
		t.Errorf("%d GETs for %d packs", n, packs)
	}
	others := 0
	for what, n := range asked {
		if what != "GET p/" {
			others += n
		}
	}
	const heads, indexes, manifest, lists = 8, days, 1, 3
	if others > heads+indexes+manifest+lists {
		t.Errorf("%d requests for what is no pack: %v", others, asked)
	}
	wantSame(t, held, takeShadow(t, filepath.Join(target, "data")))
}
