package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"strongroom/cmd/internal/serve"
)

// status is for an eye that looks, and its exit code for a script that does not.
func TestStatus(t *testing.T) {
	lag := uint64(12)
	s := serve.Status{
		Fleet: "f1", Pin: "PIN", Box: "aa01", Boxes: []serve.StatusBox{
			{Box: "aa01", Name: "amber", Self: true, Heard: true, HSM: "tpm", Role: "leader", Applied: 99, Root: "0123456789", RootAt: 90, Epoch: 4},
			{Box: "bb02", HSM: "soft", Role: "follower", Lag: &lag, Line: &serve.StatusLine{Failure: "refused\x1b[2J"}},
		},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/status" {
			http.NotFound(w, r)
			return
		}
		json.NewEncoder(w).Encode(s)
	}))
	defer server.Close()
	status := func(args ...string) (int, string, string) {
		var out, err bytes.Buffer
		code := run(append([]string{"status"}, args...), streams{&out, &err})
		return code, out.String(), err.String()
	}
	code, out, _ := status("--admin", strings.TrimPrefix(server.URL, "http://"))
	for _, want := range []string{"serving", "amber *", "leader", "01234567 at 90", "bb02", " 12 ", "tpm", "NO", "down: refused"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if code != 0 || strings.Contains(out, "\x1b") {
		t.Errorf("%d %q", code, out)
	}
	s.Trouble = "no box leads"
	code, out, err := status("--admin", server.URL+"/")
	if code != exitFailed || !strings.Contains(out, "NOT SERVING: no box leads") || !strings.Contains(err, "no box leads") {
		t.Errorf("%d %q %q", code, out, err)
	}
	code, out, _ = status("--admin", server.URL, "--json")
	if got := (serve.Status{}); code != exitFailed || json.Unmarshal([]byte(out), &got) != nil || got.Trouble != s.Trouble {
		t.Errorf("%d %q", code, out)
	}
	public := httptest.NewServer(http.NotFoundHandler())
	defer public.Close()
	if code, _, err := status("--admin", public.URL); code != exitFailed || !strings.Contains(err, "not the public one") {
		t.Errorf("%d %q", code, err)
	}
	public.Close()
	if code, _, err := status("--admin", public.URL); code != exitFailed || !strings.Contains(err, "does not answer") {
		t.Errorf("%d %q", code, err)
	}
	if run([]string{"status", "--help"}, streams{io.Discard, io.Discard}) != 0 {
		t.Error("no help")
	}
}
