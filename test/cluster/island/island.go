//go:build linux

package island

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"strongroom/protocol/bundle"
	"strongroom/protocol/token"
	"strongroom/test/cluster/link"
)

// Where a box listens, at its own place.
const (
	publicPort = 8640
	adminPort  = 8641
	PeerPort   = 8642
)

const (
	noLimit       = "1000000" // no limit of a relay may be met
	passphrase    = "island under test"
	tokenLifetime = 24 * time.Hour
)

// Config says what to run.
type Config struct {
	Program string         // strongroomd
	Dir     string         // for everything that is written; its disk makes the commits durable
	Boxes   int            // 1, 3, 5 or 7
	Flags   []string       // of every serve, beside ours
	Rules   map[string]any // of the fleet, as the ceremony's plan names them
	Founder *Island        // whose fleet this one joins, with its rules; nil: a new fleet

	Plain   bool // HTTP without TLS, on loopback
	Network *link.Network
	Say     func(string, ...any)
}

// Island is one, with its fleet.
type Island struct {
	Config
	Box      []*Box
	Document []byte
	Fleet    *bundle.Fleet
	Pin      bundle.Pin

	issuer      ed25519.PrivateKey
	custodian   ed25519.PrivateKey // of an island of several
	certificate *certificate
}

// Build builds strongroomd into a folder, as it is shipped.
func Build(dir string) (program string, err error) {
	program = filepath.Join(dir, "strongroomd")
	cmd := exec.Command("go", "build", "-trimpath", "-o", program, "strongroom/cmd/strongroomd")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w: %s", err, out)
	}
	return program, nil
}

// Found makes the fleet's folders. Nothing runs yet.
func Found(c Config) (*Island, error) {
	if c.Say == nil {
		c.Say = func(string, ...any) {}
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	i := &Island{Config: c, issuer: private}
	if c.Founder != nil {
		i.issuer = c.Founder.issuer
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, err
	}
	pub := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	if err := os.WriteFile(i.path("issuer.pem"), pub, 0o600); err != nil {
		return nil, err
	}
	if err := os.WriteFile(i.path("passphrase"), []byte(passphrase), 0o600); err != nil {
		return nil, err
	}
	var hosts []string
	for number := range c.Boxes {
		hosts = append(hosts, c.Network.Host(number))
		i.Box = append(i.Box, newBox(i, number))
	}
	if i.certificate, err = makeCertificate(c.Dir, hosts); err != nil {
		return nil, err
	}
	if err := i.found(); err != nil {
		return nil, err
	}
	for _, b := range i.Box { // as the ceremony left it
		if err := b.Save("new"); err != nil {
			return nil, err
		}
	}
	return i, i.readFleet()
}

func (i *Island) path(name string) string { return filepath.Join(i.Dir, name) }

func (i *Island) readFleet() (err error) {
	if i.Document, err = os.ReadFile(filepath.Join(i.Box[0].Data, "vault", "fleet.cbor")); err != nil {
		return err
	}
	if i.Fleet, err = bundle.Decode(i.Document); err != nil {
		return err
	}
	i.Pin = bundle.PinOf(i.Document)
	return nil
}

// Start starts every box and waits until all of them serve. An island of
// several has its custodian order the start.
func (i *Island) Start() error {
	for _, b := range i.Box {
		if err := b.Start(); err != nil {
			return err
		}
	}
	if i.Boxes == 1 {
		return nil
	}
	if err := i.Order(); err != nil {
		return err
	}
	return i.Await("an island that serves", startWithin, i.Settled)
}

// Stop ends what runs, hard.
func (i *Island) Stop() {
	for _, b := range i.Box {
		b.Kill()
	}
}

// Tokens signs a pair for an account: the relay's, and the vault's.
func (i *Island) Tokens(account string) (relay, vault string, err error) {
	now := time.Now()
	claims := token.Claims{Account: account, Audience: token.AudienceRelay, ID: rand.Text(), IssuedUnix: now.Unix(), ExpiresUnix: now.Add(tokenLifetime).Unix()}
	if relay, err = token.Issue(claims, i.Fleet.Issuers[0].ID, i.issuer); err != nil {
		return "", "", err
	}
	claims.Audience, claims.ID = hex.EncodeToString(i.Fleet.ID[:]), rand.Text()
	vault, err = token.Issue(claims, i.Fleet.Issuers[0].ID, i.issuer)
	return relay, vault, err
}

// Words gives the last that each box said, for whoever looks for a failure.
func (i *Island) Words() string {
	said := ""
	for _, b := range i.Box {
		text, err := os.ReadFile(b.logFile())
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			said += err.Error()
		}
		said += fmt.Sprintf("box %d:\n%s\n", b.Number, text[max(0, len(text)-wordsMax):])
	}
	return said
}

const wordsMax = 4 << 10
