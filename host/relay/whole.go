package relay

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strconv"
	"sync"
)

// net/http sends an answer of 8 KiB through a buffer of 4 KiB: in two writes,
// and in three where its length was not told. A write costs more than most of
// what the relay does for a request, so the connection holds them back until
// the answer is whole.

// wholeListener gives connections that can hold back what is written.
type wholeListener struct{ net.Listener }

func (l wholeListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &wholeConn{Conn: c}, nil
}

type wholeConn struct {
	net.Conn

	mu    sync.Mutex // guards what follows: TLS may write while it reads
	holds bool
	held  []byte // a little more than an answer; kept for the next
}

func (c *wholeConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.holds {
		return c.Conn.Write(p)
	}
	c.held = append(c.held, p...)
	return len(p), nil
}

func (c *wholeConn) hold() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.holds = true
}

// send writes what was held, and holds no more.
func (c *wholeConn) send() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := c.Conn.Write(c.held)
	c.holds, c.held = false, c.held[:0]
	return err
}

// wholeKey is a request's connection in its context.
type wholeKey struct{}

// withConn is the server's ConnContext.
func withConn(ctx context.Context, c net.Conn) context.Context {
	if sealed, ok := c.(*tls.Conn); ok {
		c = sealed.NetConn()
	}
	return context.WithValue(ctx, wholeKey{}, c)
}

// writeWhole answers with a body of known length, and in one write where the
// connection is the request's alone. In HTTP/2 it is not: who held it back
// could wait for a window that opens when the other side has read what is held.
func writeWhole(w http.ResponseWriter, req *http.Request, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	c, can := req.Context().Value(wholeKey{}).(*wholeConn)
	if !can || req.ProtoMajor != 1 {
		w.Write(body)
		return
	}
	c.hold()
	w.Write(body)
	// What fails here or there is the connection: the server finds out when it
	// reads the next request.
	_ = http.NewResponseController(w).Flush()
	_ = c.send()
}
