package wire

import (
	"bytes"
	"encoding/binary"
	"io"
)

// The pipe is the door where box and node are two processes: a stream of
// frames each way, nothing else between them.
//
//	length   uint32  big-endian, bytes of the payload, at most FrameBytesMax
//	version  uint8   PipeVersion
//	kind     uint8
//	payload          the message of that kind, in the one encoding (codec.go)
//
// Node to box: one Start, the log as Entries until one says Whole, then Ins;
// the end of the stream is the order to stop. Box to node: one Ready, then
// Outs; or Failed, and nothing after it. Either side stops at the first frame
// that does not parse, breaks a limit or does not belong there: two programs
// of one release speak here, so such a frame is an attack or a fault, and
// whatever follows it can not be believed.

// PipeVersion is the version of the pipe.
const PipeVersion = 1

const frameHeaderBytes = 6

// FrameKind says what a frame carries.
type FrameKind uint8

const (
	FrameStart   FrameKind = 1
	FrameEntries FrameKind = 2
	FrameIn      FrameKind = 3
	FrameReady   FrameKind = 129
	FrameOut     FrameKind = 130
	FrameFailed  FrameKind = 131
)

var pipeDecoding = decodingWith(FrameItemsMax)

// Framed is a message of the pipe.
type Framed interface {
	Start | Entries | In | Ready | Out | Failed
	Validate() error
	kind() FrameKind
}

func (Start) kind() FrameKind   { return FrameStart }
func (Entries) kind() FrameKind { return FrameEntries }
func (In) kind() FrameKind      { return FrameIn }
func (Ready) kind() FrameKind   { return FrameReady }
func (Out) kind() FrameKind     { return FrameOut }
func (Failed) kind() FrameKind  { return FrameFailed }

// Frame is a frame as it was read. Its payload is not checked yet.
type Frame struct {
	Kind    FrameKind
	Payload []byte
}

// ReadFrame reads one frame. It answers io.EOF where the stream ends between
// two frames, io.ErrUnexpectedEOF within one, ErrMalformed for a header that
// is none, or the reader's error.
func ReadFrame(r io.Reader) (Frame, error) {
	var header [frameHeaderBytes]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return Frame{}, err
	}
	length := binary.BigEndian.Uint32(header[:])
	if header[4] != PipeVersion {
		return Frame{}, &Malformed{ReasonVersion, "frame"}
	}
	if length > FrameBytesMax { // before a byte is allocated for it
		return Frame{}, &Malformed{ReasonLength, "frame"}
	}
	f := Frame{FrameKind(header[5]), make([]byte, length)}
	_, err := io.ReadFull(r, f.Payload)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return f, err
}

// ReadMessage reads the next frame, which must carry an M. Errors: those of
// ReadFrame, and ErrMalformed.
func ReadMessage[M Framed](r io.Reader) (M, error) {
	f, err := ReadFrame(r)
	if err != nil {
		var none M
		return none, err
	}
	return DecodeFrame[M](f)
}

// DecodeFrame reads and validates the payload of a frame that must carry an
// M. Its error is ErrMalformed.
func DecodeFrame[M Framed](f Frame) (m M, err error) {
	if f.Kind != m.kind() {
		return m, &Malformed{ReasonOne, "frame's kind"}
	}
	if err := decodeBy(pipeDecoding, FrameBytesMax, f.Payload, &m); err != nil {
		return m, err
	}
	return m, m.Validate()
}

// AppendFrame appends the frame of a message to b. A message that the other
// side would refuse is ErrMalformed. Where b has the room, the frame stands
// nowhere else: who sends a secret can wipe it afterwards.
func AppendFrame[M Framed](b []byte, m M) ([]byte, error) {
	if err := m.Validate(); err != nil {
		return b, err
	}
	at := len(b)
	buffer := bytes.NewBuffer(append(b, make([]byte, frameHeaderBytes)...))
	if err := encoding.MarshalToBuffer(m, buffer); err != nil {
		return b, err
	}
	frame := buffer.Bytes()
	length := len(frame) - at - frameHeaderBytes
	if length > FrameBytesMax {
		return b, &Malformed{ReasonLength, "frame"}
	}
	binary.BigEndian.PutUint32(frame[at:], uint32(length))
	frame[at+4], frame[at+5] = PipeVersion, byte(m.kind())
	return frame, nil
}

// AppendIn appends an In as one frame, or as several where one does not hold
// it.
func AppendIn(b []byte, in In) ([]byte, error) {
	for {
		part, rest := group(in.Requests, func(r Request) int { return len(r.Sealed) })
		in.Requests = part
		var err error
		if b, err = AppendFrame(b, in); err != nil || len(rest) == 0 {
			return b, err
		}
		in.Requests = rest
	}
}

// AppendOut appends an Out as one frame, or as several where one does not
// hold it: entries first, then alerts, and what was counted once.
func AppendOut(b []byte, out Out) ([]byte, error) {
	for {
		part := Out{Counts: out.Counts}
		part.Append, out.Append = group(out.Append, func(e Entry) int { return len(e.Bytes) })
		if len(out.Append) == 0 {
			part.Alerts, out.Alerts = group(out.Alerts, func(a SealedAlerts) int { return len(a.Sealed) })
		}
		if len(out.Append)+len(out.Alerts) == 0 {
			part.Replies, out.Replies = group(out.Replies, func(r Reply) int { return len(r.Sealed) })
		}
		out.Counts = Counts{}
		var err error
		if b, err = AppendFrame(b, part); err != nil || len(out.Append)+len(out.Alerts)+len(out.Replies) == 0 {
			return b, err
		}
	}
}

// group cuts off as many items as one frame may carry.
func group[T any](items []T, size func(T) int) (part, rest []T) {
	sum := 0
	for i, item := range items {
		sum += size(item)
		if i == FrameItemsMax || i > 0 && sum > groupBytesMax {
			return items[:i], items[i:]
		}
	}
	return items, nil
}
