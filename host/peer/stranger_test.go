package peer

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"strongroom/protocol/wire"
)

// intrude connects to a node as somebody who has a key and says what it likes.
func intrude(t *testing.T, s *side, key *Key, say func(*stream)) {
	t.Helper()
	raw, err := net.Dial("tcp", s.listener.Addr().String())
	must(t, err)
	t.Cleanup(func() { raw.Close() })
	config := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{applicationProtocol}}
	if key != nil {
		config.Certificates = []tls.Certificate{key.certificate}
	}
	c := tls.Client(raw, config)
	if err := c.Handshake(); err != nil {
		return // TLS 1.3 tells a refused client later
	}
	say(newStream(c))
	io.Copy(io.Discard, c) // until it is thrown out
}

// Whoever is not a pinned peer of this fleet, of this version and of the right
// box is refused, and counted by why.
func TestRefused(t *testing.T) {
	sides := ring(t, 3)
	s, other := sides[0], sides[1]
	s.start() // the others are not up: the test plays them
	saying := func(change func(*hello)) func(*stream) {
		h := hello{version: Version, fleet: s.config.Fleet, from: other.config.Box, to: s.config.Box}
		change(&h)
		return func(c *stream) {
			c.write(kindHello, h.encode())
			c.w.Flush()
		}
	}
	right := saying(func(*hello) {})
	want := map[string]uint64{}
	for _, c := range []struct {
		reason string
		key    *Key
		say    func(*stream)
	}{
		{"stranger", nil, right},
		{"stranger", newKey(t), right},
		{"version", other.config.Key, saying(func(h *hello) { h.version = 2 })},
		{"fleet", other.config.Key, saying(func(h *hello) { h.fleet[1] = 1 })},
		{"box", other.config.Key, saying(func(h *hello) { h.from = sides[2].config.Box })},
		{"box", sides[2].config.Key, right},
		{"box", other.config.Key, saying(func(h *hello) { h.to[0] = 77 })},
		{"frame", other.config.Key, func(c *stream) { c.write(kindMessage, []byte("too early")); c.w.Flush() }},
		{"frame", other.config.Key, func(c *stream) { c.write(kindHello, make([]byte, helloBytesMax+1)); c.w.Flush() }},
		{"frame", other.config.Key, func(c *stream) { c.write(kindHello, []byte{Version}); c.w.Flush() }},
		{"frame", other.config.Key, func(c *stream) { right(c); c.write(kindAnswer, make([]byte, answerHeaderBytes)); c.w.Flush() }},
		{"frame", other.config.Key, func(c *stream) { right(c); c.write(99, []byte{1}); c.w.Flush() }},
		{"frame", other.config.Key, func(c *stream) { right(c); c.write(kindMessage); c.w.Flush() }},
		{"frame", other.config.Key, func(c *stream) {
			right(c)
			c.w.Write(append(binary.BigEndian.AppendUint32(nil, wire.PeerBytesMax+1), byte(kindMessage)))
			c.w.Flush()
		}},
		{"frame", other.config.Key, func(c *stream) {
			right(c)
			c.write(kindRequest, make([]byte, requestHeaderBytes+wire.RequestBytesMax+1))
			c.w.Flush()
		}},
	} {
		intrude(t, s, c.key, c.say)
		want[c.reason]++
		until(t, c.reason, func() bool { return s.peers.Refused()[c.reason] == want[c.reason] })
	}
	if len(s.received) != 0 || s.peers.Status()[0].Counts.Served != 0 {
		t.Fatal("something of a stranger came through")
	}
	// A port scanner's: no TLS at all.
	raw, err := net.Dial("tcp", s.listener.Addr().String())
	must(t, err)
	raw.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
	io.Copy(io.Discard, raw)
	raw.Close()
	until(t, "handshake", func() bool { return s.peers.Refused()["handshake"] == 1 })
}

// TLS 1.2 is not spoken, nor another protocol over TLS.
func TestOtherTLS(t *testing.T) {
	sides := ring(t, 2)
	sides[0].start()
	for name, config := range map[string]*tls.Config{
		"TLS 1.2":          {MaxVersion: tls.VersionTLS12, NextProtos: []string{applicationProtocol}},
		"another protocol": {NextProtos: []string{"h2"}},
		"no protocol":      {},
	} {
		raw, err := net.Dial("tcp", sides[0].listener.Addr().String())
		must(t, err)
		config.InsecureSkipVerify, config.Certificates = true, []tls.Certificate{sides[1].config.Key.certificate}
		c := tls.Client(raw, config)
		if c.Handshake() == nil {
			if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
				t.Errorf("%s: %v", name, err)
			}
		}
		raw.Close()
	}
	refused := sides[0].peers.Refused
	until(t, "all are refused", func() bool { return refused()["handshake"]+refused()["stranger"] == 3 })
}

// A node that finds another key, fleet or box at a peer's address sends it
// nothing, and says why.
func TestWrongPeer(t *testing.T) {
	for want, spoil := range map[string]func(a, b *Config){
		ErrStranger.Error(): func(a, b *Config) { a.Boxes[0].Pin[0] ^= 1 },
		ErrFleet.Error():    func(a, b *Config) { a.Fleet[0] ^= 1 },
		ErrBox.Error():      func(a, b *Config) { a.Boxes[0].ID[5] = 1 },
		"bad certificate":   func(a, b *Config) { b.Boxes[0].Pin[0] ^= 1 },
	} {
		sides := ring(t, 2)
		spoil(&sides[0].config, &sides[1].config)
		sides[0].start()
		sides[1].start()
		until(t, want, func() bool { return strings.Contains(sides[0].peers.Status()[0].Failure, want) })
		if s := sides[0].peers.Status()[0]; s.Connected || s.Counts.Connects != 0 {
			t.Fatalf("%+v", s)
		}
	}
}

// Connections that say nothing keep no peer out.
func TestSilentStrangers(t *testing.T) {
	sides := ring(t, 2)
	sides[0].start()
	for range 2 * handshakeMax {
		c, err := net.Dial("tcp", sides[0].listener.Addr().String())
		must(t, err)
		defer c.Close()
	}
	until(t, "as many as may are held", func() bool {
		sides[0].peers.mu.Lock()
		defer sides[0].peers.mu.Unlock()
		return len(sides[0].peers.strange) == handshakeMax
	})
	sides[1].start()
	until(t, "the peer is let in", sides[0].connected(1))
}

// A newer line of a peer ends its older one.
func TestNewerLineReplaces(t *testing.T) {
	sides := ring(t, 2)
	sides[0].start()
	from := New(sides[1].config)
	defer from.Close()
	first, err := from.connect(&sides[1].config.Boxes[0])
	must(t, err)
	until(t, "it is in", func() bool { return sides[0].peers.Status()[0].Connects })
	second, err := from.connect(&sides[1].config.Boxes[0])
	must(t, err)
	defer second.Close()
	io.Copy(io.Discard, first) // ends when the first is closed
	must(t, second.write(kindMessage, []byte("new")))
	must(t, second.w.Flush())
	if r := <-sides[0].received; string(r.Bytes) != "new" {
		t.Fatalf("%q", r.Bytes)
	}
	until(t, "the newer one counts", func() bool { return sides[0].peers.Status()[0].Connects })
}

// A peer that asks without end and reads no answer loses its line; the others'
// places are not its.
func TestAsksWithoutEnd(t *testing.T) {
	sides := ring(t, 2)
	hold := make(chan struct{})
	defer close(hold)
	sides[0].carry = func(ctx context.Context, _ []byte) (wire.Reply, wire.BoxID, error) {
		select {
		case <-hold:
		case <-ctx.Done():
		}
		return wire.Reply{}, wire.BoxID{}, ErrUnanswered
	}
	sides[0].start()
	from := New(sides[1].config)
	defer from.Close()
	s, err := from.connect(&sides[1].config.Boxes[0])
	must(t, err)
	header := make([]byte, requestHeaderBytes)
	binary.BigEndian.PutUint32(header[8:], 60_000)
	for range AsksMax + 1 {
		must(t, s.write(kindRequest, header))
	}
	must(t, s.w.Flush())
	for { // the one too many is told so
		k, b, err := s.read()
		must(t, err)
		if k == kindAnswer {
			if _, a, err := parseAnswer(b); err != nil || !errors.Is(a.err, ErrBusy) {
				t.Fatalf("%+v, %v", a, err)
			}
			break
		}
	}
	if n := sides[0].peers.Status()[0].Counts.Served; n != AsksMax {
		t.Fatalf("%d are served", n)
	}
}

func FuzzAnswer(f *testing.F) {
	for _, a := range []answer{
		{reply: wire.Reply{Sealed: []byte("sealed")}, leader: wire.BoxID{1}},
		{reply: wire.Reply{Refused: wire.CodeElsewhere}}, {err: ErrBusy}, {err: ErrUnanswered}, {err: ErrUnreachable},
	} {
		header, body := a.parts(7)
		f.Add(append(header[:], body...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < answerHeaderBytes || len(b) > answerHeaderBytes+wire.AnswerBytesMax {
			return // read refuses it
		}
		id, a, err := parseAnswer(b)
		if err != nil {
			if !errors.Is(err, ErrFrame) {
				t.Fatal(err)
			}
			return
		}
		header, body := a.parts(id)
		if again := append(header[:], body...); string(again) != string(b) {
			t.Fatalf("%x was read, %x would be written", b, again)
		}
	})
}
