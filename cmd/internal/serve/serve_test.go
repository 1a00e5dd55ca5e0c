package serve_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"strongroom/cmd/internal/serve"
	"strongroom/hsm/soft"
	"strongroom/protocol/bundle"
	"strongroom/protocol/wire"
)

func config(data string) serve.Config {
	return serve.Config{Data: data, Listen: "127.0.0.1:0", Admin: "127.0.0.1:0", Stretch: soft.Cheap, Waits: serve.WaitsNone}
}

func start(t *testing.T, c serve.Config) *serve.Server {
	t.Helper()
	s, err := serve.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Stop() })
	return s
}

// get answers status and body.
func get(t *testing.T, url string) (int, []byte) {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, b
}

// post sends a sealed frame as a client does.
func post(t *testing.T, url, token string, sealed []byte) (int, []byte) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, url+"/v1/vault", bytes.NewReader(sealed))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, b
}

// code is the refusal in an answer in clear; its message must be a sentence.
func code(t *testing.T, body []byte) wire.Code {
	t.Helper()
	var refusal struct {
		Refused wire.Code
		Message string
	}
	if err := json.Unmarshal(body, &refusal); err != nil {
		t.Fatalf("%v: %q", err, body)
	}
	if !strings.HasSuffix(refusal.Message, ".") {
		t.Fatalf("the message is no sentence: %q", refusal.Message)
	}
	return refusal.Refused
}

func TestServe(t *testing.T) {
	s := start(t, config(t.TempDir()))
	if status, document := get(t, s.URL+"/v1/fleet"); status != 200 || bundle.PinOf(document) != s.Pin {
		t.Fatalf("%d, %x", status, document)
	}
	if status, body := get(t, s.URL+"/healthz"); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	if status, body := post(t, s.URL, "no token", nil); status != 401 || code(t, body) != wire.CodeRelayToken {
		t.Fatalf("%d %s", status, body)
	}
	tokens, err := s.IssueTokens("alice", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if status, body := post(t, s.URL, tokens.Vault, nil); status != 401 || code(t, body) != wire.CodeRelayToken {
		t.Fatalf("the vault's token at the relay: %d %s", status, body)
	}
	for _, sealed := range [][]byte{nil, {0}, []byte("not a sealed frame"), bytes.Repeat([]byte{1}, 3000)} {
		if status, body := post(t, s.URL, tokens.Relay, sealed); status != 400 || code(t, body) != wire.CodeSealing {
			t.Fatalf("%x: %d %s", sealed[:min(4, len(sealed))], status, body)
		}
	}
	if status, body := post(t, s.URL, tokens.Relay, make([]byte, wire.RequestBytesMax+1)); status != 413 || code(t, body) != wire.CodeTooLarge {
		t.Fatalf("%d %s", status, body)
	}
	_, text := get(t, s.AdminURL+"/metrics")
	for _, line := range []string{
		`strongroom_requests_total{outcome="sealing"} 4`, `strongroom_requests_total{outcome="too-large"} 1`,
		`strongroom_requests_total{outcome="relay-token"} 2`, "strongroom_up 1", "strongroom_in_flight 0",
		"strongroom_build_info", "strongroom_log_entries 0", `strongroom_box_events_total{event="debited"} 0`,
	} {
		if !strings.Contains(string(text), line) {
			t.Errorf("/metrics lacks %s", line)
		}
	}
	if strings.Contains(string(text), "alice") {
		t.Error("/metrics names an account")
	}
	if status, _ := get(t, s.URL+"/metrics"); status != 404 {
		t.Errorf("/metrics is public: %d", status)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := http.Get(s.URL + "/healthz"); err == nil {
		t.Error("it still listens after Stop")
	}
}

// The fleet, its pin and its tokens are the same after a restart.
func TestRestart(t *testing.T) {
	data := t.TempDir()
	first := start(t, config(data))
	if !first.Founded || !first.Beside || !first.OwnIssuer {
		t.Fatalf("%+v", first)
	}
	if _, err := serve.Start(t.Context(), config(data)); !errors.Is(err, serve.ErrInUse) {
		t.Fatalf("a second process on one folder: %v", err)
	}
	first.Stop()
	second := start(t, config(data))
	if second.Founded || second.Pin != first.Pin {
		t.Fatal("the restart made another fleet")
	}
	for _, name := range []string{".", "vault", "vault/hsm", "vault/log"} {
		if info, err := os.Stat(filepath.Join(data, name)); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v %v", name, info.Mode(), err)
		}
	}
	for _, name := range []string{"fleet.cbor", "island.sealed", "issuer.key", "hsm.passphrase"} {
		if info, err := os.Stat(filepath.Join(data, "vault", name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, info.Mode(), err)
		}
	}
}

func TestContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s, err := serve.Start(ctx, config(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	<-s.Done()
	if s.Err() != nil {
		t.Fatal(s.Err())
	}
}

// A service over an empty disk makes no fleet.
func TestExistingMakesNone(t *testing.T) {
	c := config(filepath.Join(t.TempDir(), "empty"))
	c.Existing = true
	if _, err := serve.Start(t.Context(), c); !errors.Is(err, serve.ErrNoVault) {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(c.Data, "vault")); err == nil {
		t.Fatal("a vault was made")
	}
	c.Existing = false
	start(t, c).Stop()
	c.Existing = true
	start(t, c)
}

// The admin address of a box that is the only one shows that too, with nothing
// fetched from elsewhere and no script.
func TestStatusOfOne(t *testing.T) {
	s := start(t, config(t.TempDir()))
	status, page := get(t, s.AdminURL+"/")
	if status != 200 || !bytes.Contains(page, []byte("Serving.")) || bytes.Contains(page, []byte("<script")) || bytes.Contains(page, []byte("//")) {
		t.Fatalf("%d\n%s", status, page)
	}
	var said serve.Status
	_, text := get(t, s.AdminURL+"/status")
	if err := json.Unmarshal(text, &said); err != nil {
		t.Fatal(err)
	}
	if said.Pin != s.Pin.String() || said.Trouble != "" || len(said.Boxes) != 1 || said.Boxes[0].HSM != "soft" || said.Boxes[0].Role != "alone" {
		t.Fatalf("%s", text)
	}
	if status, _ := get(t, s.URL+"/status"); status != 404 {
		t.Errorf("/status is public: %d", status)
	}
	if status, _ := get(t, s.AdminURL+"/anything"); status != 404 {
		t.Errorf("the page is at every path: %d", status)
	}
}
