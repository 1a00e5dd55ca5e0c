// Package serve composes a whole vault: HSM, box, node and relay, in one process
// (the embedded default) or with the box behind a wall. strongroomd and the demo use it.
package serve

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"strongroom/host/node"
	"strongroom/host/peer"
	"strongroom/host/relay"
	"strongroom/protocol/bundle"
	"strongroom/protocol/wire"
	"strongroom/vault/hal"
)

// Server is a vault that serves.
type Server struct {
	URL         string     // where clients go
	AdminURL    string     // /metrics and /healthz, "" for none
	Pin         bundle.Pin // what clients check the founder's document against
	Own         bundle.Pin // of this island's document: the founder's, unless it joined one
	Fleet       *bundle.Fleet
	Data        string
	Founded     bool     // the fleet was made by this start
	Beside      bool     // the HSM's passphrase lies in the data folder
	OwnIssuer   bool     // the built-in issuer's key is in the data folder
	Walls       []string // what the kernel gave to keep the box in; nil: it runs in this process
	BoxPID      int      // of the box's own process, 0 for none
	log         *slog.Logger
	metrics     *metrics
	certificate *certificate
	layouts     follower

	// In the order in which they are made; Stop goes backwards.
	folder       *folder
	hal          hal.HAL
	disk         *node.Store
	box          running
	alerts       *alerts                // nil: the fleet has no alert key
	island       atomic.Pointer[roster] // nil: the box is the only one
	taking       sync.Mutex             // held while another roster takes its place
	peerListener net.Listener
	peers        *peer.Peers
	node         *node.Node
	upstreams    upstreams // of a relay without a box
	https        []*http.Server

	stop sync.Once
	done chan struct{} // closed when the vault serves no more
	err  error         // why, set before done is closed
}

// Start opens or makes the vault of a data folder and serves it until Stop,
// the end of ctx, or a failure.
func Start(ctx context.Context, c Config) (s *Server, err error) {
	c = c.withDefaults()
	s = &Server{Data: c.Data, log: c.Log, metrics: newMetrics(), done: make(chan struct{})}
	defer func() {
		if err != nil {
			s.release(context.Background())
			s = nil
		}
	}()
	if err := c.limits(); err != nil {
		return s, err
	}
	public, err := s.listen(c)
	if err != nil {
		return s, err
	}
	defer func() {
		if err != nil {
			public.Close()
		}
	}()
	if err := s.open(&c); err != nil {
		return s, err
	}
	if err := s.serve(c, public); err != nil {
		return s, err
	}
	go s.watch(ctx)
	return s, nil
}

// listen opens the public address. Without TLS it must be a loopback one: a
// relay token on a plain wire could be taken and used by anyone on the path.
func (s *Server) listen(c Config) (net.Listener, error) {
	if (c.CertFile == "") != (c.KeyFile == "") {
		return nil, fmt.Errorf("%w: --tls-cert and --tls-key belong together", ErrCertificate)
	}
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return nil, fmt.Errorf("can not listen at %s: %w. Give another --listen, or stop what listens there", c.Listen, err)
	}
	address := l.Addr().(*net.TCPAddr)
	if c.CertFile == "" {
		if !address.IP.IsLoopback() {
			l.Close()
			return nil, fmt.Errorf("%w, and %s is not one. Give --tls-cert and --tls-key, or --listen 127.0.0.1:%d behind a TLS proxy", ErrPlain, c.Listen, address.Port)
		}
		s.URL = "http://" + address.String()
		return relay.Limit(l, c.Connections, relay.ConnectionsPerPeer, c.TrustedProxies), nil
	}
	if s.certificate, err = openCertificate(c.CertFile, c.KeyFile, c.Log); err != nil {
		l.Close()
		return nil, err
	}
	s.URL = "https://" + s.certificate.host(address)
	return tls.NewListener(relay.Limit(l, c.Connections, relay.ConnectionsPerPeer, c.TrustedProxies), s.certificate.config()), nil
}

// open makes the vault where there is none, and opens it.
func (s *Server) open(c *Config) (err error) {
	if s.folder, err = openFolder(c.Data); err != nil {
		return err
	}
	exists, err := s.folder.hasVault()
	if err != nil {
		return err
	}
	if !exists && c.Existing {
		return fmt.Errorf("%w: %s. Carry the folder here that the ceremony made, or leave --existing out to make a new vault", ErrNoVault, c.Data)
	}
	if !exists && c.PeerListen != "" {
		return fmt.Errorf("%w in %s, and serve makes islands of one box only. strongroomd ceremony makes one of several", ErrNoVault, c.Data)
	}
	if !exists {
		if err := s.folder.found(c); err != nil {
			return fmt.Errorf("making the vault: %w", err)
		}
		s.Founded = true
	}
	document, fleet, err := ReadFleet(c.Data)
	if err != nil {
		return err
	}
	known, err := ReadLayouts(c.Data)
	if err != nil {
		return err
	}
	s.layouts.take(known)
	s.Fleet, s.Own, s.Pin = fleet, bundle.PinOf(document), known.Founder()
	if err := c.sameFleet(fleet); err != nil {
		return err
	}
	_, err = os.Lstat(s.folder.vault(issuerName))
	s.OwnIssuer = err == nil
	if err := s.openAlerts(c); err != nil {
		return err
	}
	if err := s.openIsland(c); err != nil {
		return err
	}
	return s.openBox(c, document)
}

// serve starts node and relay.
func (s *Server) serve(c Config, public net.Listener) error {
	nodeConfig := node.Config{Box: s.box, Store: s.disk, InFlightMax: c.places()}
	if s.alerts != nil {
		nodeConfig.Alerts = s.alerts.spool
	}
	if s.peers != nil {
		nodeConfig.ID, nodeConfig.Peers = s.island.Load().own(), lines{s.peers}
	}
	s.node = node.New(nodeConfig)
	if s.peers != nil {
		s.peers.Start(s.peerListener, side{s.node})
		s.metrics.registry.MustRegister(islandMetrics{s.node, s.peers, s.island.Load().own()})
	}
	known := s.layouts.now.Load()
	if known.Newest() > 0 {
		s.node.Layouts(known.Shown)
	}
	go s.followLayouts()
	s.metrics.watch(s.node, s.disk)
	if s.alerts != nil {
		s.metrics.alertsLost("box", func() uint64 { return s.node.Counts().AlertsLost })
	}
	document, _, err := ReadFleet(c.Data)
	if err != nil {
		return err
	}
	config := relay.Config{
		Document: known.Shown.Founder, Layouts: s.layouts.shown, Issuers: s.Fleet.Issuers, Healthy: s.node.Healthy,
		AddressRate: c.AddressRate, AccountRate: c.AccountRate, InFlightMax: c.places(),
		TrustedProxies: c.TrustedProxies, Observe: s.metrics.observe, AnswerWithin: c.AnswerWithin, Log: c.Log,
	}
	if s.Own == s.Pin {
		config.Vault = s.ask
	} else { // what names no island is for the founder
		config.Islands = map[string]relay.Vault{s.Own.IslandName(): s.ask}
	}
	front := relay.New(config)
	if c.Admin != AdminOff {
		l, err := s.listenAdmin(c)
		if err != nil {
			return err
		}
		if !l.Addr().(*net.TCPAddr).IP.IsLoopback() {
			c.Log.Warn("the admin address can be reached from other machines; it shows counts, never accounts", "admin", c.Admin)
		}
		mux := s.metrics.admin(s.node)
		s.handleStatus(mux)
		if s.island.Load() != nil {
			s.handleIsland(mux, s.node)
			s.handleColdStart(mux, document)
			s.handleReplacement(mux)
		}
		s.start(mux, l)
	}
	s.start(front, public)
	return nil
}

// listenAdmin opens the admin address.
func (s *Server) listenAdmin(c Config) (net.Listener, error) {
	l, err := net.Listen("tcp", c.Admin)
	if err != nil {
		return nil, fmt.Errorf("can not listen at %s for /metrics: %w. Give another --admin, or --admin off", c.Admin, err)
	}
	s.AdminURL = "http://" + l.Addr().String()
	return l, nil
}

func (s *Server) start(h http.Handler, l net.Listener) {
	server := relay.HTTPServer(h, s.log)
	s.https = append(s.https, server)
	go func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.finish(fmt.Errorf("the listener at %s failed: %w", l.Addr(), err))
		}
	}()
}

// ask is the relay's way to the node.
func (s *Server) ask(ctx context.Context, request relay.Request) (wire.Reply, error) {
	reply, err := s.node.Carry(ctx, request.Sealed)
	switch {
	case errors.Is(err, node.ErrUnanswered):
		return reply, err // the box may have carried it out
	case errors.Is(err, node.ErrBusy):
		return reply, fmt.Errorf("%w: %w", relay.ErrBusy, err)
	case err != nil:
		return reply, fmt.Errorf("%w: %w", relay.ErrDown, err)
	}
	return reply, nil
}

// watch ends the server with its node or its context.
func (s *Server) watch(ctx context.Context) {
	select {
	case <-ctx.Done():
		s.finish(nil)
	case <-s.node.Done():
		s.finish(s.node.Failed())
	case <-s.done:
	}
}

// stopWithin is how long requests in flight may take to end.
const stopWithin = 10 * time.Second

func (s *Server) finish(why error) {
	s.stop.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
		defer cancel()
		s.release(ctx)
		s.err = why
		close(s.done)
	})
	<-s.done
}

// release lets requests end and closes everything, backwards.
func (s *Server) release(ctx context.Context) {
	if s.node != nil {
		s.node.Release() // a watch would hold the stop up
		handOver, cancel := context.WithTimeout(ctx, handOverWithin)
		s.node.HandOver(handOver) // requests that come meanwhile go where it leads
		cancel()
	}
	for _, server := range s.https {
		if server.Shutdown(ctx) != nil {
			server.Close()
		}
	}
	s.upstreams.close()
	if s.node != nil {
		s.node.Close()
	}
	if s.peers != nil {
		s.peers.Close()
	}
	if s.peerListener != nil {
		s.peerListener.Close()
	}
	if s.box != nil {
		s.box.Close()
	}
	if s.alerts != nil {
		s.alerts.close()
	}
	if s.disk != nil {
		s.disk.Close()
	}
	if s.hal != nil {
		s.hal.Close()
	}
	if s.folder != nil {
		s.folder.close()
	}
}

// Stop ends the server in good order and says why it ended: nil, unless it
// failed before.
func (s *Server) Stop() error {
	s.finish(nil)
	return s.err
}

// Done is closed when the server has ended; Err then says why.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err is why the server ended: nil while it runs or after Stop.
func (s *Server) Err() error {
	select {
	case <-s.done:
		return s.err
	default:
		return nil
	}
}

// IssueTokens signs a pair of tokens with the built-in issuer's key.
func (s *Server) IssueTokens(account string, ttl time.Duration) (Tokens, error) {
	return IssueTokens(s.Data, account, ttl, time.Now())
}

// ReloadCertificate takes new TLS files up at the next handshake.
func (s *Server) ReloadCertificate() {
	if s.certificate != nil {
		s.certificate.again()
	}
}
