package rclone_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"strongroom/store"
	"strongroom/store/contract"
	"strongroom/store/rclone"
	"strongroom/store/rclone/rclonetest"
	"strongroom/store/storetest"
)

var conf rclonetest.Config

// rclone reads one configuration a process.
func TestMain(m *testing.M) {
	folder, err := os.MkdirTemp("", "rclone-test-")
	if err != nil {
		panic(err)
	}
	conf.Path = filepath.Join(folder, "rclone.conf")
	os.Setenv("RCLONE_CONFIG", conf.Path)
	code := m.Run()
	os.RemoveAll(folder)
	os.Exit(code)
}

func TestContract(t *testing.T) {
	folder := t.TempDir()
	conf.Add(t, "disk", "local")
	conf.Add(t, "short", "alias", "remote", "disk:"+folder)
	conf.Add(t, "hidden", "crypt", "remote", "disk:"+t.TempDir(), "password", "uGZGP-9Tt2h8GsXnYuVeSYs8bg")
	rclonetest.WebDAV(t, &conf, "dav")
	rclonetest.SFTP(t, &conf, "ssh")
	for _, remote := range []string{"short:", "dav:", "ssh:backups/", "hidden:x"} {
		t.Run(strings.Trim(remote, ":/"), func(t *testing.T) {
			n := 0
			storetest.RunShared(t, contract.Short, func(t *testing.T) contract.Open {
				n++
				mine := fmt.Sprintf("%sfresh-%d", remote, n)
				return func() (store.Store, error) {
					s, err := rclone.Open(mine)
					return store.Retry(s, nil), err // as it is used: a server may be busy with its own unfinished files
				}
			})
		})
	}
}

// Every claim that is made for a storage without conditional writes.
func TestTraits(t *testing.T) {
	conf.Add(t, "traits", "local")
	s := open(t, "traits:"+t.TempDir())
	if traits, err := s.Traits(t.Context()); err != nil || traits.Conditional {
		t.Errorf("%+v, %v: nothing of rclone has conditional writes", traits, err)
	}
}

func TestAddresses(t *testing.T) {
	conf.Add(t, "cloud", "b2")
	conf.Add(t, "here", "local")
	for _, c := range []struct{ remote, says string }{
		{"", "rclone:REMOTE:PATH"},
		{"/plain/path", "rclone:REMOTE:PATH"},
		{":local:/x", "holds no settings"},
		{"here,canary=secret:x", "holds no settings"},
		{"nobody:x", `no remote is called "nobody"`},
		{"cloud:x", `of the kind "b2", which is not built in`},
	} {
		_, err := rclone.Open(c.remote)
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: %v, want %q", c.remote, err, c.says)
		}
	}
	if s := open(t, "here:/a/b/"); s.Location() != "rclone:here:/a/b" {
		t.Error(s.Location())
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := open(t, "here:"+file).Size(t.Context(), "a")
	if store.ClassOf(err) != store.Refused || !strings.Contains(err.Error(), "is a file") {
		t.Errorf("a file as the folder: %v", err)
	}
}

// A killed upload leaves nothing under the name, and goes after a day.
func TestTornUpload(t *testing.T) {
	folder := rclonetest.WebDAV(t, &conf, "torn")
	if err := os.MkdirAll(filepath.Join(folder, ".tmp"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, age := range map[string]time.Duration{"put-old": 25 * time.Hour, "put-young": time.Hour} {
		path := filepath.Join(folder, ".tmp", name)
		when := time.Now().Add(-age)
		if err := errors.Join(os.WriteFile(path, []byte("torn"), 0o600), os.Chtimes(path, when, when)); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, "torn:")
	ctx, cancel := context.WithCancel(t.Context())
	cut := store.Watch(cancelling{s, cancel}, time.Minute)
	if err := cut.Put(ctx, "p/torn", storetest.Bytes(1, 4<<20)); err == nil {
		t.Error("a cancelled Put said nothing")
	}
	if _, err := s.Size(t.Context(), "p/torn"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Size of a torn upload: %v", err)
	}
	if err := s.Put(t.Context(), "p/whole", []byte("x")); err != nil {
		t.Fatal(err)
	}
	left, _ := os.ReadDir(filepath.Join(folder, ".tmp"))
	for _, entry := range left {
		if entry.Name() != "put-young" {
			t.Errorf("%s is left", entry.Name())
		}
	}
	for info, err := range s.List(t.Context(), "") {
		if err != nil || info.Name != "p/whole" {
			t.Errorf("listed %s, %v", info.Name, err)
		}
	}
}

// cancelling ends a Put's context when its upload has begun.
type cancelling struct {
	store.Store
	cancel func()
}

func (c cancelling) Put(ctx context.Context, name string, data []byte) error {
	time.AfterFunc(time.Millisecond, c.cancel)
	return c.Store.Put(ctx, name, data)
}

// What a WebDAV server answers has its class.
func TestRefusals(t *testing.T) {
	for i, c := range []struct {
		status int
		class  store.Class
		says   string
	}{
		{401, store.Refused, "rclone config"},
		{403, store.Refused, "rclone config"},
		{507, store.Full, "no room left"},
		{503, store.Temporary, "503"},
		{500, store.Temporary, "500"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "PROPFIND" && c.status == 507 {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			if r.Method == "MKCOL" {
				w.WriteHeader(http.StatusCreated)
				return
			}
			w.WriteHeader(c.status)
		}))
		name := fmt.Sprintf("refusing-%d", i)
		conf.Add(t, name, "webdav", "url", server.URL, "vendor", "other", "pacer_min_sleep", "1ms")
		err := open(t, name+":").Put(t.Context(), "a", []byte("x"))
		if err == nil || store.ClassOf(err) != c.class || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%d: class %v, %v; want %v and %q", c.status, store.ClassOf(err), err, c.class, c.says)
		}
		server.Close()
	}
}

func open(t *testing.T, remote string) *rclone.Store {
	t.Helper()
	s, err := rclone.Open(remote)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
