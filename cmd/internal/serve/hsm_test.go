//go:build pkcs11 && cgo

package serve_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"strongroom/client"
	"strongroom/cmd/internal/serve"
	"strongroom/hsm/hsmtest"
	"strongroom/vault/hal"
)

const tokenPIN = "1234-user"

// token makes a SoftHSM2 token with the vendor's tool.
func token(t *testing.T) serve.Token {
	t.Helper()
	folder := t.TempDir()
	settings := filepath.Join(folder, "softhsm2.conf")
	if err := os.WriteFile(settings, fmt.Appendf(nil, "directories.tokendir = %s\nlog.level = ERROR\n", folder), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOFTHSM2_CONF", settings)
	output, err := exec.Command("softhsm2-util", "--init-token", "--free", "--label", "vault", "--so-pin", "5678-guard", "--pin", tokenPIN).CombinedOutput()
	if err != nil {
		t.Fatalf("softhsm2-util: %v: %s. Run .ci/hsm, or: apt-get install softhsm2", err, output)
	}
	pin := filepath.Join(folder, "pin")
	if err := os.WriteFile(pin, []byte(tokenPIN+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return serve.Token{Module: "/usr/lib/softhsm/libsofthsm2.so", Label: "vault", PINFile: pin}
}

// A whole vault with its keys in a token: a client can not tell.
func TestTokenVault(t *testing.T) {
	var counter *hsmtest.Counter
	c := config(t.TempDir())
	c.HSM, c.Token = "pkcs11", token(t)
	c.WrapHAL = func(h hal.HAL) hal.HAL {
		counter = hsmtest.NewCounter(h)
		return counter
	}
	s := start(t, c)
	if s.Fleet.HSM != "pkcs11" || s.Fleet.Rollback != "token" {
		t.Fatalf("the fleet says %q, %q", s.Fleet.HSM, s.Fleet.Rollback)
	}
	key := client.NewKey()
	payload := client.Payload{Key: key, RepositoryID: []byte("0123456789abcdef"), RepositoryURL: "file:/srv/backup"}
	for _, account := range []string{"anna", "ben"} {
		if _, err := vaultClient(t, s, account).Register(t.Context(), right, payload); err != nil {
			t.Fatal(err)
		}
	}
	before := counter.Evaluations()
	for i := range 12 {
		if _, _, err := vaultClient(t, s, "anna").Recover(t.Context(), fmt.Sprintf("wrong password %d", i)); err == nil {
			t.Fatal("a wrong password opened the record")
		}
	}
	if made := counter.Evaluations() - before; made != 10 {
		t.Fatalf("%d evaluations, 10 attempts were there", made)
	}
	s.Stop()
	c.HSM = "" // the document says it
	s = start(t, c)
	if p, _, err := vaultClient(t, s, "ben").Recover(t.Context(), right); err != nil || p.Key != key {
		t.Fatalf("after a restart: %v", err)
	}
	if _, _, err := vaultClient(t, s, "anna").Recover(t.Context(), right); err == nil {
		t.Fatal("a destroyed record opens after a restart")
	}
}

// An older copy of the whole data folder, which gives guesses back where the
// HSM is a file in it, is refused where it is not.
func TestTokenRefusesAnOldFolder(t *testing.T) {
	c := config(t.TempDir())
	c.HSM, c.Token = "pkcs11", token(t)
	start(t, c).Stop()
	old := t.TempDir()
	if err := os.CopyFS(old, os.DirFS(c.Data)); err != nil {
		t.Fatal(err)
	}
	s := start(t, c)
	payload := client.Payload{Key: client.NewKey(), RepositoryID: []byte("0123456789abcdef"), RepositoryURL: "file:/srv/backup"}
	if _, err := vaultClient(t, s, "anna").Register(t.Context(), right, payload); err != nil {
		t.Fatal(err)
	}
	s.Stop()
	d := c
	d.Data = old
	if _, err := serve.Start(t.Context(), d); !errors.Is(err, serve.ErrDamaged) {
		t.Fatalf("an older folder: %v", err)
	}
	start(t, c).Stop() // the newer one still serves
}

func TestTokenRefusals(t *testing.T) {
	c := config(t.TempDir())
	c.HSM, c.Token, c.Suite = "pkcs11", token(t), serve.SuiteRistretto255
	refused := func(name string, want error, change func(*serve.Config)) {
		t.Helper()
		d := c
		change(&d)
		s, err := serve.Start(t.Context(), d)
		if s != nil {
			s.Stop()
		}
		if !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	refused("a group that no token has", serve.ErrPolicy, func(*serve.Config) {})
	c.Suite = ""
	refused("no such kind", serve.ErrUsage, func(c *serve.Config) { c.HSM = "abacus" })
	start(t, c).Stop()
	wrong := filepath.Join(t.TempDir(), "pin")
	if err := os.WriteFile(wrong, []byte("0000-wrong"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused("a wrong PIN", serve.ErrPassphrase, func(c *serve.Config) { c.Token.PINFile = wrong })
	refused("no PIN", serve.ErrPassphrase, func(c *serve.Config) { c.Token.PINFile = "" })
	refused("another kind than the fleet's", serve.ErrPolicy, func(c *serve.Config) { c.HSM = "soft" })
	refused("no such token", serve.ErrUsage, func(c *serve.Config) { c.Token.Label = "volt" })
	refused("a second vault in one token", serve.ErrUsage, func(d *serve.Config) { d.Data = t.TempDir() })
	t.Setenv(serve.PINEnv, tokenPIN)
	c.Token.PINFile = ""
	start(t, c).Stop()
}
