package backup

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"strongroom/backup/pack"
	"strongroom/backup/seal"
	"strongroom/store"
	"strongroom/store/dir"
	"strongroom/store/fault"
	"strongroom/store/mem"
)

// landedSegments reads what lies in the storage's packs by spec/repository.md
// and backup/seal alone: for each pack its segments and their sealed sizes.
func landedSegments(t testing.TB, st store.Store) map[string]map[pack.ID]int64 {
	t.Helper()
	head, err := st.Get(t.Context(), "header-a", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	header, err := seal.ParseHeader(head)
	if err != nil {
		t.Fatal(err)
	}
	raw := [32]byte(testKey)
	keys := seal.NewKeys(&raw, header)
	out := map[string]map[pack.ID]int64{}
	for o, err := range st.List(t.Context(), "p/") {
		if err != nil {
			t.Fatal(err)
		}
		b, err := st.Get(t.Context(), o.Name, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		out[o.Name] = tableOf(t, keys, o.Name, b)
	}
	return out
}

const trailerBytes = 32

func tableOf(t testing.TB, keys *seal.Keys, name string, b []byte) map[pack.ID]int64 {
	t.Helper()
	p, err := keys.OpenPack(name, b[:seal.FrameBytes])
	if err != nil {
		t.Fatal(name, err)
	}
	end := len(b) - trailerBytes
	trailer, err := p.Open(nil, uint32(end), seal.PartPlace(seal.PartTrailer), b[end:])
	if err != nil {
		t.Fatal(name, err)
	}
	at := binary.BigEndian.Uint32(trailer)
	text, err := p.Open(nil, at, seal.PartPlace(seal.PartTable), b[at:end])
	if err != nil {
		t.Fatal(name, err)
	}
	var table struct {
		Version  int `cbor:"1,keyasint"`
		Segments []struct {
			_      struct{} `cbor:",toarray"`
			ID     pack.ID
			Kind   uint8
			Raw    uint32
			Sealed uint32
		} `cbor:"2,keyasint"`
	}
	if err := cbor.Unmarshal(text, &table); err != nil || len(table.Segments) == 0 {
		t.Fatal(name, err, len(table.Segments))
	}
	out := map[pack.ID]int64{}
	for _, s := range table.Segments {
		out[s.ID] = int64(s.Sealed)
	}
	return out
}

// sentTwice counts the bytes of segments that lie in a pack of before and in
// one that came after it.
func sentTwice(before, after map[string]map[pack.ID]int64) (bytes int64, packs int) {
	had := map[pack.ID]bool{}
	for _, segments := range before {
		for id := range segments {
			had[id] = true
		}
	}
	for name, segments := range after {
		if before[name] != nil {
			continue
		}
		packs++
		for id, size := range segments {
			if had[id] {
				bytes += size
			}
		}
	}
	return bytes, packs
}

const (
	resumeFiles     = 6
	resumeFileBytes = 3 << 20
)

// resumeTree is files that do not compress, small files, and a database.
func resumeTree(t *testing.T, root string) {
	t.Helper()
	x := &tree{t: t, root: root, rnd: rand.New(rand.NewPCG(61, 1))}
	x.must(os.MkdirAll(filepath.Join(root, "small"), 0o755))
	for i := range resumeFiles {
		b := make([]byte, resumeFileBytes)
		if i == 0 { // no round of a broken line brings all of it
			b = make([]byte, 6*resumeFileBytes)
		}
		rand.NewChaCha8([32]byte{byte(i), 61}).Read(b)
		x.must(os.WriteFile(filepath.Join(root, fmt.Sprint(i)), b, 0o600))
	}
	for i := range 300 {
		x.must(os.WriteFile(filepath.Join(root, "small", fmt.Sprint(i)), x.bytes(100+x.rnd.IntN(3000)), 0o600))
	}
	for range 20 {
		x.database(filepath.Join(root, "msgstore.db"))
	}
}

// What landed before a kill or a broken line is not sent again, whether the
// local state survived or not: counted at the storage, segment by segment.
func TestNoFinishedPackIsSentTwice(t *testing.T) {
	root := filepath.Join(t.TempDir(), "data")
	resumeTree(t, root)
	held := takeShadow(t, root)
	for i, cut := range []string{"-4", "+5", "-7", "line"} {
		for _, lost := range []bool{false, true} {
			if raceEnabled && lost != (i%2 == 0) {
				continue
			}
			t.Run(fmt.Sprintf("%s/stateLost=%v", cut, lost), func(t *testing.T) {
				repo, stateDir := t.TempDir(), t.TempDir()
				st, err := dir.Open(repo)
				if err != nil {
					t.Fatal(err)
				}
				r := mustCreate(t, st)
				interrupt(t, st, repo, stateDir, cut, root)
				landed := landedSegments(t, st)
				if len(landed) == 0 {
					t.Fatal("nothing had landed")
				}
				if lost {
					stateDir = t.TempDir()
				}
				report := mustBackup(t, r, stateDir, root)
				again, packs := sentTwice(landed, landedSegments(t, st))
				if again != 0 || packs != report.PacksSent {
					t.Errorf("%d bytes of %d finished packs were sent again; %d packs came, %d were said to", again, len(landed), packs, report.PacksSent)
				}
				mustCheck(t, r)
				got := takeShadow(t, filepath.Join(mustRestore(t, r, "latest", ""), "data"))
				if d := held.differences(got, "."); len(d) > 0 { // SQLite left its files beside the database
					t.Fatal(d)
				}
			})
		}
	}
}

// interrupt runs a backup that does not end: killed at a put, or with a line
// that breaks after a put whose outcome stays unknown.
func interrupt(t *testing.T, st store.Store, repo, stateDir, cut, root string) {
	t.Helper()
	if cut != "line" {
		c := exec.CommandContext(t.Context(), os.Args[0], repo, stateDir, cut, "killed", root)
		c.Env = append(os.Environ(), roleVariable+"=backup")
		if out, err := c.CombinedOutput(); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Fatalf("not killed: %v %s", err, out)
		}
		return
	}
	line := fault.New(st, 1, fault.Rule{On: fault.Put, Match: "p/*", Nth: 5, Effect: fault.Landed}, fault.Rule{On: fault.Put, Match: "p/*", Nth: 6, Effect: fault.Dead})
	r, err := Open(t.Context(), line, testKey)
	if err != nil {
		t.Fatal(err)
	}
	if report, err := r.Backup(t.Context(), []string{root}, BackupOptions{StateDir: stateDir}); err == nil || line.Faults() == 0 {
		t.Fatalf("the line did not break: %+v", report)
	}
}

// fetched counts the bytes of packs that are read, and breaks after a while.
type fetched struct {
	store.Store

	mu    sync.Mutex
	bytes int64 // guarded by mu
	left  int64 // guarded by mu: bytes until the line breaks; negative never
}

var errLine = fmt.Errorf("the line broke: %w", context.DeadlineExceeded)

func (f *fetched) Get(ctx context.Context, name string, offset, length int64) ([]byte, error) {
	if !strings.HasPrefix(name, "p/") {
		return f.Store.Get(ctx, name, offset, length)
	}
	f.mu.Lock()
	broken := f.left >= 0 && f.bytes >= f.left
	f.mu.Unlock()
	if broken {
		return nil, errLine
	}
	b, err := f.Store.Get(ctx, name, offset, length)
	f.mu.Lock()
	f.bytes += int64(len(b))
	f.mu.Unlock()
	return b, err
}

func (f *fetched) take() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.bytes
	f.bytes = 0
	return n
}

// A restore whose line breaks goes on where it stopped: what is on the disk
// already, in whole files or in the first parts of one, is not fetched again.
func TestRestoreGoesOnWhereItStopped(t *testing.T) {
	root, st := filepath.Join(t.TempDir(), "data"), mem.New()
	resumeTree(t, root)
	held := takeShadow(t, root)
	mustBackup(t, mustCreate(t, st), t.TempDir(), root)
	line := &fetched{Store: st, left: -1}
	r, err := Open(t.Context(), line, testKey)
	if err != nil {
		t.Fatal(err)
	}
	mustRestore(t, r, "latest", "")
	whole := line.take()
	const slice = 8 << 20
	target, sum, rounds := t.TempDir(), int64(0), 0
	for ; rounds < 40; rounds++ {
		line.left = slice
		_, err := r.Restore(t.Context(), "latest", target, RestoreOptions{})
		sum += line.take()
		noHalfFile(t, held, filepath.Join(target, "data"))
		if err == nil {
			break
		}
	}
	if rounds < 2 || rounds == 40 {
		t.Fatalf("%d rounds", rounds)
	}
	const listBytes = 300 << 10  // lists and what describes a database are read each time
	const underWay = 3 * 6 << 20 // packs under way when the line breaks
	if more := sum - whole; more > int64(rounds)*(listBytes+underWay/3) {
		t.Errorf("%d bytes in %d rounds, %d in one: %d fetched again", sum, rounds, whole, more)
	}
	line.left = -1
	wantSame(t, held, takeShadow(t, filepath.Join(target, "data")))
	if report, err := r.Restore(t.Context(), "latest", target, RestoreOptions{}); err != nil || report.Files != 0 || line.take() > listBytes {
		t.Errorf("a whole restore was done again: %+v %v", report, err)
	}
}

// A restore that is killed (no goodbye: nothing is cleaned, nothing settled)
// goes on with what it left, and never leaves half a file under its own name.
func TestKilledRestoreGoesOn(t *testing.T) {
	root, repo := filepath.Join(t.TempDir(), "data"), t.TempDir()
	resumeTree(t, root)
	held := takeShadow(t, root)
	st, err := dir.Open(repo)
	if err != nil {
		t.Fatal(err)
	}
	mustBackup(t, mustCreate(t, st), t.TempDir(), root)
	line := &fetched{Store: st, left: -1}
	r, err := Open(t.Context(), line, testKey)
	if err != nil {
		t.Fatal(err)
	}
	mustRestore(t, r, "latest", "")
	whole, target := line.take(), t.TempDir()
	for _, cut := range []string{"14000000", "3000000"} {
		c := exec.CommandContext(t.Context(), os.Args[0], repo, target, cut)
		c.Env = append(os.Environ(), roleVariable+"=restore")
		if out, err := c.CombinedOutput(); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Fatalf("not killed: %v %s", err, out)
		}
		noHalfFile(t, held, filepath.Join(target, "data"))
	}
	if _, err := r.Restore(t.Context(), "latest", target, RestoreOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := line.take(); got > whole*9/10 {
		t.Errorf("%d bytes were fetched after two kills, %d for all", got, whole)
	}
	wantSame(t, held, takeShadow(t, filepath.Join(target, "data")))
}

// noHalfFile proves that every file which has its own name is whole.
func noHalfFile(t *testing.T, want shadow, root string) {
	t.Helper()
	if _, err := os.Stat(root); err != nil {
		return
	}
	for path, got := range takeShadow(t, root) {
		if strings.HasSuffix(path, ".part") || got.mode.IsDir() {
			continue
		}
		if want[path].content != got.content {
			t.Fatalf("%q stands there, and is not what was backed up", path)
		}
	}
}
