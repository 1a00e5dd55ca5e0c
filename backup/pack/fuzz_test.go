package pack

import (
	"bytes"
	"testing"

	"strongroom/backup/seal"
)

// corpus adds every vector of a form, good and bad.
func corpus(f *testing.F, form string) *Repo {
	f.Helper()
	n := 0
	var repo *Repo
	for name, least := range map[string]int{vectorsFile: goodMin, badFile: badMin} {
		v, r := load(f, name, least)
		repo = r
		for _, x := range v.Vectors {
			if x.Form == form {
				f.Add(unhex(f, x.Bytes))
				n++
			}
		}
	}
	if n == 0 {
		f.Fatalf("no vector of form %s", form)
	}
	return repo
}

func FuzzPack(f *testing.F) {
	r := corpus(f, "pack")
	f.Fuzz(func(t *testing.T, b []byte) { r.openWhole(vectorPack, b) })
}

// FuzzTail gives tables and trailers that authenticate: what a hostile device
// with K could write.
func FuzzTail(f *testing.F) {
	p := ref.parts(vectorSegments())
	f.Add(p.table, p.trailer[0], p.trailer[1], p.trailer[2], int64(p.trailer[3]))
	f.Fuzz(func(t *testing.T, table []byte, at, bytes, segments uint32, size int64) {
		tr, err := parseTrailer(trailer{at, bytes, segments, uint32(size)}.bytes(), size)
		if err != nil {
			return
		}
		got, err := parseTable(table, tr)
		if err != nil {
			return
		}
		end, err := endOf(got)
		if err != nil || end+seal.TagBytes > int64(tr.table) || int64(tr.table)+int64(tr.tableBytes)+trailerBytes != size {
			t.Fatal("a table that does not fit its pack")
		}
	})
}

func FuzzIndex(f *testing.F) {
	corpus(f, "index")
	f.Fuzz(func(t *testing.T, b []byte) {
		if v, err := parseIndex(b); err == nil && !bytes.Equal(encode(indexObject{Version: indexVersion, Packs: v}), b) {
			t.Fatal("parsed, then other bytes")
		}
	})
}

func FuzzManifest(f *testing.F) {
	corpus(f, "manifest")
	f.Fuzz(func(t *testing.T, b []byte) {
		if v, err := parseManifest(b); err == nil && !bytes.Equal(encode(v), b) {
			t.Fatal("parsed, then other bytes")
		}
	})
}

func FuzzHead(f *testing.F) {
	corpus(f, "head")
	f.Fuzz(func(t *testing.T, b []byte) {
		if v, err := parseHead(b); err == nil && !bytes.Equal(encode(v), b) {
			t.Fatal("parsed, then other bytes")
		}
	})
}

func FuzzList(f *testing.F) {
	corpus(f, "list")
	f.Fuzz(func(t *testing.T, b []byte) {
		var out []byte
		whole := true
		err := ParseList(b, func(e *Entry) error {
			if !goodPath(e.Path) {
				t.Fatal("a path that leaves its root")
			}
			out = appendEntry(out, e)
			return nil
		}, func(*UnknownEntry) error { whole = false; return nil })
		if err == nil && whole && !bytes.Equal(out, b) {
			t.Fatal("parsed, then other bytes")
		}
	})
}

func FuzzRuns(f *testing.F) {
	corpus(f, "runs")
	f.Fuzz(func(t *testing.T, b []byte) {
		runs, err := ParseRuns(b, 6)
		if err != nil {
			return
		}
		pages := uint32(0)
		for _, r := range runs {
			pages += r.Count
		}
		if pages != 6 || !bytes.Equal(AppendRuns(nil, runs), b) {
			t.Fatal("parsed, then other bytes")
		}
	})
}

func FuzzGroupRuns(f *testing.F) {
	for _, groups := range [][][]Run{{{{First: 1, Count: 6}}}, {{{First: 2, Count: 1}, {First: 9, Count: 3}}, {{First: 1, Count: 2}}}} {
		f.Add(AppendGroupRuns(nil, groups))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		groups, err := ParseGroupRuns(b, 6)
		if err != nil {
			return
		}
		pages := uint32(0)
		for _, runs := range groups {
			for _, r := range runs {
				pages += r.Count
			}
		}
		if pages != 6 || !bytes.Equal(AppendGroupRuns(nil, groups), b) {
			t.Fatal("parsed, then other bytes")
		}
	})
}
