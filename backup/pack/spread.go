package pack

import (
	"context"
	"sync"
)

// lookWorkers is how many small objects are asked for at once: over a line
// of 50 ms two hundred of them take a second and not ten.
const lookWorkers = 8

// spread does something with each of all, several at once. The first error
// ends it.
func spread[T any](ctx context.Context, all []T, do func(context.Context, T) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	work := make(chan T)
	var workers sync.WaitGroup
	for range min(lookWorkers, len(all)) {
		workers.Go(func() {
			for x := range work {
				if err := do(ctx, x); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	err := feed(ctx, work, all)
	workers.Wait()
	if err == nil {
		err = context.Cause(ctx)
	}
	return err
}
