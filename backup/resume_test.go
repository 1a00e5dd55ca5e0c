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
)

// landed is a segment in a pack.
type landed struct {
	id       pack.ID
	kind     pack.Kind
	from, to int64 // in the pack
}

// landedSegments gives for each pack its segments and their sealed sizes.
func landedSegments(t testing.TB, st store.Store) map[string]map[pack.ID]int64 {
	t.Helper()
	out := map[string]map[pack.ID]int64{}
	for name, segments := range landedTables(t, st) {
		out[name] = map[pack.ID]int64{}
		for _, s := range segments {
			out[name][s.id] = s.to - s.from
		}
	}
	return out
}

// landedTables reads what lies in the storage's packs by spec/repository.md
// and backup/seal alone.
func landedTables(t testing.TB, st store.Store) map[string][]landed {
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
	out := map[string][]landed{}
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

func tableOf(t testing.TB, keys *seal.Keys, name string, b []byte) (out []landed) {
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
	from := int64(seal.FrameBytes)
	for _, s := range table.Segments {
		out = append(out, landed{s.ID, pack.Kind(s.Kind), from, from + int64(s.Sealed)})
		from += int64(s.Sealed)
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

// fetched notes what of packs is read, and breaks after a while.
type fetched struct {
	store.Store

	mu    sync.Mutex
	bytes int64    // guarded by mu
	left  int64    // guarded by mu: bytes until the line breaks; negative never
	reads []landed // guarded by mu: without ids
	packs []string // guarded by mu: of reads
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
	f.packs, f.reads = append(f.packs, name), append(f.reads, landed{from: offset, to: offset + int64(len(b))})
	f.mu.Unlock()
	return b, err
}

// take gives the segments of files that were read since the last time, and
// what of them.
func (f *fetched) take(tables map[string][]landed) map[pack.ID]int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := map[pack.ID]int64{}
	for i, r := range f.reads {
		for _, s := range tables[f.packs[i]] {
			if n := min(r.to, s.to) - max(r.from, s.from); n > 0 && s.kind == pack.KindFile {
				out[s.id] += n
			}
		}
	}
	f.bytes, f.reads, f.packs = 0, nil, nil
	return out
}

// readAlong is the most that is read, though nobody needs it, to save a
// request: spec/repository.md.
const readAlong = 512 << 10

// onDisk gives the ids of the parts of large files that an interrupted restore
// has left whole in a target, under whatever names: by their content alone.
func onDisk(t *testing.T, r *Repository, held shadow, target string) map[pack.ID]bool {
	t.Helper()
	out := map[pack.ID]bool{}
	for _, there := range takeShadow(t, target) {
		for at := 0; at < len(there.content); at += pack.SegmentBytesMax {
			part := there.content[at:min(at+pack.SegmentBytesMax, len(there.content))]
			for _, want := range held {
				if len(want.content) > readAlong && at+len(part) <= len(want.content) && want.content[at:at+len(part)] == part &&
					(len(part) == pack.SegmentBytesMax || at+len(part) == len(want.content)) {
					out[r.pack.SegmentID(pack.KindFile, []byte(part))] = true
				}
			}
		}
	}
	return out
}

// interrupted is a snapshot whose restore is interrupted.
type interrupted struct {
	held   shadow
	repo   string
	line   *fetched
	r      *Repository
	tables map[string][]landed
}

func newInterrupted(t *testing.T) *interrupted {
	x := &interrupted{repo: t.TempDir()}
	root := filepath.Join(t.TempDir(), "data")
	resumeTree(t, root)
	x.held = takeShadow(t, root)
	st, err := dir.Open(x.repo)
	if err != nil {
		t.Fatal(err)
	}
	mustBackup(t, mustCreate(t, st), t.TempDir(), root)
	x.line, x.tables = &fetched{Store: st, left: -1}, landedTables(t, st)
	if x.r, err = Open(t.Context(), x.line, testKey); err != nil {
		t.Fatal(err)
	}
	return x
}

// goOn restores into a target in which an interrupted restore left something,
// over a line that breaks after so many bytes (negative: never), and counts at
// the storage: no part of a large file that was on the disk comes again.
func (x *interrupted) goOn(t *testing.T, target string, left int64) (kept int, err error) {
	t.Helper()
	before := onDisk(t, x.r, x.held, target)
	x.line.left = left
	x.line.take(x.tables)
	_, err = x.r.Restore(t.Context(), "latest", target, RestoreOptions{})
	x.line.left = -1
	for id, n := range x.line.take(x.tables) {
		if before[id] {
			t.Errorf("%d bytes of a part that was on the disk came again", n)
		}
	}
	noHalfFile(t, x.held, filepath.Join(target, "data"))
	return len(before), err
}

// A restore whose line breaks goes on where it stopped, wherever that is: what
// is on the disk already, in whole files or in parts of one, is not fetched
// again.
func TestRestoreGoesOnWhereItStopped(t *testing.T) {
	x := newInterrupted(t)
	for _, slice := range []int64{3 << 20, 8 << 20, 17 << 20} {
		target, rounds, kept := t.TempDir(), 0, 0
		for ; rounds < 40; rounds++ {
			n, err := x.goOn(t, target, slice)
			if kept = max(kept, n); err == nil {
				break
			}
		}
		t.Logf("%d MiB at a time: %d rounds, at most %d parts kept", slice>>20, rounds, kept)
		if rounds < 1 || rounds == 40 || kept < 2 {
			t.Fatalf("%d rounds, %d parts kept", rounds, kept)
		}
		wantSame(t, x.held, takeShadow(t, filepath.Join(target, "data")))
		// Small files may be read along with the lists beside them: no parts of
		// large ones are, and nothing is written.
		if _, err := x.goOn(t, target, -1); err != nil {
			t.Error(err)
		}
		if report, err := x.r.Restore(t.Context(), "latest", target, RestoreOptions{}); err != nil || report.Files != 0 || report.Bytes != 0 {
			t.Errorf("a whole restore was done again: %+v %v", report, err)
		}
	}
}

// A restore that is killed (no goodbye: nothing is cleaned, nothing settled)
// goes on with what it left, wherever it was killed, also when it is killed
// again, and never leaves half a file under its own name.
func TestKilledRestoreGoesOn(t *testing.T) {
	x, all := newInterrupted(t), 0
	for _, cuts := range [][]string{{"1000000"}, {"9000000"}, {"12000000", "3000000"}, {"12000000", "1"}} {
		target, kept := t.TempDir(), 0
		for _, cut := range cuts {
			c := exec.CommandContext(t.Context(), os.Args[0], x.repo, target, cut)
			c.Env = append(os.Environ(), roleVariable+"=restore")
			if out, err := c.CombinedOutput(); err == nil || !strings.Contains(err.Error(), "killed") {
				t.Fatalf("not killed: %v %s", err, out)
			}
			noHalfFile(t, x.held, filepath.Join(target, "data"))
			now := len(onDisk(t, x.r, x.held, target))
			if now < kept {
				t.Errorf("killed at %v: %d parts of %d are left", cuts, now, kept)
			}
			kept = now
		}
		if _, err := x.goOn(t, target, -1); err != nil {
			t.Fatal(err)
		}
		t.Logf("killed at %v: %d parts kept", cuts, kept)
		all += kept
		wantSame(t, x.held, takeShadow(t, filepath.Join(target, "data")))
	}
	if all < 6 {
		t.Errorf("only %d parts were kept", all)
	}
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
