package serve

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"time"
)

// certificateLookEvery is how often the files are looked at, at most.
const certificateLookEvery = time.Second

// certificate serves a certificate from two files and takes new ones up when
// the files change, without a restart.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	mu      sync.Mutex // guards what follows
	pair    *tls.Certificate
	changed [2]time.Time // of the two files, when pair was read
	looked  time.Time
}

func openCertificate(certFile, keyFile string, l *slog.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: l}
	if err := c.load(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	return c, nil
}

func (c *certificate) load() error {
	changed, err := c.modified()
	if err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return err
	}
	c.pair, c.changed, c.looked = &pair, changed, time.Now()
	return nil
}

func (c *certificate) modified() (changed [2]time.Time, err error) {
	for i, name := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return changed, err
		}
		changed[i] = info.ModTime()
	}
	return changed, nil
}

// get is tls.Config's GetCertificate. A new pair that does not load leaves
// the old one in use: half-written files must not stop the service.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) < certificateLookEvery {
		return c.pair, nil
	}
	c.looked = time.Now()
	changed, err := c.modified()
	if err == nil && changed == c.changed {
		return c.pair, nil
	}
	if err == nil {
		err = c.load()
	}
	if err != nil {
		c.log.Warn("the new TLS certificate does not load; the old one stays in use", "error", err)
	} else {
		c.log.Info("a new TLS certificate is in use", "file", c.certFile)
	}
	return c.pair, nil
}

func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS13,
		GetCertificate: c.get,
		NextProtos:     []string{"h2", "http/1.1"},
	}
}

// again has the files looked at by the next handshake.
func (c *certificate) again() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.looked, c.changed = time.Time{}, [2]time.Time{}
}

// host is the name and port under which clients reach address: the first name
// of the certificate, where it has one.
func (c *certificate) host(address *net.TCPAddr) string {
	port := strconv.Itoa(address.Port)
	if leaf := c.pair.Leaf; leaf != nil && len(leaf.DNSNames) > 0 {
		return net.JoinHostPort(leaf.DNSNames[0], port)
	}
	return net.JoinHostPort(address.IP.String(), port)
}
