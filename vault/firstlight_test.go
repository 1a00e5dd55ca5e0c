package vault_test

import (
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"strongroom/hsm/hsmtest"
	"strongroom/hsm/soft"
	"strongroom/protocol/bundle"
	"strongroom/protocol/wire"
	"strongroom/test/disk"
)

// firstLight is a vault as First light wrote it: five accounts after guesses,
// replacement, destruction, deletion and a new registration. It was made by
// that program, once; nothing here can make it anew.
type firstLight struct {
	Document, Island, Issuer string
	Entries                  []string
	HSM                      map[string]string
	Now                      uint64
	Status                   map[string]wire.StatusReport
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	must(t, err)
	return b
}

func openFirstLight(t *testing.T) (*rig, firstLight) {
	t.Helper()
	text, err := os.ReadFile("testdata/firstlight.json")
	must(t, err)
	var f firstLight
	must(t, json.Unmarshal(text, &f))
	if len(f.Entries) != 48 || len(f.Status) != 5 {
		t.Fatalf("only %d entries, %d accounts", len(f.Entries), len(f.Status))
	}
	dir := t.TempDir()
	for name, content := range f.HSM {
		must(t, os.WriteFile(filepath.Join(dir, name), unhex(t, content), 0o600))
	}
	h, err := soft.Open(dir, []byte("passphrase"))
	must(t, err)
	r := &rig{
		TB: t, hal: hsmtest.NewCounter(h), Disk: disk.New(), issuer: ed25519.NewKeyFromSeed(unhex(t, f.Issuer)), now: f.Now,
		document: unhex(t, f.Document), island: unhex(t, f.Island), serving: func() {}, served: func() {},
	}
	r.fleet, err = bundle.Decode(r.document)
	must(t, err)
	for i, e := range f.Entries {
		r.Written = append(r.Written, wire.Entry{Index: uint64(i) + 1, Bytes: unhex(t, e)})
	}
	must(t, r.start())
	return r, f
}

// What First light wrote is read as it was meant, and its keys still work.
func TestFirstLightReplays(t *testing.T) {
	r, f := openFirstLight(t)
	for account, was := range f.Status {
		is := r.status(account)
		if is.State != was.State || is.Generation != was.Generation || is.Slot != was.Slot || is.Left != was.Left ||
			is.Wrong != was.Wrong || is.WrongBefore != was.WrongBefore || is.DestroyAtMillis != was.DestroyAtMillis || is.WaitUntilMillis != 0 {
			t.Errorf("%s: %+v, was %+v", account, is, was)
		}
	}
	if k, code := r.recover("anna", "another password"); k != "sealed:K1" {
		t.Errorf("anna: %q %q", k, code)
	}
	if k, code := r.recover("dora", "new password"); k != "sealed:K2" {
		t.Errorf("dora: %q %q", k, code)
	}
	for account, want := range map[string]wire.Code{"bert": wire.CodeDestroyed, "clara": wire.CodeDeleted, "emil": wire.CodeExhausted} {
		if k, code := r.recover(account, right); k != "" || code != want {
			t.Errorf("%s: %q %q", account, k, code)
		}
	}
	r.now += 120_001
	r.turn()
	if s := r.status("emil"); s.State != wire.StateDestroyed {
		t.Errorf("emil: %+v", s)
	}
	// Its document has no waits, no lifetime and no resets; marks it takes.
	s := r.status("anna")
	if s.LifetimeLimit != 0 || s.WrongEver != 3 || s.Resets != 0 {
		t.Errorf("anna: %+v", s)
	}
	r.reset("anna", "thief's password", "K9", wire.CodeOwner)
	if _, _, code := r.first(wire.First{Token: r.vaultToken("anna"), Delete: &wire.Delete{Generation: s.Generation, Later: true}}); code != wire.CodeOwner {
		t.Errorf("a deletion without proof: %q", code)
	}
	if s, code := r.mark("anna", wire.Mark{Generation: s.Generation, Sequence: 1}, "K1"); code != "" || len(s.Marks) != 1 {
		t.Errorf("a mark: %q", code)
	}
	must(t, r.start()) // and what was written after it
	if k, code := r.recover("anna", "another password"); k != "sealed:K1" {
		t.Errorf("anna after a restart: %q %q", k, code)
	}
}
