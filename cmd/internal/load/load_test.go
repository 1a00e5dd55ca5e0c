//go:build linux

package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/pprof/profile"

	"strongroom/client"
)

// The vault's process is this test's own binary, told by these variables.
const (
	dataVariable    = "STRONGROOM_LOAD_DATA"
	profileVariable = "STRONGROOM_LOAD_PROFILE"
)

func TestMain(m *testing.M) {
	if data := os.Getenv(dataVariable); data != "" {
		if serveProfiled(context.Background(), data, os.Getenv(profileVariable)) != nil {
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func startVault(t *testing.T, data string) *server {
	t.Helper()
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(own)
	cmd.Env = append(os.Environ(), dataVariable+"="+data, profileVariable+"="+filepath.Join(t.TempDir(), "cpu.pprof"))
	s, err := awaitServer(cmd, data)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.stop)
	return s
}

// Every login that is counted was one of the vault's: its own count of an
// account's attempts says so. A login that fails fails the round.
func TestDrive(t *testing.T) {
	s := startVault(t, filepath.Join(t.TempDir(), "vault"))
	var accounts []*account
	for _, name := range []string{"anna", "ben"} {
		a, err := register(t.Context(), s, name)
		if err != nil {
			t.Fatal(err)
		}
		accounts = append(accounts, a)
	}
	if err := connectAll(s, accounts); err != nil {
		t.Fatal(err)
	}
	const each = 3
	r, err := drive(s, accounts, each)
	if err != nil {
		t.Fatal(err)
	}
	if r.logins != each*len(accounts) || len(r.latencies) != r.logins || r.wall <= 0 {
		t.Fatalf("counted %+v", r)
	}
	for _, a := range accounts {
		tokens, err := s.tokens(a.name)
		if err != nil {
			t.Fatal(err)
		}
		v := client.Vault{URL: s.url, Pin: s.pin, Account: a.name, Tokens: client.Tokens(tokens)}
		status, err := v.Status(t.Context())
		if err != nil || status.Slot != each || status.Left != status.Limit {
			t.Fatalf("%s: the vault counted %d attempts and left %d: %v", a.name, status.Slot, status.Left, err)
		}
	}
	accounts[1].slot++ // a slot that the vault does not know yet
	if _, err := drive(s, accounts, 1); err == nil || !strings.Contains(err.Error(), "ben") {
		t.Fatalf("a refused login: %v", err)
	}
}

// A vault that can not start says why.
func TestNoVault(t *testing.T) {
	at := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(at, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(own)
	cmd.Env = append(os.Environ(), dataVariable+"="+at, profileVariable+"="+filepath.Join(t.TempDir(), "cpu.pprof"))
	if _, err := awaitServer(cmd, at); err == nil || !strings.Contains(err.Error(), "ended before it served") {
		t.Fatal(err)
	}
}

// Each sample goes to one part, and none is lost.
func TestParts(t *testing.T) {
	const logins = 10
	p := &profile.Profile{SampleType: []*profile.ValueType{{Type: "samples", Unit: "count"}, {Type: "cpu", Unit: "nanoseconds"}}}
	add := func(ns int64, stack ...string) {
		s := &profile.Sample{Value: []int64{1, ns}}
		for _, name := range stack { // the leaf first
			f := &profile.Function{ID: uint64(len(p.Function) + 1), Name: name}
			l := &profile.Location{ID: uint64(len(p.Location) + 1), Line: []profile.Line{{Function: f}}}
			p.Function, p.Location, s.Location = append(p.Function, f), append(p.Location, l), append(s.Location, l)
		}
		p.Sample = append(p.Sample, s)
	}
	add(50_000, "crypto/ed25519.Verify", "strongroom/protocol/token.Check", "strongroom/vault.openJob.Run", "strongroom/box.(*Box).work")
	add(40_000, "crypto/ed25519.Verify", "strongroom/protocol/token.Check", "strongroom/host/relay.(*Relay).check", "net/http.(*conn).serve")
	add(30_000, "runtime.mallocgc", "strongroom/vault.(*Vault).Step", "strongroom/box.(*Box).run")
	add(20_000, "runtime.bgsweep")
	add(10_000, "runtime.gcBgMarkWorker")
	add(7_000, "runtime.findRunnable")
	path := filepath.Join(t.TempDir(), "cpu.pprof")
	write(t, p, path)
	parts, err := parseParts(path, logins)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{"token, the box's": 5, "token, the relay's": 4, "Step: rules, tickets, answers": 3, "Go: memory": 3, "Go: scheduling and polling": 0.7}
	for _, q := range parts {
		if q.us != want[q.name] {
			t.Errorf("%s: %v us, want %v", q.name, q.us, want[q.name])
		}
		delete(want, q.name)
	}
	if len(want) > 0 {
		t.Errorf("no part for %v", want)
	}
	p.Sample = nil
	write(t, p, path)
	if _, err := parseParts(path, logins); err == nil {
		t.Error("an empty profile was taken")
	}
}

func write(t *testing.T, p *profile.Profile, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := p.Write(f); err != nil {
		t.Fatal(err)
	}
}
