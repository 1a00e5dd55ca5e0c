package backup

import (
	"context"
	"fmt"

	"strongroom/backup/chunk"
	"strongroom/backup/pack"
)

// verify reads what was written from the disk again and holds it against the
// ids of the backup. What was there already was held against them before.
func (j *restore) verify(ctx context.Context) error {
	if !j.opt.Verify {
		return nil
	}
	j.meter.phase(PhaseCheck)
	j.verifying = true
	var differ []string
	buf := make([]byte, chunk.FileBytes)
	err := j.batches(ctx, func() error {
		for _, g := range j.goals {
			if err := ctx.Err(); err != nil {
				return err
			}
			if g.lost || g.kept || g.entry.Kind == pack.EntryDir {
				continue
			}
			j.meter.step(g.name)
			if info, err := j.root.Lstat(g.name); err != nil || !j.same(g, info, buf) {
				differ = append(differ, g.name)
				continue
			}
			j.report.Verified++
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(differ) > 0 {
		return fmt.Errorf("%w: %d in %s (%s)", ErrVerify, len(differ), j.target, some(differ))
	}
	return nil
}
