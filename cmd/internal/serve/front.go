package serve

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"

	"strongroom/host/relay"
	"strongroom/protocol/bundle"
)

// Front is a relay without a box: a public address for islands whose boxes
// are elsewhere. It holds nothing but the fleet's document, which is public.
type Front struct {
	Document string   // file with the founder's
	Boxes    []string // URLs of the boxes' own relays; of another island than the founder after its name: NAME=URL
	BoxCA    string   // file with certificates that theirs lead to, PEM; "": the system's
}

// StartRelay serves a relay until Stop, the end of ctx, or a failure. Of c it
// takes the addresses, TLS, the limits and the log.
func StartRelay(ctx context.Context, f Front, c Config) (s *Server, err error) {
	c = c.withDefaults()
	s = &Server{log: c.Log, metrics: newMetrics(), done: make(chan struct{})}
	defer func() {
		if err != nil {
			s.release(context.Background())
			s = nil
		}
	}()
	if err := c.limits(); err != nil {
		return s, err
	}
	document, err := os.ReadFile(f.Document)
	if err != nil {
		return s, fmt.Errorf("%w: %w", ErrFolder, err)
	}
	if s.Fleet, err = bundle.Decode(document); err != nil {
		return s, fmt.Errorf("%w: %s: %w", ErrDamaged, f.Document, err)
	}
	s.Pin = bundle.PinOf(document)
	boxes, err := f.byIsland(s.Pin)
	if err != nil {
		return s, err
	}
	transport, err := f.transport(boxes)
	if err != nil {
		return s, err
	}
	public, err := s.listen(c)
	if err != nil {
		return s, err
	}
	s.upstreams = newUpstreams(boxes, transport)
	front := relay.New(relay.Config{
		Document: document, Layouts: s.layouts.shown, Issuers: s.Fleet.Issuers,
		Vault: s.upstreams[""].Ask, Islands: s.upstreams.others(), Healthy: s.upstreams.healthy,
		AddressRate: c.AddressRate, AccountRate: c.AccountRate, InFlightMax: c.places(),
		TrustedProxies: c.TrustedProxies, Observe: s.metrics.observe, Log: c.Log,
	})
	if err := s.frontAdmin(c); err != nil {
		public.Close()
		return s, err
	}
	s.start(front, public)
	go s.upstreams.follow(ctx, s)
	go func() {
		select {
		case <-ctx.Done():
			s.finish(nil)
		case <-s.done:
		}
	}()
	return s, nil
}

// transport takes boxes' URLs that an account's token may be sent to: https,
// or this machine.
func (f *Front) transport(boxes map[string][]string) (*http.Transport, error) {
	for _, box := range slices.Concat(slices.Collect(maps.Values(boxes))...) {
		u, err := url.Parse(box)
		if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" {
			return nil, fmt.Errorf("%w: --box-url %q is no address (https://host:port)", ErrUsage, box)
		}
		if ip := net.ParseIP(u.Hostname()); u.Scheme != "https" && !(u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback())) {
			return nil, fmt.Errorf("%w: --box-url %s is not https, and not on this machine", ErrPlain, box)
		}
	}
	pool, err := f.roots()
	if err != nil {
		return nil, err
	}
	return &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13},
		MaxIdleConnsPerHost: relay.InFlightMax,
	}, nil
}

func (f *Front) roots() (*x509.CertPool, error) {
	if f.BoxCA == "" {
		return nil, nil // the system's
	}
	text, err := os.ReadFile(f.BoxCA)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%w: %s holds no certificate", ErrCertificate, f.BoxCA)
	}
	return pool, nil
}

func (s *Server) frontAdmin(c Config) error {
	if c.Admin == AdminOff {
		return nil
	}
	s.upstreams.register(s.metrics.registry)
	l, err := s.listenAdmin(c)
	if err != nil {
		return err
	}
	s.start(s.metrics.frontAdmin(s.upstreams.healthy), l)
	return nil
}
