package relay

import (
	"bytes"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"

	"strongroom/protocol/wire"
)

// writes counts what is written below everything of ours.
type writes struct {
	net.Listener
	count atomic.Int64
}

type countedConn struct {
	net.Conn
	count *atomic.Int64
}

func (l *writes) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return countedConn{c, &l.count}, err
}

func (c countedConn) Write(p []byte) (int, error) {
	c.count.Add(1)
	return c.Conn.Write(p)
}

// An answer leaves in one write, its length told, in clear and under TLS; in
// HTTP/2 it arrives whole too, and so does what is no answer of the box.
func TestAnswerIsOneWrite(t *testing.T) {
	lender := httptest.NewUnstartedServer(nil) // its certificate
	lender.StartTLS()
	defer lender.Close()
	for name, protocols := range map[string][]string{"clear": nil, "TLS": {"http/1.1"}, "HTTP/2": {"h2"}} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, Config{AddressRate: Rate{1000, 1000}})
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			below := &writes{Listener: l}
			url, public := "http://"+l.Addr().String(), Limit(below, 10, 10, nil)
			if protocols != nil {
				url = "https://" + l.Addr().String()
				public = tls.NewListener(public, &tls.Config{Certificates: lender.TLS.Certificates, NextProtos: protocols})
			}
			server := HTTPServer(g.Relay, slog.New(slog.DiscardHandler))
			go server.Serve(public)
			defer server.Close()
			transport := lender.Client().Transport.(*http.Transport).Clone()
			transport.ForceAttemptHTTP2 = name == "HTTP/2"
			client := &http.Client{Transport: transport}
			defer client.CloseIdleConnections()
			jws := g.token(t, "alice", nil)
			for i := range 20 {
				body := bytes.Repeat([]byte{byte(i)}, wire.AnswerBytesMax-i)
				req, err := http.NewRequest(http.MethodPost, url+"/v1/vault", bytes.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Authorization", "Bearer "+jws)
				before := below.count.Load()
				resp, err := client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || !bytes.Equal(got, body) || resp.Header.Get("Content-Length") != strconv.Itoa(len(body)) {
					t.Fatalf("answer %d: %d bytes of %d, length told %q, %v", i, len(got), len(body), resp.Header.Get("Content-Length"), err)
				}
				if (resp.ProtoMajor == 2) != transport.ForceAttemptHTTP2 {
					t.Fatalf("%s is spoken", resp.Proto)
				}
				if n := below.count.Load() - before; name != "HTTP/2" && i > 0 && n != 1 { // the first is after a handshake
					t.Fatalf("answer %d: %d writes", i, n)
				}
				resp, err = client.Get(url + "/v1/fleet")
				if err != nil {
					t.Fatal(err)
				}
				got, err = io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || string(got) != "the document" {
					t.Fatalf("after answer %d: %q, %v", i, got, err)
				}
			}
		})
	}
}
