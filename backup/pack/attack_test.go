package pack

import (
	"context"
	"testing"

	"strongroom/store"
)

// swollen is a storage in which one object is larger than can be given out.
type swollen struct {
	*memory
	name string
}

func (s swollen) Get(ctx context.Context, name string, offset, length int64) ([]byte, error) {
	if name == s.name && length < 0 {
		return nil, store.ErrSize
	}
	b, err := s.memory.Get(ctx, name, offset, length)
	if name == s.name && err == nil {
		b = append(b, make([]byte, max(0, length-int64(len(b))))...)
	}
	return b, err
}

// Attack: one object is blown up to gigabytes. It is damage of that object,
// and stops nothing.
func TestSwollenObjectIsDamage(t *testing.T) {
	x := tiny(t)
	for name := range x.st.data {
		r, err := Open(t.Context(), swollen{x.st, name}, testKey)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, _, err := r.LoadIndex(t.Context()); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, _, err := r.Snapshots(t.Context()); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		damage, err := r.CheckData(t.Context())
		if err != nil || !named(damage, name) {
			t.Errorf("%s: %v, %v", name, damage, err)
		}
	}
}
