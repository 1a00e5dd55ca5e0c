package vault

import (
	"encoding/binary"

	"strongroom/protocol/wire"
	"strongroom/vault/internal/ledger"
	"strongroom/vault/internal/record"
)

// proposal is a command that this box proposed.
type proposal struct {
	record *held // pinned
	then   func(record.Outcome)
}

// propose has the leader's log take a command.
func (g *group) propose(v *Vault, h *held, command []byte, then func(record.Outcome)) {
	g.serial++
	p := proposal{h, then}
	if !g.leading || g.raft.Propose(stamp{v.boot, g.serial, v.nowMillis, stampCommand}.append(command)) != nil {
		g.end(v, p, record.Outcome{Refused: wire.CodeUnavailable})
		return
	}
	g.pending[g.serial] = p
}

func (g *group) end(v *Vault, p proposal, o record.Outcome) {
	if p.then != nil {
		p.then(o)
	} else if o.Refused != "" {
		v.remind(p.record) // nobody asked: it is proposed again when it is time
	}
	v.unpin(p.record)
}

// stamp stands before what a leader proposes.
type stamp struct {
	boot   ledger.Boot // of the box that proposed it, so that it knows its own again
	serial uint64
	millis uint64 // the leader's time
	kind   byte
}

const (
	stampCommand = 'c'
	stampMark    = 'm'
	stampBytes   = 16 + 8 + 8 + 1

	stampReplacement = 'r'
	stampLayout      = 'l'
)

func (s stamp) append(payload []byte) []byte {
	b := make([]byte, 0, stampBytes+len(payload))
	b = append(b, s.boot[:]...)
	b = binary.BigEndian.AppendUint64(b, s.serial)
	b = binary.BigEndian.AppendUint64(b, s.millis)
	return append(append(b, s.kind), payload...)
}

func parseStamp(b []byte) (s stamp, payload []byte, err error) {
	if len(b) < stampBytes {
		return s, nil, record.ErrCommand
	}
	s = stamp{ledger.Boot(b), binary.BigEndian.Uint64(b[16:]), binary.BigEndian.Uint64(b[24:]), b[32]}
	if s.kind != stampCommand && s.kind != stampMark && s.kind != stampReplacement && s.kind != stampLayout {
		return s, nil, record.ErrCommand
	}
	return s, b[stampBytes:], nil
}
