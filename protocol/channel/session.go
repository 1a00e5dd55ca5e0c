package channel

import (
	"encoding/binary"

	"strongroom/protocol/wire"
)

const labelSession = "strongroom/v1/channel/session"

// SealUnderSession seals a record's sealed key once more, under OPAQUE's
// session key (RFC 9807 §3.3): only who proved the password reads it, even
// behind a stolen channel key. It is deterministic, so that a retry of
// RecoverFinish gets the same bytes; session key, fleet, account, generation
// and slot name one key, and under it one plaintext is ever sealed. It adds
// 16 bytes (GCM's tag).
func SealUnderSession(sessionKey []byte, fleet wire.FleetID, account string, g wire.Generation, slot uint64, plaintext []byte) ([]byte, error) {
	d, err := derive(sessionKey, sessionSalt(fleet, account, g, slot))
	if err != nil {
		return nil, err
	}
	return d.seal([]byte(labelSession), plaintext)
}

// OpenUnderSession undoes SealUnderSession; ErrOpen for anything else.
func OpenUnderSession(sessionKey []byte, fleet wire.FleetID, account string, g wire.Generation, slot uint64, sealed []byte) ([]byte, error) {
	d, err := derive(sessionKey, sessionSalt(fleet, account, g, slot))
	if err != nil {
		return nil, err
	}
	return d.open([]byte(labelSession), sealed)
}

// sessionSalt has one reading: all but the last part have fixed lengths.
func sessionSalt(fleet wire.FleetID, account string, g wire.Generation, slot uint64) []byte {
	b := append([]byte(labelSession), fleet[:]...)
	b = append(b, g[:]...)
	b = binary.BigEndian.AppendUint64(b, slot)
	return append(b, account...)
}
