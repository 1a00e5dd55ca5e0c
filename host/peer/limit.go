package peer

import (
	"time"

	"strongroom/protocol/wire"
)

// Version of what nodes say to one another. Nodes of two versions do not speak.
const Version = 1

// Limits of a line between two nodes.
const (
	pingEvery    = 500 * time.Millisecond // each side says something that often
	silenceMax   = 4 * time.Second        // without a byte, or with one that does not leave: the line is broken
	openWithin   = 5 * time.Second        // connection, handshake and hellos
	backoffFirst = 50 * time.Millisecond  // before a second try to connect; it doubles
	backoffMax   = time.Second

	messagesMax      = 4096     // messages that wait for one peer; the oldest goes
	messagesBytesMax = 32 << 20 // of them, likewise
	batchBytesMax    = 256 << 10
	bufferBytes      = 64 << 10

	AsksMax      = 512 // requests on their way to one peer, and from one
	handshakeMax = 32  // connections whose other end is not known yet; the oldest goes

	reportBytesMax     = 4 << 10
	requestHeaderBytes = 12
	answerHeaderBytes  = 9 + wire.BoxIDBytes
)
