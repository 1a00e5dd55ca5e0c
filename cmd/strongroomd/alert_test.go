package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"strongroom/client"
)

// operator is a webhook receiver that counts by itself, and drops repeats by
// their id.
type operator struct {
	mu    sync.Mutex
	seen  map[string]bool
	posts int
	kinds []string
	left  []int
	news  chan struct{}
}

func (o *operator) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	var e struct {
		ID, Account, Event string
		AttemptsLeft       int
	}
	if json.NewDecoder(req.Body).Decode(&e) != nil || e.Account != "anna" || req.Header.Get("Authorization") != "Bearer operators-secret" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.posts++; o.posts%5 == 2 { // now and then it can not
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	if !o.seen[e.ID] {
		o.seen[e.ID] = true
		o.kinds, o.left = append(o.kinds, e.Event), append(o.left, e.AttemptsLeft)
	}
	select {
	case o.news <- struct{}{}:
	default:
	}
}

func (o *operator) until(t *testing.T, events int) {
	t.Helper()
	for end := time.After(2 * time.Minute); ; {
		o.mu.Lock()
		n := len(o.kinds)
		o.mu.Unlock()
		if n >= events {
			return
		}
		select {
		case <-o.news:
		case <-end:
			t.Fatalf("%d events came of %d: %v", n, events, o.kinds)
		}
	}
}

// Ten wrong attempts are ten alerts, and one for the destruction, at the
// operator's webhook: through kill -9 of the vault after any of them, and a
// receiver that fails now and then.
func TestOperatorHearsEveryAttempt(t *testing.T) {
	o := &operator{seen: map[string]bool{}, news: make(chan struct{}, 1)}
	hook := httptest.NewServer(o)
	defer hook.Close()
	data, token := t.TempDir(), filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("operators-secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	flags := []string{"--alert-webhook", hook.URL, "--alert-token-file", token, "--ticket-lifetime", "10s"}
	p := launch(t, data, "", flags...)
	if _, err := p.client(t, data, "anna").Register(t.Context(), right, payload()); err != nil {
		t.Fatal(err)
	}
	want, left := []string{"registered"}, []int{10}
	for guess := range 10 {
		var wrong *client.ErrWrongPassword
		if _, _, err := p.client(t, data, "anna").Recover(t.Context(), fmt.Sprintf("wrong password %d", guess)); !errors.As(err, &wrong) {
			t.Fatalf("guess %d: %v", guess+1, err)
		}
		want, left = append(want, "attempt"), append(left, 9-guess)
		if guess%2 == 0 {
			p.cmd.Process.Kill()
			p.cmd.Wait()
			p = launch(t, data, "", flags...)
		}
	}
	want, left = append(want, "destroyed"), append(left, 0)
	o.until(t, len(want))
	o.mu.Lock()
	if !slices.Equal(o.kinds, want) || !slices.Equal(o.left, left) {
		t.Errorf("events %v, left %v", o.kinds, o.left)
	}
	o.mu.Unlock()
	shows(t, data, want)
	noNames(t, data, "anna")
}

// shows checks that strongroomd alerts tells the same, while serve runs.
func shows(t *testing.T, data string, want []string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "alerts", "--data", data)
	cmd.Env = append(os.Environ(), childEnv+"=1", "GOCOVERDIR="+t.TempDir())
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	seen := map[string]bool{}
	for line := range bytes.Lines(out) {
		var e struct{ ID, Event string }
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		if !seen[e.ID] {
			seen[e.ID] = true
			kinds = append(kinds, e.Event)
		}
	}
	if !slices.Equal(kinds, want) {
		t.Errorf("strongroomd alerts shows %v, want %v", kinds, want)
	}
}

// noNames searches what the host keeps of alerts for an account's name.
func noNames(t *testing.T, data, account string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(data, "vault", "alerts", "*"))
	if err != nil || len(files) < 2 {
		t.Fatalf("%d files of alerts, %v", len(files), err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), account) {
			t.Errorf("%s names an account", f)
		}
	}
}
