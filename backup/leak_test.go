package backup

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"strongroom/backup/seal"
	"strongroom/store"
	"strongroom/store/mem"
	"strongroom/test/soak"
)

// What the storage sees of backups, and what a guess from it is worth: the
// figures of spec/leakage.md.

// putSeen is one put, as the storage sees it.
type putSeen struct {
	name  string
	bytes int
	after time.Duration // since the backup began
}

// spy is a storage that takes notes.
type spy struct {
	store.Store

	mu    sync.Mutex
	begun time.Time // guarded by mu
	seen  []putSeen // guarded by mu
}

func (s *spy) Put(ctx context.Context, name string, data []byte) error {
	s.mu.Lock()
	s.seen = append(s.seen, putSeen{name, len(data), time.Since(s.begun)})
	s.mu.Unlock()
	return s.Store.Put(ctx, name, data)
}

// take gives the notes of the backup that just ended, and begins the next.
func (s *spy) take() []putSeen {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.seen
	s.seen, s.begun = nil, time.Now()
	return out
}

// zMax is how far from chance a guess may be, in standard deviations, to
// either side: what a fair coin passes once in a million such tests.
const zMax = 4.9

// deviation is how far right guesses out of n are from those of a fair coin.
func deviation(right, n int) float64 {
	return (float64(right) - float64(n)/2) / math.Sqrt(float64(n)/4)
}

// trial is one backup of which the attacker knows that one of two things was
// in it.
type trial struct {
	second bool
	signs  []float64 // what is seen, as numbers, the same for each trial
}

// signs turns what was seen into numbers: sizes together and one by one in
// their order, counts, times, and bits of the names.
func signs(seen []putSeen) (out []float64) {
	const putsMax, nameBits = 12, 16
	var packs, all, largest, at float64
	for i, s := range seen {
		all += float64(s.bytes)
		if strings.HasPrefix(s.name, "p/") {
			packs += float64(s.bytes)
		}
		if float64(s.bytes) > largest {
			largest, at = float64(s.bytes), float64(i)
		}
	}
	out = append(out, float64(len(seen)), packs, all, largest, at)
	for i := range putsMax {
		s := putSeen{name: "p/0000"}
		if i < len(seen) {
			s = seen[i]
		}
		out = append(out, float64(s.bytes), float64(s.after), float64(s.name[0]))
		if i < 2 {
			for bit := range nameBits {
				out = append(out, float64(s.name[2+bit/4]>>(bit%4)&1))
			}
		}
	}
	return out
}

// guess learns from half of the trials which sign, above or below which value,
// tells the two things apart best, and gives how often that is right in the
// other half, which it did not see.
func guess(trials []trial) (right, n, sign int) {
	learn, rest := trials[:len(trials)/2], trials[len(trials)/2:]
	best, cut, above := -1, 0.0, false
	for i := range trials[0].signs {
		values := map[float64]bool{}
		for _, t := range learn {
			values[t.signs[i]] = true
		}
		for v := range values {
			score := 0
			for _, t := range learn {
				if (t.signs[i] > v) == t.second {
					score++
				}
			}
			for _, c := range []struct {
				score int
				above bool
			}{{score, true}, {len(learn) - score, false}} {
				if c.score > best {
					best, cut, above, sign = c.score, v, c.above, i
				}
			}
		}
	}
	for _, t := range rest {
		if ((t.signs[sign] > cut) == above) == t.second {
			right++
		}
	}
	return right, len(rest), sign
}

// oneOfTwo backs up n times a folder in which one of two things was put, and
// gives what was seen. plain, where not nil, is what a storage would see of a
// writer with a fault.
func oneOfTwo(t *testing.T, n int, put [2]func(root string, rnd *rand.Rand), plant func(*spy, []putSeen) []putSeen) (trials []trial) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(2026, 532))
	const perRepository = 50
	var s *spy
	var r *Repository
	root, state := filepath.Join(t.TempDir(), "data"), ""
	for i := range n {
		if i%perRepository == 0 {
			s, state = &spy{Store: mem.New()}, t.TempDir()
			r = mustCreate(t, s)
			mustFolder(t, root)
			mustBackup(t, r, state, root)
		}
		mustFolder(t, root)
		which := rnd.IntN(2)
		put[which](root, rnd)
		s.take()
		mustBackup(t, r, state, root)
		seen := s.take()
		if plant != nil {
			seen = plant(s, seen)
		}
		trials = append(trials, trial{which == 1, signs(seen)})
	}
	return trials
}

// mustFolder makes an empty folder.
func mustFolder(t *testing.T, root string) {
	t.Helper()
	if err := os.RemoveAll(root); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatal(err)
	}
}

// files makes a thing of files with these sizes, of noise, in the order of
// their names.
func files(t *testing.T, sizes ...int) func(string, *rand.Rand) {
	return func(root string, rnd *rand.Rand) {
		for i, n := range sizes {
			b := make([]byte, n)
			var key [32]byte
			for j := range key {
				key[j] = byte(rnd.Uint32())
			}
			rand.NewChaCha8(key).Read(b)
			if err := os.WriteFile(filepath.Join(root, fmt.Sprintf("IMG-%04d.jpg", i)), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// unpadded is what would be seen of packs that are not padded.
func unpadded(t *testing.T) func(*spy, []putSeen) []putSeen {
	return func(s *spy, seen []putSeen) []putSeen {
		tables := landedSegments(t, s.Store)
		out := slices.Clone(seen)
		for i, x := range out {
			if table := tables[x.name]; table != nil {
				out[i].bytes = seal.FrameBytes
				for _, n := range table {
					out[i].bytes += int(n)
				}
			}
		}
		return out
	}
}

// ordered is what would be seen of a writer that fills one pack after the
// other with the files in their order.
func ordered(packBytesMax int, sizes [2][]int) func(second bool) []putSeen {
	return func(second bool) (out []putSeen) {
		which := sizes[0]
		if second {
			which = sizes[1]
		}
		at := 0
		for _, n := range which {
			if at > 0 && at+n > packBytesMax {
				out, at = append(out, putSeen{name: "p/0000", bytes: seal.Padme(at)}), 0
			}
			at += n
		}
		return append(out, putSeen{name: "p/0000", bytes: seal.Padme(at)})
	}
}

// report holds a guess against chance: fair says whether it has to be no
// better.
func report(t *testing.T, what string, trials []trial, fair bool) {
	t.Helper()
	right, n, sign := guess(trials)
	z := deviation(right, n)
	t.Logf("%s: %d of %d guesses right, %.1f deviations from chance (by sign %d)", what, right, n, z, sign)
	if fair && math.Abs(z) > zMax {
		t.Errorf("%s: what the storage sees tells the two apart: %d of %d", what, right, n)
	}
	if !fair && z <= zMax {
		t.Errorf("%s: the attacker should have seen this, and is too weak for what he did not see to mean anything", what)
	}
}

// Two files whose packs fall into one class of Padme: which one was stored is
// not seen, by size, order, time or name. Two of different classes are told
// apart, which is what spec/leakage.md says; and so would be the two without
// the padding.
func TestStorageCanNotTellFilesOfOneSizeClass(t *testing.T) {
	n := soak.Size(120, 1000)
	if raceEnabled {
		n = 60
	}
	one := [2]func(string, *rand.Rand){files(t, 197_400), files(t, 199_300)} // both in the class that ends at 200,704
	report(t, "one size class", oneOfTwo(t, n, one, nil), true)
	control := min(n, 120)
	report(t, "two size classes", oneOfTwo(t, control, [2]func(string, *rand.Rand){files(t, 150_000), files(t, 199_300)}, nil), false)
	report(t, "planted: no padding", oneOfTwo(t, control, one, unpadded(t)), false)
	soak.Tried(t, "P10", "backups of one of two files", n, n)
}

// Files whose order is known, and three of them large: whether those are the
// first or the last is not seen in the order of the packs' sizes. It would be,
// of a writer that keeps the order.
func TestStorageCanNotTellTheOrderOfFiles(t *testing.T) {
	n := soak.Size(60, 2500)
	if raceEnabled {
		n = 60
	}
	small := slices.Repeat([]int{700_000}, 12)
	sizes := [2][]int{append([]int{1 << 20, 1 << 20, 1 << 20}, small...), append(slices.Clone(small), 1<<20, 1<<20, 1<<20)}
	report(t, "order of files", oneOfTwo(t, n, [2]func(string, *rand.Rand){files(t, sizes[0]...), files(t, sizes[1]...)}, nil), true)
	see := ordered(6<<20, sizes)
	rnd := rand.New(rand.NewPCG(1, 1))
	var planted []trial
	for range 60 {
		second := rnd.IntN(2) == 1
		planted = append(planted, trial{second, signs(see(second))})
	}
	report(t, "planted: packs in the order of files", planted, false)
	soak.Tried(t, "P10", "backups of files in one of two orders", n, n)
}
