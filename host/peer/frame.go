package peer

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"strongroom/protocol/wire"
)

// A line is a TLS connection that carries frames, each way:
//
//	length   uint32  big-endian, bytes of the payload
//	kind     uint8
//	payload
//
// The end that connected says hello first, and then sends messages, requests and
// reports; the other one says hello, and then sends answers. Both ping.
const frameHeaderBytes = 5

type kind uint8

const (
	kindHello   kind = 1 // hello.go
	kindMessage kind = 2 // of a box to a box
	kindRequest kind = 3 // id uint64, patience uint32 (milliseconds), the sealed request
	kindAnswer  kind = 4 // id uint64, outcome uint8, leader [16]byte, the sealed answer or a code
	kindPing    kind = 5 // uint64, which a pong repeats; 0: this end lives, no pong is wanted
	kindPong    kind = 6
	kindReport  kind = 7 // what the sender's box tells of the island (wire.IslandReport)
)

// payloadBytes is what the payload of a kind may have; no other kind is taken.
func (k kind) payloadBytes() (least, most int) {
	switch k {
	case kindHello:
		return 1, helloBytesMax
	case kindMessage:
		return 1, wire.PeerBytesMax
	case kindRequest:
		return requestHeaderBytes, requestHeaderBytes + wire.RequestBytesMax
	case kindAnswer:
		return answerHeaderBytes, answerHeaderBytes + wire.AnswerBytesMax
	case kindPing, kindPong:
		return 8, 8
	case kindReport:
		return 1, reportBytesMax
	}
	return 1, 0
}

// ErrFrame: a peer sent what is no frame of ours, or a larger one than its
// kind may be. The line ends: what follows can not be believed.
var ErrFrame = errors.New("peer: what came is no frame of ours")

// stream is one end of a line. One goroutine reads, one writes.
type stream struct {
	*tls.Conn
	r *bufio.Reader
	w *bufio.Writer
}

func newStream(c *tls.Conn) *stream {
	return &stream{c, bufio.NewReaderSize(c, bufferBytes), bufio.NewWriterSize(c, bufferBytes)}
}

// read gives the next frame. Its length is checked before a byte is allocated.
func (s *stream) read() (kind, []byte, error) {
	var header [frameHeaderBytes]byte
	if _, err := io.ReadFull(s.r, header[:]); err != nil {
		return 0, nil, err
	}
	k, length := kind(header[4]), binary.BigEndian.Uint32(header[:])
	if least, most := k.payloadBytes(); uint64(length) < uint64(least) || uint64(length) > uint64(most) {
		return 0, nil, fmt.Errorf("%w: kind %d of %d bytes", ErrFrame, k, length)
	}
	payload := make([]byte, length)
	_, err := io.ReadFull(s.r, payload)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return k, payload, err
}

// write puts a frame into the buffer; Flush sends it.
func (s *stream) write(k kind, parts ...[]byte) error {
	length := 0
	for _, p := range parts {
		length += len(p)
	}
	var header [frameHeaderBytes]byte
	binary.BigEndian.PutUint32(header[:], uint32(length))
	header[4] = byte(k)
	_, err := s.w.Write(header[:])
	for _, p := range parts {
		if err == nil {
			_, err = s.w.Write(p)
		}
	}
	return err
}

// timed is a connection on which nothing may stand still: not a large frame
// that goes slowly, but one that does not go at all, breaks it.
type timed struct{ net.Conn }

func (c timed) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(silenceMax)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c timed) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(silenceMax)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}
