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
// Node to box: one Start; while the box opens, Entries for each Want and an In
// for each Out; after its Ready, Ins as they come; the end of the stream is the
// order to stop. Box to node: Wants and Outs that it waits for, one Ready, then
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
	FrameWant    FrameKind = 132
)

var pipeDecoding = decodingWith(FrameItemsMax)

// Framed is a message of the pipe.
type Framed interface {
	Start | Entries | In | Ready | Out | Failed | Want
	Validate() error
	kind() FrameKind
}

func (Start) kind() FrameKind   { return FrameStart }
func (Entries) kind() FrameKind { return FrameEntries }
func (In) kind() FrameKind      { return FrameIn }
func (Ready) kind() FrameKind   { return FrameReady }
func (Out) kind() FrameKind     { return FrameOut }
func (Failed) kind() FrameKind  { return FrameFailed }
func (Want) kind() FrameKind    { return FrameWant }

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
		part := in
		part.Found, in.Found = group(in.Found, Found.bytes)
		part.Requests, part.Received = nil, nil
		if len(in.Found) == 0 {
			part.Requests, in.Requests = group(in.Requests, func(r Request) int { return len(r.Sealed) })
		}
		if len(in.Found)+len(in.Requests) == 0 {
			part.Received, in.Received = group(in.Received, func(r Received) int { return len(r.Bytes) })
		}
		last := len(in.Found)+len(in.Requests)+len(in.Received) == 0
		if !last {
			part.Kept = 0 // what was read before it comes before it
		}
		var err error
		if b, err = AppendFrame(b, part); err != nil || last {
			return b, err
		}
		in.Epoch, in.Ticks, in.Order, in.Replacement, in.Layouts = false, 0, nil, nil, nil
	}
}

func (f Found) bytes() (bytes int) {
	for _, v := range f.Values {
		bytes += len(v)
	}
	return bytes
}

// AppendOut appends an Out as one frame, or as several where one does not
// hold it: entries first, then alerts, what was counted once, a checkpoint with
// the last of its pages. An Out with a checkpoint has its reads before it.
func AppendOut(b []byte, out Out) ([]byte, error) {
	for {
		part, rest := out.cut()
		var err error
		if b, err = AppendFrame(b, part); err != nil || rest == nil {
			return b, err
		}
		out = *rest
	}
}

// cut cuts off what one frame may carry, kind by kind; rest is nil where
// nothing is left.
func (o Out) cut() (part Out, rest *Out) {
	part.Counts, o.Counts = o.Counts, Counts{}
	if part.Append, o.Append = group(o.Append, func(e Entry) int { return len(e.Bytes) }); len(o.Append) > 0 {
		return part, &o
	}
	if part.Alerts, o.Alerts = group(o.Alerts, func(a SealedAlerts) int { return len(a.Sealed) }); len(o.Alerts) > 0 {
		return part, &o
	}
	if part.Replies, o.Replies = group(o.Replies, func(r Reply) int { return len(r.Sealed) }); len(o.Replies) > 0 {
		return part, &o
	}
	if part.Sends, o.Sends = group(o.Sends, func(s Send) int { return len(s.Bytes) }); len(o.Sends) > 0 {
		return part, &o
	}
	part.Island, o.Island = o.Island, nil
	if part.Reads, o.Reads = group(o.Reads, func(Read) int { return 0 }); len(o.Reads) > 0 {
		return part, &o
	}
	if part.Pages, o.Pages = group(o.Pages, func(p Page) int { return len(p.Bytes) }); len(o.Pages) > 0 {
		return part, &o
	}
	part.Checkpoint = o.Checkpoint
	return part, nil
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
