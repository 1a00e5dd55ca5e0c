package demostore

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// Sizes of media, in bytes: log-normal, as photos and voice messages are.
const (
	mediumBytesTypical = 90 << 10
	mediumBytesMin     = 2 << 10
	mediumBytesMax     = 12 << 20
	mediumSpread       = 0.9 // standard deviation of the logarithm
)

var mediaKinds = []struct{ dir, ext string }{
	{"Images", "jpg"}, {"Images", "jpg"}, {"Voice Notes", "opus"}, {"Video", "mp4"}, {"Stickers", "webp"}, {"Images", "jpg"},
}

func (s Store) makeMedia(ctx context.Context, done, size int64, progress func(int64)) error {
	r := s.random(forMedia, 0)
	for i := 0; done < size; i++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := s.medium(r, fmt.Sprintf("%06d", i), mediumBytesTypical, size-done)
		if err != nil {
			return err
		}
		done += n
		progress(done)
	}
	return nil
}

// addMedium adds one medium as a messenger does: written aside, then renamed,
// so that nobody sees half of it.
func (s Store) addMedium(r *rand.Rand, name string) error {
	_, err := s.medium(r, name, mediumBytesTypical, mediumBytesMax)
	return err
}

func (s Store) medium(r *rand.Rand, name string, typical float64, atMost int64) (int64, error) {
	kind := mediaKinds[r.IntN(len(mediaKinds))]
	n := int64(typical * math.Exp(r.NormFloat64()*mediumSpread))
	n = min(max(n, mediumBytesMin), mediumBytesMax, max(atMost, mediumBytesMin))
	dir := filepath.Join(s.Media(), kind.dir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return 0, err
	}
	path := filepath.Join(dir, fmt.Sprintf("MSG-%s.%s", name, kind.ext))
	aside := filepath.Join(s.Dir, ".incoming-"+name)
	if err := os.WriteFile(aside, picture(r, int(n)), 0o600); err != nil {
		return 0, err
	}
	return n, os.Rename(aside, path)
}
