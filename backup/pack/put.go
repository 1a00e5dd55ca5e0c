package pack

import (
	"bytes"
	"context"
	"errors"

	"strongroom/store"
)

// putTries is how often a put of unknown outcome is looked at and repeated.
const putTries = 4

// put writes an object whose bytes nobody else can have written. Where the
// outcome is unknown it looks: the same bytes there mean done.
func put(ctx context.Context, st store.Store, name string, data []byte) error {
	var err error
	for range putTries {
		if err = st.Put(ctx, name, data); err == nil {
			return nil
		}
		if !errors.Is(err, store.ErrExists) && !errors.Is(err, store.ErrUnknown) {
			return err
		}
		got, look := st.Get(ctx, name, 0, -1)
		switch {
		case look == nil && bytes.Equal(got, data):
			return nil
		case look == nil:
			return store.ErrExists
		case !errors.Is(look, store.ErrNotFound):
			return err
		}
	}
	return err
}
