package relay

import (
	"context"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/net/netutil"
)

// Limits of the public listener. A request is at most 16 KiB, so whoever
// needs longer than this is slow on purpose, or could not use the answer.
const (
	headerWithin       = 5 * time.Second
	requestWithin      = 10 * time.Second
	responseWithin     = 35 * time.Second // answerWithin and the time to send 16 KiB
	idleFor            = 60 * time.Second
	headerBytesMax     = 16 << 10
	ConnectionsMax     = 1024 // open at a time
	ConnectionsPerPeer = 128  // of them by one address (a /64 of IPv6)
)

// HTTPServer is the server for a relay, or any other handler: with time-outs
// and limits for clients that mean harm.
func HTTPServer(h http.Handler, l *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ConnContext:       withConn,
		ReadHeaderTimeout: headerWithin,
		ReadTimeout:       requestWithin,
		WriteTimeout:      responseWithin,
		IdleTimeout:       idleFor,
		MaxHeaderBytes:    headerBytesMax,
		ErrorLog:          log.New(debugWriter{l}, "", 0),
	}
}

// debugWriter takes net/http's own lines: they name addresses, and any
// scanner makes thousands of them, so they are for debugging only.
type debugWriter struct{ log *slog.Logger }

func (w debugWriter) Write(p []byte) (int, error) {
	w.log.Log(context.Background(), slog.LevelDebug, "http", "line", string(p))
	return len(p), nil
}

// Limit caps the connections of a listener, in all and by address; those of
// trusted proxies count only in all.
func Limit(l net.Listener, max, perPeer int, proxies []netip.Prefix) net.Listener {
	return wholeListener{netutil.LimitListener(&peerListener{l, proxies, newCrowd[netip.Addr](perPeer)}, max)}
}

// peerListener closes connections of an address that holds too many: else
// one slow client could hold all that the relay has.
type peerListener struct {
	net.Listener
	proxies []netip.Prefix
	open    *crowd[netip.Addr]
}

func (l *peerListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		peer, err := netip.ParseAddrPort(c.RemoteAddr().String())
		if err != nil || l.isProxy(peer.Addr().Unmap()) {
			return c, nil
		}
		address := counted(peer.Addr())
		if l.open.enter(address) {
			return &peerConn{Conn: c, leave: sync.OnceFunc(func() { l.open.leave(address) })}, nil
		}
		c.Close()
	}
}

func (l *peerListener) isProxy(a netip.Addr) bool {
	for _, p := range l.proxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

type peerConn struct {
	net.Conn
	leave func()
}

func (c *peerConn) Close() error {
	c.leave()
	return c.Conn.Close()
}
