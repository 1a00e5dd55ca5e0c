package pack

import "crypto/sha256"

// ContentHash is the same for two entries that restore to the same content:
// what they need, not what it is. Only for comparing snapshots of one
// repository.
func (e *Entry) ContentHash() [sha256.Size]byte {
	return sha256.Sum256(encode([]any{e.Kind, e.Size, e.Link, e.Content, e.Database}))
}

// MetaHash is the same for two entries that have the same mode, time and
// attributes.
func (e *Entry) MetaHash() [sha256.Size]byte {
	return sha256.Sum256(encode([]any{e.Mode, e.ModNanos, e.Attributes}))
}
