package bundle

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"strongroom/protocol/wire"
)

const labelHome = "strongroom/v1/home"

// Homes is what an island keeps of the fleet's layouts: enough to tell an
// account's homes and whose a receipt is.
type Homes struct {
	Fleet   wire.FleetID `cbor:"1,keyasint"`
	Islands []Home       `cbor:"2,keyasint"` // the founder, then the others in the order in which layouts named them first
	Sets    []byte       `cbor:"3,keyasint"` // of each layout from 1 on, 16 bit, big-endian: bit i is Islands[i]
}

// Home is an island where accounts are at home.
type Home struct {
	Pin    Pin    `cbor:"1,keyasint"`
	Status []byte `cbor:"2,keyasint"` // its status key
}

// NewHomes is layout 0: the founder alone.
func NewHomes(fleet wire.FleetID, founder Pin, status []byte) *Homes {
	return &Homes{Fleet: fleet, Islands: []Home{{founder, status}}}
}

// place gives an island its bit.
func (h *Homes) place(pin Pin, status []byte) (int, error) {
	if i := slices.IndexFunc(h.Islands, func(o Home) bool { return o.Pin == pin }); i >= 0 {
		return i, nil
	}
	if len(h.Islands) == wire.IslandsMax {
		return 0, fmt.Errorf("%w: it names more than %d islands", ErrLayout, wire.IslandsMax)
	}
	h.Islands = append(h.Islands, Home{pin, status})
	return len(h.Islands) - 1, nil
}

// Newest is the number of the newest layout.
func (h *Homes) Newest() uint64 { return uint64(len(h.Sets) / 2) }

// Follows tells whether all of an older h is in this one.
func (h *Homes) Follows(older *Homes) bool {
	return h.Newest() >= older.Newest() && h.Digest(older.Newest()) == older.Digest(older.Newest())
}

// Digest is the SHA-256 over the digest of the layout before and the layout's
// islands; of layout 0 the founder's pin. It panics where there is no such
// layout.
func (h *Homes) Digest(number uint64) (digest [32]byte) {
	digest = h.Islands[0].Pin
	for n := range number {
		b := append([]byte(labelLayout+" digest"), digest[:]...)
		for _, pin := range h.Pins(n + 1) {
			b = append(b, pin[:]...)
		}
		digest = sha256.Sum256(b)
	}
	return digest
}

// Pins are the islands of a layout, in order; of layout 0 the founder.
func (h *Homes) Pins(number uint64) []Pin { return h.pins(h.set(number)) }

func (h *Homes) set(number uint64) uint16 {
	if number == 0 {
		return 1
	}
	return binary.BigEndian.Uint16(h.Sets[2*(number-1):])
}

func (h *Homes) pins(set uint16) (pins []Pin) {
	for i, o := range h.Islands {
		if set&(1<<i) != 0 {
			pins = append(pins, o.Pin)
		}
	}
	slices.SortFunc(pins, func(a, b Pin) int { return bytes.Compare(a[:], b[:]) })
	return pins
}

// Home is the account's home in the newest layout.
func (h *Homes) Home(account string) Pin { return h.HomeIn(h.Newest(), account) }

// HomeIn is the account's home in a layout: the island of the highest
// SHA-256(label, pin, account). Rendezvous hashing (Thaler and Ravishankar,
// IEEE/ACM Transactions on Networking 6(1), 1998): a new island takes its
// share from all others, and nothing else moves.
func (h *Homes) HomeIn(number uint64, account string) Pin {
	return h.Islands[h.highest(h.set(number), h.weights(account))].Pin
}

// OlderHomes are the account's homes in all layouts older than that of this
// number but its home in that one, each once, the newest first.
func (h *Homes) OlderHomes(number uint64, account string) (pins []Pin) {
	weights := h.weights(account)
	seen := uint16(1) << h.highest(h.set(number), weights)
	for n := number; n > 0; n-- {
		i := h.highest(h.set(n-1), weights)
		if seen&(1<<i) == 0 {
			pins = append(pins, h.Islands[i].Pin)
		}
		seen |= 1 << i
	}
	return pins
}

// Latest is the newest layout in which the account's home is this island; 0
// where it is in none.
func (h *Homes) Latest(account string, island Pin) uint64 {
	weights := h.weights(account)
	for n := h.Newest(); n > 0; n-- {
		if h.Islands[h.highest(h.set(n), weights)].Pin == island {
			return n
		}
	}
	return 0
}

// StatusKey is the key under an island's receipts; nil: no such island.
func (h *Homes) StatusKey(pin Pin) []byte {
	if i := slices.IndexFunc(h.Islands, func(o Home) bool { return o.Pin == pin }); i >= 0 {
		return h.Islands[i].Status
	}
	return nil
}

func (h *Homes) weights(account string) [][sha256.Size]byte {
	weights := make([][sha256.Size]byte, len(h.Islands))
	for i, o := range h.Islands {
		b := append([]byte(labelHome), o.Pin[:]...)
		weights[i] = sha256.Sum256(append(b, account...))
	}
	return weights
}

func (h *Homes) highest(set uint16, weights [][sha256.Size]byte) (best int) {
	best = -1
	for i := range weights {
		if set&(1<<i) != 0 && (best < 0 || bytes.Compare(weights[i][:], weights[best][:]) > 0) {
			best = i
		}
	}
	return best
}

// Encode gives the bytes that an island keeps.
func (h *Homes) Encode() ([]byte, error) { return wire.Encode(*h) }

// DecodeHomes undoes Encode, or gives ErrLayout.
func DecodeHomes(b []byte) (*Homes, error) {
	h := new(Homes)
	err := wire.Decode(b, h)
	known := len(h.Islands) > 0 && len(h.Sets)%2 == 0 && len(h.Sets) <= 2*wire.LayoutsMax
	for n := uint64(1); known && n <= h.Newest(); n++ {
		known = h.set(n) != 0 && uint64(h.set(n)) < 1<<len(h.Islands)
	}
	if err != nil || !known {
		return nil, fmt.Errorf("%w: what was kept of it", ErrLayout)
	}
	return h, nil
}
