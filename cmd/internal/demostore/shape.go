package demostore

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"os"
)

// Shape says how much a store holds.
type Shape struct {
	DatabaseBytes int64 // about
	Media         int   // files
	MediaBytes    int64 // about, all together
}

// Day says what one day brings.
type Day struct {
	Messages, Edits, Deletions, Media int
	MediaBytes                        int64 // about, all together
}

// minuteMessages is how many messages one commit of a day holds.
const minuteMessages = 20

// MakeShape is Make for a store of a shape of its own.
func (s Store) MakeShape(ctx context.Context, shape Shape) error {
	if _, err := os.Stat(s.Database()); err == nil {
		return fmt.Errorf("demostore: %s holds a store already", s.Dir)
	}
	if err := os.MkdirAll(s.Media(), 0o700); err != nil {
		return err
	}
	if err := s.makeDatabase(ctx, int(shape.DatabaseBytes/bytesPerMessage), func(int64) {}); err != nil {
		return err
	}
	r, typical := s.random(forMedia, 0), typicalOf(shape.MediaBytes, shape.Media)
	for i := range shape.Media {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := s.medium(r, fmt.Sprintf("%06d", i), typical, mediumBytesMax); err != nil {
			return err
		}
	}
	return nil
}

// typicalOf is the median size of n media of so many bytes together: the mean
// of a log-normal draw lies above its median.
func typicalOf(bytes int64, n int) float64 {
	return float64(bytes) / float64(max(n, 1)) / math.Exp(mediumSpread*mediumSpread/2)
}

// AddDayOf adds day number of a shape of its own. Numbers differ from call to
// call.
func (s Store) AddDayOf(ctx context.Context, number uint64, day Day) error {
	w, err := openWriter(s)
	if err != nil {
		return err
	}
	defer w.Close()
	r := s.random(forDay, number)
	minutes := max(1, day.Messages/minuteMessages)
	for i := range minutes {
		err := w.commit(ctx, func(tx *sql.Tx) error {
			for range share(day.Messages, minutes, i) {
				if err := w.message(tx, r, ""); err != nil {
					return err
				}
			}
			return w.amend(tx, r, share(day.Edits, minutes, i), share(day.Deletions, minutes, i))
		})
		if err != nil {
			return err
		}
	}
	for i := range day.Media {
		if _, err := s.medium(r, fmt.Sprintf("day%d-%d", number, i), typicalOf(day.MediaBytes, day.Media), mediumBytesMax); err != nil {
			return err
		}
	}
	return nil
}

// share is part i of n when it is dealt to so many parts.
func share(n, parts, i int) int { return n*(i+1)/parts - n*i/parts }
