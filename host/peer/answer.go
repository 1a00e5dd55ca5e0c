package peer

import (
	"encoding/binary"
	"errors"
	"fmt"

	"strongroom/protocol/wire"
)

// answer is what came of a request at another node.
type answer struct {
	reply  wire.Reply // Sealed, or Refused by the box; its id means nothing
	leader wire.BoxID // as far as that node's box knows
	err    error      // ErrBusy, ErrUnreachable, ErrUnanswered or nil
}

// outcome is how an answer travels.
type outcome uint8

const (
	outcomeSealed      outcome = 0 // the sealed answer follows
	outcomeRefused     outcome = 1 // a code follows
	outcomeBusy        outcome = 2
	outcomeUnreachable outcome = 3
	outcomeUnanswered  outcome = 4
)

// parts are the payload's header and body.
func (a answer) parts(id uint64) (header [answerHeaderBytes]byte, body []byte) {
	binary.BigEndian.PutUint64(header[:], id)
	copy(header[9:], a.leader[:])
	o := outcomeUnanswered
	switch {
	case errors.Is(a.err, ErrBusy):
		o = outcomeBusy
	case errors.Is(a.err, ErrUnreachable):
		o = outcomeUnreachable
	case a.err != nil:
	case a.reply.Refused != "":
		o, body = outcomeRefused, []byte(a.reply.Refused)
	case len(a.reply.Sealed) > 0 && len(a.reply.Sealed) <= wire.AnswerBytesMax:
		o, body = outcomeSealed, a.reply.Sealed
	}
	header[8] = byte(o)
	return header, body
}

// parseAnswer reads an answer, or gives ErrFrame.
func parseAnswer(b []byte) (id uint64, a answer, err error) {
	id = binary.BigEndian.Uint64(b)
	copy(a.leader[:], b[9:])
	o, body := outcome(b[8]), b[answerHeaderBytes:]
	if (len(body) > 0) != (o == outcomeSealed || o == outcomeRefused) {
		return 0, a, fmt.Errorf("%w: an answer of outcome %d and %d bytes", ErrFrame, o, len(body))
	}
	switch o {
	case outcomeSealed:
		a.reply.Sealed = body
	case outcomeRefused:
		a.reply.Refused = wire.Code(body)
	case outcomeBusy:
		a.err = ErrBusy
	case outcomeUnreachable:
		a.err = fmt.Errorf("%w: its node says so", ErrUnreachable)
	case outcomeUnanswered:
		a.err = fmt.Errorf("%w: its node says so", ErrUnanswered)
	default:
		err = fmt.Errorf("%w: outcome %d", ErrFrame, o)
	}
	return id, a, err
}
