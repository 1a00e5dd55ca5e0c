package record

import (
	"slices"

	"strongroom/protocol/wire"
)

// Mark is a freshness mark, its owner's signature checked before.
type Mark struct {
	Generation wire.Generation        `cbor:"1,keyasint"`
	Device     [wire.DeviceBytes]byte `cbor:"2,keyasint"`
	Sequence   uint64                 `cbor:"3,keyasint"`
	Head       [32]byte               `cbor:"4,keyasint"`
	NowMillis  uint64                 `cbor:"5,keyasint,omitempty"`
}

// Apply keeps the mark in the place of the device's older one.
//
// The attacks that it stops:
//  1. Replay an older mark, to have an older copy of the storage pass for the
//     newest: a sequence never goes back, and under one sequence stands one head.
//  2. Fill the record with devices until one that counts falls out: none falls
//     out; a device too many is refused, and only the owner can add any.
func (m Mark) Apply(r Record) (after Record, changed bool, refused wire.Code) {
	switch {
	case !r.live():
		return r, false, r.absent()
	case m.Generation != r.Generation:
		return r, false, wire.CodeGeneration
	}
	is := wire.MarkReport{Device: m.Device, Sequence: m.Sequence, Head: m.Head}
	at := slices.IndexFunc(r.Marks, func(k wire.MarkReport) bool { return k.Device == m.Device })
	switch {
	case at < 0 && len(r.Marks) >= wire.MarksMax:
		return r, false, wire.CodeMarks
	case at < 0:
		r.Marks = append(slices.Clone(r.Marks), is)
		r.stop()
		return r, true, ""
	case r.Marks[at] == is:
		return r, false, "" // a retry
	case m.Sequence <= r.Marks[at].Sequence:
		return r, false, wire.CodeStale
	}
	r.Marks = slices.Clone(r.Marks) // other copies of the record keep theirs
	r.Marks[at] = is
	r.stop()
	return r, true, ""
}
