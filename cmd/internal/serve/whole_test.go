package serve_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"strongroom/client"
	"strongroom/cmd/internal/serve"
	"strongroom/host/relay"
	"strongroom/hsm/hsmtest"
	"strongroom/protocol/wire"
	"strongroom/vault/hal"
)

const right = "four quiet otters"

func vaultClient(t *testing.T, s *serve.Server, account string) *client.Vault {
	t.Helper()
	tokens, err := s.IssueTokens(account, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return &client.Vault{
		URL: s.URL, Pin: s.Pin, Account: account, Tokens: client.Tokens(tokens),
		Stretch: wire.Stretch{Time: 1, MemoryKiB: 64, Threads: 1}, Backoff: time.Millisecond,
	}
}

// Thirty-two clients guess at once through the whole vault: at most ten
// evaluations at the HSM's door, and each account is charged by itself.
func TestStormOfGuesses(t *testing.T) {
	var counter *hsmtest.Counter
	c := config(t.TempDir())
	c.WrapHAL = func(h hal.HAL) hal.HAL {
		counter = hsmtest.NewCounter(h)
		return counter
	}
	c.AccountRate, c.AddressRate = relay.Rate{PerSecond: 1e5, Burst: 1e5}, relay.Rate{PerSecond: 1e5, Burst: 1e5}
	s := start(t, c)
	key := client.NewKey()
	payload := client.Payload{Key: key, RepositoryID: []byte("0123456789abcdef"), RepositoryURL: "file:/srv/backup"}
	for _, account := range []string{"anna", "ben"} {
		if _, err := vaultClient(t, s, account).Register(t.Context(), right, payload); err != nil {
			t.Fatal(err)
		}
	}
	before := counter.Evaluations()
	var guessers sync.WaitGroup
	for i := range 32 {
		v := vaultClient(t, s, "anna")
		guessers.Go(func() {
			for g := range 3 {
				if _, _, err := v.Recover(t.Context(), fmt.Sprintf("wrong password %d %d", i, g)); err == nil {
					t.Error("a wrong password opened the record")
				}
			}
		})
	}
	guessers.Wait()
	if made := counter.Evaluations() - before; made != 10 {
		t.Fatalf("%d evaluations, 10 attempts were there and 96 guesses made", made)
	}
	if p, _, err := vaultClient(t, s, "ben").Recover(t.Context(), right); err != nil || p.Key != key {
		t.Fatalf("the other account: %v", err)
	}
}

func writeCertificate(t *testing.T, at, name string) (*x509.Certificate, string, string) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key := filepath.Join(at, "cert.pem"), filepath.Join(at, "key.pem")
	for name, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return leaf, cert, key
}

// TLS is 1.3 only, and new files are taken up without a restart; files that
// do not load leave the old certificate in use.
func TestTLS(t *testing.T) {
	at := t.TempDir()
	first, cert, key := writeCertificate(t, at, "localhost")
	c := config(t.TempDir())
	c.CertFile, c.KeyFile = cert, key
	s := start(t, c)
	shown := func(max uint16) (*big.Int, error) {
		tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MaxVersion: max}}
		defer tr.CloseIdleConnections()
		r, err := (&http.Client{Transport: tr}).Get(s.URL + "/healthz")
		if err != nil {
			return nil, err
		}
		defer r.Body.Close()
		return r.TLS.PeerCertificates[0].SerialNumber, nil
	}
	if serial, err := shown(0); err != nil || serial.Cmp(first.SerialNumber) != 0 {
		t.Fatal(serial, err)
	}
	if _, err := shown(tls.VersionTLS12); err == nil {
		t.Fatal("TLS 1.2 was spoken")
	}
	if err := os.WriteFile(cert, []byte("half written"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.ReloadCertificate()
	if serial, err := shown(0); err != nil || serial.Cmp(first.SerialNumber) != 0 {
		t.Fatal(serial, err)
	}
	second, _, _ := writeCertificate(t, at, "localhost")
	s.ReloadCertificate()
	if serial, err := shown(0); err != nil || serial.Cmp(second.SerialNumber) != 0 {
		t.Fatal("the new certificate is not in use", err)
	}
}

// An older log beside a newer HSM memory is refused, and the log alone put
// back gives no guess back.
func TestOldLogIsRefused(t *testing.T) {
	data := t.TempDir()
	s := start(t, config(data))
	s.Stop()
	old := filepath.Join(t.TempDir(), "log")
	if err := os.CopyFS(old, os.DirFS(filepath.Join(data, "vault", "log"))); err != nil {
		t.Fatal(err)
	}
	s = start(t, config(data))
	payload := client.Payload{Key: client.NewKey(), RepositoryID: []byte("0123456789abcdef"), RepositoryURL: "file:/srv/backup"}
	if _, err := vaultClient(t, s, "anna").Register(t.Context(), right, payload); err != nil {
		t.Fatal(err)
	}
	s.Stop()
	if err := os.RemoveAll(filepath.Join(data, "vault", "log")); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(data, "vault", "log"), os.DirFS(old)); err != nil {
		t.Fatal(err)
	}
	if _, err := serve.Start(t.Context(), config(data)); !errors.Is(err, serve.ErrDamaged) {
		t.Fatalf("an older log: %v", err)
	}
}
