package sim

import (
	"crypto/ed25519"

	"strongroom/protocol/bundle"
	"strongroom/protocol/wire"
)

// coldStart has custodians look at what the boxes show, and order the island
// to start from that: for the first time, or after a majority was lost. They
// are careful people: they want to see all boxes, and sign nothing while any
// of them takes part in a run.
func (s *Sim) coldStart() bool {
	o := bundle.Order{Fleet: s.fleet.ID}
	for _, b := range s.boxes {
		if !b.up() || b.report.Shown.Boot == (wire.Boot{}) {
			return false
		}
		o.Shown = append(o.Shown, b.report.Shown)
	}
	statement := must(o.Statement())
	for i, key := range s.custodians[:2] {
		o.Signatures = append(o.Signatures, bundle.OrderSignature{Custodian: uint8(i), Signature: ed25519.Sign(key, statement)})
	}
	encoded := must(o.Encode())
	for _, b := range s.boxes {
		b.order = encoded
		b.wake()
	}
	s.Counts.ColdStarts++
	s.note("custodians order a start from %s", o.First().Box)
	return true
}
