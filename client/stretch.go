package client

import (
	"fmt"

	"strongroom/protocol/opaque"
	"strongroom/protocol/wire"
)

// Stretches for new registrations (Argon2id, RFC 9106).
var (
	// StretchDefault: 3 passes over 64 MiB in 4 lanes, the second choice of
	// RFC 9106 §4.
	StretchDefault = wire.Stretch{Time: 3, MemoryKiB: 64 << 10, Threads: 4}
	// StretchLowMemory is for phones that can not spare 64 MiB: 4 passes over
	// 19 MiB.
	StretchLowMemory = wire.Stretch{Time: 4, MemoryKiB: 19 << 10, Threads: 1}
)

// Limits of the stretch that a record may ask for. A vault that lies here
// could otherwise hang a phone or fill its memory. Too little work is no
// attack: the stretch is bound into the envelope by what it computes, and an
// envelope stretched otherwise does not open.
const (
	stretchTimeMax      = 16
	stretchMemoryKiBMax = 1 << 20 // 1 GiB
	stretchThreadsMax   = 16
	stretchWorkKiBMax   = 4 << 20 // passes times memory
)

func checkStretch(s wire.Stretch) error {
	if s.Time < 1 || s.Time > stretchTimeMax || s.Threads < 1 || s.Threads > stretchThreadsMax ||
		s.MemoryKiB < 8*uint32(s.Threads) || s.MemoryKiB > stretchMemoryKiBMax ||
		uint64(s.Time)*uint64(s.MemoryKiB) > stretchWorkKiBMax {
		return fmt.Errorf("%w: %d passes over %d KiB in %d lanes", ErrStretch, s.Time, s.MemoryKiB, s.Threads)
	}
	return nil
}

func argon2id(s wire.Stretch) opaque.Stretcher {
	return opaque.Argon2id{Time: s.Time, MemoryKiB: s.MemoryKiB, Threads: s.Threads}
}

func (v *Vault) stretch() wire.Stretch {
	if v.Stretch == (wire.Stretch{}) {
		return StretchDefault
	}
	return v.Stretch
}
