package s3_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"strongroom/store"
	"strongroom/store/s3"
	"strongroom/store/s3/s3test"
)

var errLine = errors.New("the line broke")

// line is a transport that breaks. drop is asked for each PUT of an object,
// but not of the probe.
type line struct {
	mu   sync.Mutex
	puts int // under mu
	drop func(put int) (before, after bool)
	down func(r *http.Request) bool
}

func (l *line) sent() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.puts
}

func (l *line) RoundTrip(r *http.Request) (*http.Response, error) {
	if l.down != nil && l.down(r) {
		return nil, errLine
	}
	if r.Method != http.MethodPut || bytes.HasSuffix([]byte(r.URL.Path), []byte(".conditional-put")) {
		return http.DefaultTransport.RoundTrip(r)
	}
	l.mu.Lock()
	l.puts++
	before, after := l.drop(l.puts)
	l.mu.Unlock()
	if before {
		return nil, errLine
	}
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err == nil && after {
		_, _ = io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
		return nil, errLine
	}
	return answer, err
}

// The answer to the first PUT is lost; the library's retry is refused because
// our own object stands there. That is a success, and the object is ours.
func TestLostAnswer(t *testing.T) {
	g := s3test.Start(t)
	l := &line{drop: func(put int) (bool, bool) { return false, put == 1 }}
	s := open(t, g.URL+"/"+s3test.Bucket, l)
	if err := s.Put(t.Context(), "lost", []byte("mine")); err != nil {
		t.Errorf("Put: %v", err)
	}
	if l.puts != 2 {
		t.Errorf("%d PUTs, the test wanted a retry", l.puts)
	}
	want(t, s, "lost", "mine")
}

// The first request is lost, another writer comes between: the retry finds
// the other's object, with the same bytes even, and says so.
func TestLostRace(t *testing.T) {
	g := s3test.Start(t)
	other := open(t, g.URL+"/"+s3test.Bucket, nil)
	l := &line{}
	l.drop = func(put int) (bool, bool) {
		if put == 1 {
			if err := other.Put(t.Context(), "raced", []byte("same")); err != nil {
				t.Error(err)
			}
		}
		return put == 1, false
	}
	s := open(t, g.URL+"/"+s3test.Bucket, l)
	if err := s.Put(t.Context(), "raced", []byte("same")); !errors.Is(err, store.ErrExists) {
		t.Errorf("Put: %v, want ErrExists", err)
	}
	if l.puts != 2 {
		t.Errorf("%d PUTs, the test wanted a retry", l.puts)
	}
}

// Every answer is lost, the object landed: a look finds it.
func TestAllAnswersLost(t *testing.T) {
	g := s3test.Start(t)
	s := open(t, g.URL+"/"+s3test.Bucket, &line{drop: func(int) (bool, bool) { return false, true }})
	if err := s.Put(t.Context(), "landed", []byte("mine")); err != nil {
		t.Errorf("Put: %v", err)
	}
	want(t, s, "landed", "mine")
}

// Every request is lost: nothing stands there, but one may still be under way.
func TestAllRequestsLost(t *testing.T) {
	g := s3test.Start(t)
	s := open(t, g.URL+"/"+s3test.Bucket, &line{drop: func(int) (bool, bool) { return true, false }})
	if err := s.Put(t.Context(), "gone", []byte("mine")); !errors.Is(err, store.ErrUnknown) {
		t.Errorf("Put: %v, want ErrUnknown", err)
	}
	if _, err := s.Size(t.Context(), "gone"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Size: %v", err)
	}
}

// The line goes down for good in the middle of a PUT.
func TestLineDown(t *testing.T) {
	g := s3test.Start(t)
	l := &line{drop: func(int) (bool, bool) { return false, true }}
	s := open(t, g.URL+"/"+s3test.Bucket, l)
	l.down = func(r *http.Request) bool { return r.Method != http.MethodPut && l.sent() > 0 }
	if err := s.Put(t.Context(), "who-knows", []byte("mine")); !errors.Is(err, store.ErrUnknown) {
		t.Errorf("Put: %v, want ErrUnknown", err)
	}
	if err := s.Delete(t.Context(), "who-knows"); !errors.Is(err, store.ErrUnknown) {
		t.Errorf("Delete: %v, want ErrUnknown", err)
	}
	if _, err := s.Get(t.Context(), "who-knows", 0, -1); err == nil || errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get: %v, want an error that does not say that it is not there", err)
	}
	l.down = nil
	want(t, s, "who-knows", "mine")
}

// A body that breaks off is read again, and never given in part.
func TestCutBody(t *testing.T) {
	g := s3test.Start(t)
	for _, c := range []struct {
		cuts int
		ok   bool
	}{{0, true}, {2, true}, {3, false}} {
		left := c.cuts
		cut := roundTrip(func(r *http.Request) (*http.Response, error) {
			answer, err := http.DefaultTransport.RoundTrip(r)
			if err == nil && r.Method == http.MethodGet && left > 0 {
				left--
				answer.Body = io.NopCloser(io.MultiReader(io.LimitReader(answer.Body, 3), broken{}))
			}
			return answer, err
		})
		s, err := s3.Open(g.URL+"/"+s3test.Bucket, s3.Options{Credentials: keys, Transport: cut, Retries: 3, Region: "us-east-1"})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Put(t.Context(), "cut", []byte("long enough")); err != nil && !errors.Is(err, store.ErrExists) {
			t.Fatal(err)
		}
		data, err := s.Get(t.Context(), "cut", 0, -1)
		if c.ok != (err == nil) || c.ok != (string(data) == "long enough") || left != 0 {
			t.Errorf("%d cuts: %q, %v, %d cuts left", c.cuts, data, err, left)
		}
	}
}

// A storage that takes every PUT, or knows no conditional ones, is found out
// and looked at before each PUT.
func TestUnconditionalStorage(t *testing.T) {
	g := s3test.Start(t)
	for _, status := range []int{http.StatusOK, http.StatusNotImplemented} {
		without := roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.Header.Get("If-None-Match") != "" && status != http.StatusOK {
				return &http.Response{StatusCode: status, Body: http.NoBody, Header: http.Header{}, Request: r}, nil
			}
			return http.DefaultTransport.RoundTrip(r)
		})
		address := g.URL + "/" + s3test.Bucket
		if status == http.StatusOK { // signed headers can not be taken off on the way: a server that ignores them
			address = ignorant(t) + "/bucket"
		}
		s := open(t, address, without)
		traits, err := s.Traits(t.Context())
		if err != nil || traits.Conditional {
			t.Errorf("status %d: traits %+v, %v; want not conditional", status, traits, err)
		}
		if err := s.Put(t.Context(), "once", []byte("first")); err != nil {
			t.Errorf("status %d: Put: %v", status, err)
		}
		if err := s.Put(t.Context(), "once", []byte("second")); !errors.Is(err, store.ErrExists) {
			t.Errorf("status %d: second Put: %v, want ErrExists", status, err)
		}
		want(t, s, "once", "first")
	}
}

// ignorant is a small S3 server that takes every PUT.
func ignorant(t *testing.T) string {
	var mu sync.Mutex
	objects := map[string][]byte{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		data, found := objects[r.URL.Path]
		switch {
		case r.Method == http.MethodPut:
			data, _ = io.ReadAll(r.Body)
			if head, rest, chunked := bytes.Cut(data, []byte("\r\n")); chunked { // aws-chunked: one chunk is all these tests send
				size, _ := strconv.ParseInt(string(head[:bytes.IndexByte(append(head, ';'), ';')]), 16, 64)
				data = rest[:size]
			}
			objects[r.URL.Path] = data
			w.Header().Set("ETag", `"d41d8cd98f00b204e9800998ecf8427e"`)
		case r.URL.RawQuery == "location=":
			_, _ = io.WriteString(w, "<LocationConstraint></LocationConstraint>")
		case !found:
			w.WriteHeader(http.StatusNotFound)
		default:
			w.Header().Set("ETag", `"x"`)
			w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
			w.Header().Set("Content-Length", strconv.Itoa(len(data)))
			_, _ = w.Write(data)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errLine }

func want(t *testing.T, s store.Store, name, text string) {
	t.Helper()
	data, err := s.Get(t.Context(), name, 0, -1)
	if err != nil || string(data) != text {
		t.Errorf("Get %s: %q, %v; want %q", name, data, err, text)
	}
}
