package backup

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"strongroom/backup/seal"
	"strongroom/store/mem"
	"strongroom/test/soak"
)

// "Chunking Attacks on File Backup Services using Content-Defined Chunking"
// (Truong, Merino et al., eprint 2025/532): who can have files of his choice
// backed up, and sees the sizes of what is uploaded, learns the secret by
// which the chunker cuts; from then on the sizes of the chunks of any file that
// he knows are a fingerprint of it. The attack here, in the same three steps:
//
//  1. have files of his choice backed up, note the sizes;
//  2. find the secret that explains them;
//  3. of two files of one length that he knows, tell which was backed up.

// uploads gives the sizes that the storage sees of one file's upload, in order.
type uploads func(content []byte) []int

// rollingWindow and the others are those of the planted victim.
const (
	rollingWindow = 32
	rollingSecret = 1 << 7 // how many secrets there are: enough to show, few enough to try
	rollingPrime  = 65521
	rollingMask   = 1<<13 - 1
)

// cuts gives the lengths of the chunks of a chunker that cuts by content: a
// polynomial over the last bytes at a secret point, as Rabin fingerprints are.
func cuts(content []byte, secret uint32) (out []int) {
	point := secret*2 + 3
	top := uint32(1)
	for range rollingWindow {
		top = top * point % rollingPrime
	}
	var h uint32
	last := 0
	for i, b := range content {
		h = (h*point + uint32(b) + 1) % rollingPrime
		if i >= rollingWindow {
			h = (h + rollingPrime - top*(uint32(content[i-rollingWindow])+1)%rollingPrime) % rollingPrime
		}
		if h&rollingMask == 7 && i-last >= rollingWindow {
			out, last = append(out, i-last), i
		}
	}
	return append(out, len(content)-last)
}

// cutByContent is the victim that has to fall: each chunk goes out as it is.
func cutByContent(secret uint32) uploads {
	return func(content []byte) []int {
		out := cuts(content, secret)
		for i := range out {
			out[i] += seal.FrameBytes
		}
		return out
	}
}

// explains is how far what was seen is from what a secret says: 0 if it is
// just that, whatever is added to each chunk.
func explains(seen, said []int) (distance float64) {
	for i := range max(len(seen), len(said)) {
		var a, b int
		if i < len(seen) {
			a = seen[i]
		}
		if i < len(said) {
			b = said[i]
		}
		distance += math.Abs(float64(a - b - seal.FrameBytes))
	}
	return distance
}

// attack gives how often the attacker is right of n times.
func attack(victim uploads, rnd *rand.Rand, bytes, n int) (right int) {
	noise := func() []byte {
		var key [32]byte
		for i := range key {
			key[i] = byte(rnd.Uint32())
		}
		b := make([]byte, bytes)
		rand.NewChaCha8(key).Read(b)
		return b
	}
	chosen := noise()
	seen := victim(chosen)
	secret, least := uint32(0), math.Inf(1)
	for s := range uint32(rollingSecret) {
		if d := explains(seen, cuts(chosen, s)); d < least {
			secret, least = s, d
		}
	}
	for range n {
		files := [2][]byte{noise(), noise()}
		which := rnd.IntN(2)
		seen := victim(files[which])
		said := 0
		if explains(seen, cuts(files[1], secret)) < explains(seen, cuts(files[0], secret)) {
			said = 1
		}
		if said == which {
			right++
		}
	}
	return right
}

func TestChosenFilesTellNothing(t *testing.T) {
	n := soak.Size(40, 400)
	const fileBytes = 200_000
	right := attack(cutByContent(77), rand.New(rand.NewPCG(1, 532)), fileBytes, n)
	t.Logf("a victim that cuts by content: %d of %d guesses right", right, n)
	if deviation(right, n) <= zMax {
		t.Errorf("the attack does not work: %d of %d against a victim that has to fall", right, n)
	}
	for _, bytes := range []int{fileBytes, 5 << 19} { // one segment, and three
		root, state, s := filepath.Join(t.TempDir(), "data"), t.TempDir(), &spy{Store: mem.New()}
		mustFolder(t, root)
		r := mustCreate(t, s)
		mustBackup(t, r, state, root)
		day := 0
		us := func(content []byte) (sizes []int) {
			day++
			if err := os.WriteFile(filepath.Join(root, fmt.Sprint(day)), content, 0o600); err != nil {
				t.Fatal(err)
			}
			s.take()
			mustBackup(t, r, state, root)
			if err := os.Remove(filepath.Join(root, fmt.Sprint(day))); err != nil {
				t.Fatal(err)
			}
			for _, x := range s.take() {
				if strings.HasPrefix(x.name, "p/") {
					sizes = append(sizes, x.bytes)
				}
			}
			slices.Sort(sizes)
			slices.Reverse(sizes) // the data first, what describes it behind
			return sizes
		}
		right := attack(us, rand.New(rand.NewPCG(uint64(bytes), 532)), bytes, n)
		t.Logf("this repository, files of %d bytes: %d of %d guesses right, %.1f deviations from chance", bytes, right, n, deviation(right, n))
		if z := deviation(right, n); math.Abs(z) > zMax {
			t.Errorf("chosen files of %d bytes tell: %d of %d", bytes, right, n)
		}
	}
	soak.Tried(t, "P10", "files of the storage's choice, twice", 2*n, 2*n)
}
