package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"strongroom/backup/chunk"
	"strongroom/backup/pack"
	"strongroom/store"
	"strongroom/store/mem"
)

// indexed is a folder with a database whose index changes all over every day.
type indexed struct {
	t    testing.TB
	root string
	rnd  *rand.Rand
	rows int
}

func newIndexed(t testing.TB, seed uint64, rows int) *indexed {
	t.Helper()
	x := &indexed{t: t, root: filepath.Join(t.TempDir(), "data"), rnd: rand.New(rand.NewPCG(seed, 8))}
	if err := os.MkdirAll(x.root, 0o755); err != nil {
		t.Fatal(err)
	}
	script(t, x.path(), "PRAGMA page_size=1024", "CREATE TABLE m(id INTEGER PRIMARY KEY, k BLOB, body TEXT)", "CREATE INDEX mk ON m(k)")
	x.insert(rows)
	x.note()
	return x
}

func (x *indexed) path() string { return filepath.Join(x.root, "msgstore.db") }

func (x *indexed) insert(n int) {
	values := make([]string, n)
	for i := range values {
		x.rows++
		values[i] = fmt.Sprintf("(%d,x'%016x%016x','message %d')", x.rows, x.rnd.Uint64(), x.rnd.Uint64(), x.rnd.IntN(1e9))
	}
	script(x.t, x.path(), "INSERT INTO m VALUES"+strings.Join(values, ","))
}

// note writes the file that is beside the database.
func (x *indexed) note() {
	if err := os.WriteFile(filepath.Join(x.root, "note"), fmt.Appendf(nil, "%d", x.rnd.Uint64()), 0o600); err != nil {
		x.t.Fatal(err)
	}
}

// day is a day of a messenger.
func (x *indexed) day() {
	x.insert(40)
	script(x.t, x.path(), fmt.Sprintf("DELETE FROM m WHERE id=%d", 1+x.rnd.IntN(x.rows)), fmt.Sprintf("UPDATE m SET k=x'%032x' WHERE id=%d", x.rnd.Uint64(), 1+x.rnd.IntN(x.rows)))
	x.note()
}

// groupsOf gives the groups that a restore of the database reads.
func groupsOf(t testing.TB, r *Repository, snapshot string) (out []chunk.Group) {
	t.Helper()
	m, err := r.open(t.Context(), snapshot)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.pack.Entries(t.Context(), m, func(e *pack.Entry) error {
		if e.Database == nil {
			return nil
		}
		image, err := r.image(t.Context(), e.Database)
		if err != nil {
			return err
		}
		return image.Groups(func(g chunk.Group) error { out = append(out, g); return nil })
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// levelsOf is the highest level of groups, and how many are differences.
func levelsOf(groups []chunk.Group) (levels, differences int) {
	for _, g := range groups {
		levels = max(levels, g.Level)
		if g.Bases != nil {
			differences++
		}
	}
	return levels, differences
}

// comesBack restores a snapshot and holds it against what was; SQLite left its
// files beside the database since.
func comesBack(t testing.TB, r *Repository, snapshot string, held shadow) {
	t.Helper()
	if d := held.differences(takeShadow(t, filepath.Join(mustRestore(t, r, snapshot, ""), "data")), "."); len(d) > 0 {
		t.Fatal(d)
	}
}

// readTree reads a file of a snapshot as a mount does.
func readTree(t testing.TB, r *Repository, snapshot, name string) string {
	t.Helper()
	tree, err := r.Trees(4<<20).Open(t.Context(), snapshot)
	if err != nil {
		t.Fatal(err)
	}
	n := tree.Root
	for part := range strings.SplitSeq(name, "/") {
		i := slices.IndexFunc(n.Children, func(c *Node) bool { return c.Name == part })
		n = n.Children[i]
	}
	f, err := tree.File(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, f.Size())
	if _, err := f.ReadAt(t.Context(), b, 0); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	return string(b)
}

// P13: every day of three weeks comes back as it was, restored and mounted,
// while days lean on days: through a vacuum, a database that shrinks, a last
// image that is lost, and one that is another.
func TestDifferencesComeBack(t *testing.T) {
	x, st, state := newIndexed(t, 1, 6000), mem.New(), t.TempDir()
	r := mustCreate(t, st)
	shadows := map[string]shadow{}
	var whole, least int64
	highest, fresh := 0, 0
	var older []byte // a last image of another day
	for day := range 24 {
		switch day {
		case 0:
		case 7:
			script(t, x.path(), fmt.Sprintf("DELETE FROM m WHERE id>%d", x.rows/2), "VACUUM")
		case 10, 11, 13:
			last, _ := filepath.Glob(filepath.Join(state, "*", lastPagesPrefix+"*"))
			if len(last) != 1 {
				t.Fatal(last)
			}
			b, err := os.ReadFile(last[0])
			if err != nil {
				t.Fatal(err)
			}
			switch day {
			case 10:
				older, b = b, b[:len(b)-5]
			case 11:
				b[3000]++
			case 13:
				b = older
			}
			if err := os.WriteFile(last[0], b, 0o600); err != nil {
				t.Fatal(err)
			}
			x.day()
		default:
			x.day()
		}
		held := takeShadow(t, x.root)
		report := mustBackup(t, r, state, x.root)
		shadows[report.Snapshot.ID] = held
		levels, differences := levelsOf(groupsOf(t, r, report.Snapshot.ID))
		highest = max(highest, levels)
		if levels == 0 {
			fresh++
		}
		t.Logf("day %d: %d pages changed, %d bytes sent, %d levels, %d differences", day, report.PagesChanged, report.BytesSent, levels, differences)
		switch {
		case day == 0:
			whole = report.BytesSent
		case day == 1:
			least = report.BytesSent
		}
		if got := readTree(t, r, report.Snapshot.ID, "data/msgstore.db"); got != held["msgstore.db"].content {
			t.Fatalf("day %d: mounted, the database is another", day)
		}
	}
	if least*3 > whole || highest < 5 || highest > 16 || fresh < 2 {
		t.Errorf("%d bytes sent for a day of a database of %d; %d levels at most, %d days without", least, whole, highest, fresh)
	}
	mustCheck(t, r)
	for id, held := range shadows {
		comesBack(t, r, id, held)
	}
}

// differing is a repository whose newest snapshot leans on older ones.
func differing(t *testing.T) (x *indexed, st *mem.Store, state string, held shadow) {
	t.Helper()
	x, st, state = newIndexed(t, 2, 4000), mem.New(), t.TempDir()
	r := mustCreate(t, st)
	mustBackup(t, r, state, x.root)
	for range 3 {
		x.day()
		mustBackup(t, r, state, x.root)
	}
	held = takeShadow(t, x.root)
	if levels, n := levelsOf(groupsOf(t, r, "latest")); levels != 3 || n < 3 {
		t.Fatal(levels, n)
	}
	return x, st, state, held
}

// P14: whatever pack is damaged, what leans on it is named, everything else is
// restored, and the next backup is whole again.
func TestDamageOfWhatDifferencesLeanOn(t *testing.T) {
	x, st, state, held := differing(t)
	var packs []store.Info
	for o, err := range st.List(t.Context(), "p/") {
		if err != nil {
			t.Fatal(err)
		}
		packs = append(packs, o)
	}
	costly := 0
	for _, o := range packs {
		for what, bend := range map[string]func([]byte) []byte{"missing": nil, "flipped": func(b []byte) []byte { b[len(b)/3]++; return b }} {
			b := &bent{Store: st, name: o.Name, bend: bend}
			r := mustOpen(t, b)
			target := t.TempDir()
			report, err := r.Restore(t.Context(), "latest", target, RestoreOptions{})
			lost := lostFiles(report)
			if (err != nil) != (len(lost) > 0) {
				t.Fatalf("%s %s: %v, lost %q", o.Name, what, err, lost)
			}
			got := takeShadow(t, filepath.Join(target, "data"))
			for name := range held {
				if !slices.Contains(lost, name) && name != "." && got[name].content != held[name].content {
					t.Fatalf("%s %s: %q is not as it was; lost %q: %v", o.Name, what, name, lost, err)
				}
			}
			if !slices.Contains(lost, "msgstore.db") {
				continue
			}
			costly++
			check, err := r.Check(t.Context(), CheckOptions{ReadData: true})
			if err != nil || !slices.ContainsFunc(check.Damages, func(d Damage) bool { return d.Object == o.Name && slices.Contains(d.Files, "data/msgstore.db") }) {
				t.Fatalf("%s %s: %+v %v", o.Name, what, check.Damages, err)
			}
		}
	}
	if costly < len(packs) {
		t.Errorf("%d of %d damages cost the database", costly, 2*len(packs))
	}
	// The oldest pack of pages, on which all lean, goes for good.
	for _, g := range groupsOf(t, mustOpen(t, st), "latest") {
		if g.Level > 0 || g.Keep == nil {
			continue
		}
		for name, segments := range landedSegments(t, st) {
			if _, here := segments[g.ID]; !here {
				continue
			}
			if err := st.Delete(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
		break
	}
	x.day()
	held = takeShadow(t, x.root)
	r := mustOpen(t, st)
	if _, err := r.Check(t.Context(), CheckOptions{}); err != nil {
		t.Fatal(err)
	}
	id := mustBackup(t, r, state, x.root).Snapshot.ID
	comesBack(t, r, id, held)
}

func mustOpenOrCreate(t testing.TB, st *mem.Store) *Repository {
	t.Helper()
	if countObjects(t, st, "header") == 0 {
		return mustCreate(t, st)
	}
	return mustOpen(t, st)
}

// levelled is a store that refuses what a restore asks for at levels above one:
// a request begins with a segment that is wanted.
type levelled struct {
	fetched
	levels map[string]map[int64]int // of the groups, by pack and where they begin
	most   int                      // that is given
}

func (f *levelled) Get(ctx context.Context, name string, offset, length int64) ([]byte, error) {
	if f.levels[name][offset] > f.most {
		return nil, errLine
	}
	return f.fetched.Get(ctx, name, offset, length)
}

// took gives how many groups of each level were asked for first since the last
// time.
func (f *levelled) took(levels int) []int {
	out := make([]int, levels+1)
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, name := range f.packs {
		if level, group := f.levels[name][f.reads[i].from]; group {
			out[level]++
		}
	}
	f.packs, f.reads, f.bytes = nil, nil, 0
	return out
}

// A restore that is broken off before it had the differences goes on with
// what they lean on: that is not fetched again. So at every level.
func TestRestoreOfDifferencesGoesOn(t *testing.T) {
	_, st, _, held := differing(t)
	line := &levelled{fetched: fetched{Store: st, left: -1}, levels: map[string]map[int64]int{}}
	r := mustOpen(t, line)
	groups, tables := groupsOf(t, r, "latest"), landedTables(t, st)
	for name, segments := range tables {
		line.levels[name] = map[int64]int{}
		for _, s := range segments {
			if i := slices.IndexFunc(groups, func(g chunk.Group) bool { return g.ID == s.id }); i >= 0 {
				line.levels[name][s.from] = groups[i].Level
			}
		}
	}
	levels, _ := levelsOf(groups)
	target := t.TempDir()
	line.took(levels)
	for line.most = range levels + 1 {
		_, err := r.Restore(t.Context(), "latest", target, RestoreOptions{})
		if line.most < levels && !errors.Is(err, errLine) || line.most == levels && err != nil {
			t.Fatalf("level %d: %v", line.most, err)
		}
		for level, n := range line.took(levels) {
			if level < line.most && n > 0 || level == line.most && n == 0 {
				t.Errorf("asked up to level %d, of level %d it fetched %d spans", line.most, level, n)
			}
		}
	}
	if d := held.differences(takeShadow(t, filepath.Join(target, "data")), "."); len(d) > 0 {
		t.Fatal(d)
	}
	if left, _ := filepath.Glob(filepath.Join(target, "data", ".*")); len(left) > 0 {
		t.Error("left over:", left)
	}
}

// What older snapshots had alone may go, what the newest leans on stays.
func TestForgetAndPruneKeepWhatDifferencesLeanOn(t *testing.T) {
	_, st, state, held := differing(t)
	r := mustOpen(t, st)
	if report, err := r.Forget(t.Context(), ForgetOptions{StateDir: state, Rules: KeepRules{Last: 1}}); err != nil || report.Forgotten() != 3 {
		t.Fatalf("%+v %v", report, err)
	}
	for range 2 {
		if _, err := r.Prune(t.Context(), PruneOptions{StateDir: state}); err != nil {
			t.Fatal(err)
		}
	}
	if levels, _ := levelsOf(groupsOf(t, mustOpen(t, st), "latest")); levels != 3 {
		t.Fatal("it does not lean any more:", levels)
	}
	mustCheck(t, mustOpen(t, st))
	comesBack(t, mustOpen(t, st), "latest", held)
}

// The last image is sealed: nothing of the database can be read in it.
func TestLastPagesAreSealed(t *testing.T) {
	x, state := newIndexed(t, 3, 500), t.TempDir()
	script(t, x.path(), "CREATE TABLE w(word TEXT PRIMARY KEY) WITHOUT ROWID", "INSERT INTO w VALUES('a word that nobody else has')")
	mustBackup(t, mustCreate(t, mem.New()), state, x.root)
	files, _ := filepath.Glob(filepath.Join(state, "*", lastPagesPrefix+"*"))
	if len(files) != 1 {
		t.Fatal(files)
	}
	b, err := os.ReadFile(files[0])
	if err != nil || len(b) < 10<<10 {
		t.Fatal(len(b), err)
	}
	if strings.Contains(string(b), "a word that") {
		t.Error("it can be read")
	}
}
