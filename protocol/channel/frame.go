package channel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"strongroom/protocol/wire"
)

// Version is the first byte of every frame.
const Version = 1

// Kind is the second byte of every frame.
type Kind uint8

const (
	First  Kind = 1
	Second Kind = 2
	Answer Kind = 3
	Alert  Kind = 4
)

// Lengths of all frames but alerts, in bytes. The longest messages that wire allows fit.
const (
	RequestFrameBytes = 8 << 10
	AnswerFrameBytes  = 8 << 10
)

// Lengths of the parts.
const (
	headerBytes       = 2
	lengthBytes       = 2
	ticketLengthBytes = 2
	saltBytes         = 32
	secretBytes       = 32
	keyBytes          = 32 // AES-256
	nonceBytes        = 12
	tagBytes          = 16
)

// Errors of this package. None of them tells what was inside.
var (
	ErrKey     = errors.New("channel: not a public key of a KEM that we use")
	ErrVersion = errors.New("channel: a frame of another version")
	ErrKind    = errors.New("channel: a frame of another kind")
	ErrFrame   = errors.New("channel: a frame of a wrong length, or one that was padded wrongly")
	ErrOpen    = errors.New("channel: does not open: changed on the way, or for somebody else")
	ErrTooLong = errors.New("channel: the message does not fit into a frame")
)

func header(k Kind) []byte { return []byte{Version, byte(k)} }

// KindOf tells a request's kind from its first bytes, and refuses whatever
// can not be a request: ErrFrame, ErrVersion, ErrKind.
func KindOf(sealed []byte) (Kind, error) {
	if len(sealed) < headerBytes {
		return 0, ErrFrame
	}
	if sealed[0] != Version {
		return 0, ErrVersion
	}
	k := Kind(sealed[1])
	if k != First && k != Second {
		return 0, ErrKind
	}
	if len(sealed) != RequestFrameBytes {
		return 0, ErrFrame
	}
	return k, nil
}

// want checks a frame's header and whole length, and gives what follows the
// header.
func want(k Kind, sealed []byte, length int) ([]byte, error) {
	switch {
	case len(sealed) < headerBytes:
		return nil, ErrFrame
	case sealed[0] != Version:
		return nil, ErrVersion
	case Kind(sealed[1]) != k:
		return nil, ErrKind
	case len(sealed) != length:
		return nil, ErrFrame
	}
	return sealed[headerBytes:], nil
}

// SplitSecond takes a second trip's frame apart. Neither part is proven yet:
// the box opens the ticket, and OpenSecond binds the body to it.
func SplitSecond(sealed []byte) (ticket, body []byte, err error) {
	b, err := want(Second, sealed, RequestFrameBytes)
	if err != nil {
		return nil, nil, err
	}
	n := int(binary.BigEndian.Uint16(b))
	b = b[ticketLengthBytes:]
	if n == 0 || n > wire.TicketBytesMax {
		return nil, nil, ErrFrame
	}
	return b[:n:n], b[n:], nil
}

// pad appends length, message, zeros: total bytes in all.
func pad(to, message []byte, total int) ([]byte, error) {
	if room := total - lengthBytes; len(message) > room || len(message) > 0xffff {
		return nil, fmt.Errorf("%w: %d bytes, room for %d", ErrTooLong, len(message), max(room, 0))
	}
	b := slices.Grow(to, total)[:len(to)+total]
	padded := b[len(to):]
	clear(padded)
	binary.BigEndian.PutUint16(padded, uint16(len(message)))
	copy(padded[lengthBytes:], message)
	return b, nil
}

// unpad undoes pad and refuses any other padding than zeros: one message has
// one plaintext.
func unpad(b []byte) ([]byte, error) {
	if len(b) < lengthBytes {
		return nil, ErrFrame
	}
	n := int(binary.BigEndian.Uint16(b))
	b = b[lengthBytes:]
	if n > len(b) {
		return nil, ErrFrame
	}
	for _, zero := range b[n:] {
		if zero != 0 {
			return nil, ErrFrame
		}
	}
	return b[:n:n], nil
}
