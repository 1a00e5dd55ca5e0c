package serve_test

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"strongroom/client"
	"strongroom/cmd/internal/serve"
	"strongroom/protocol/wire"
)

// A client behind a relay that is no vault itself registers and recovers.
func TestRelayInFront(t *testing.T) {
	data := t.TempDir()
	s := start(t, config(data))
	front, err := serve.StartRelay(t.Context(), serve.Front{Document: filepath.Join(data, "vault", "fleet.cbor"), Boxes: []string{s.URL}},
		serve.Config{Listen: "127.0.0.1:0", Admin: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer front.Stop()
	if front.Pin != s.Pin {
		t.Errorf("pin %s, the vault's is %s", front.Pin, s.Pin)
	}
	tokens, err := s.IssueTokens("anna", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	v := &client.Vault{URL: front.URL, Pin: s.Pin, Account: "anna", Tokens: client.Tokens(tokens), Stretch: wire.Stretch{Time: 1, MemoryKiB: 8, Threads: 1}}
	p := client.Payload{Key: client.NewKey(), RepositoryID: []byte("0123456789abcdef"), RepositoryURL: "file:/srv/backup"}
	if _, err := v.Register(t.Context(), "four quiet otters", p); err != nil {
		t.Fatal(err)
	}
	if got, _, err := v.Recover(t.Context(), "four quiet otters"); err != nil || got.Key != p.Key {
		t.Fatal(err)
	}
}

func TestRelayRefusesToStart(t *testing.T) {
	data := t.TempDir()
	start(t, config(data)).Stop()
	document := filepath.Join(data, "vault", "fleet.cbor")
	for _, c := range []struct {
		name  string
		front serve.Front
		want  error
	}{
		{"no box", serve.Front{Document: document}, serve.ErrUsage},
		{"no document", serve.Front{Document: data, Boxes: []string{"https://a"}}, serve.ErrFolder},
		{"another file", serve.Front{Document: filepath.Join(data, "vault", "issuer.key"), Boxes: []string{"https://a"}}, serve.ErrDamaged},
		{"a plain line", serve.Front{Document: document, Boxes: []string{"http://192.0.2.1"}}, serve.ErrPlain},
		{"no address", serve.Front{Document: document, Boxes: []string{"amber"}}, serve.ErrUsage},
		{"no certificates", serve.Front{Document: document, Boxes: []string{"https://a"}, BoxCA: document}, serve.ErrCertificate},
	} {
		if _, err := serve.StartRelay(t.Context(), c.front, serve.Config{Listen: "127.0.0.1:0", Admin: serve.AdminOff}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
