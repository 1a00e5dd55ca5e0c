package store

import "context"

// Into is what a Store may have beside Get: the same into memory that the
// caller has used before, so that a restore of gigabytes makes no garbage.
type Into interface {
	// GetInto is Get; what it gives lies in buf where that has the room.
	GetInto(ctx context.Context, name string, offset, length int64, buf []byte) ([]byte, error)
}

// GetInto is st.Get, into buf where st can do that.
func GetInto(ctx context.Context, st Store, name string, offset, length int64, buf []byte) ([]byte, error) {
	if into, ok := st.(Into); ok {
		return into.GetInto(ctx, name, offset, length, buf)
	}
	return st.Get(ctx, name, offset, length)
}
