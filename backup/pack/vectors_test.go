package pack

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"testing"

	"strongroom/backup/seal"
)

var update = flag.Bool("update", false, "write the vectors anew")

const (
	vectorsFile = "../../spec/vectors/repository.json"
	badFile     = "../../spec/vectors/repository-bad.json"
	goodMin     = 20 // a loader that finds fewer vectors fails
	badMin      = 40
)

// vector is one case. Form says what bytes are; Error is empty or names the
// failure: damaged, version, malformed, unknown, wrong-key.
type vector struct {
	What     string       `json:"what"`
	Form     string       `json:"form"`
	Name     string       `json:"name,omitempty"` // of an object or pack
	Salt     string       `json:"salt,omitempty"`
	Number   uint64       `json:"number,omitempty"`
	Segments []refSegment `json:"segments,omitempty"`
	Input    string       `json:"input,omitempty"`
	Bytes    string       `json:"bytes"`
	Error    string       `json:"error,omitempty"`
}

type vectors struct {
	About      string   `json:"about"`
	Key        string   `json:"key"`
	Repository string   `json:"repository"`
	Salt       string   `json:"salt"`
	Header     string   `json:"header"`
	Vectors    []vector `json:"vectors"`
}

func seq(from byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = from + byte(i)
	}
	return b
}

var ref = reference{key: seq(0, 32), repository: seq(0x40, 16), salt: seq(0x60, 32)}

const (
	vectorPack   = "p/000102030405060708090a0b0c0d0e0f"
	vectorObject = "m/101112131415161718191a1b1c1d1e1f-a"
)

// zstdRaw is a zstd frame by hand (RFC 8878 section 3.1.1): single segment,
// one byte of content size, one raw block, then one RLE block if rle > 0.
func zstdRaw(plain []byte, rle int, size byte) []byte {
	b := []byte{0x28, 0xB5, 0x2F, 0xFD, 0x20, size}
	block := func(n, kind, last int) []byte {
		x := binary.LittleEndian.AppendUint32(nil, uint32(n<<3|kind<<1|last))
		return x[:3]
	}
	if rle == 0 {
		return append(append(b, block(len(plain), 0, 1)...), plain...)
	}
	b = append(append(b, block(len(plain), 0, 0)...), plain...)
	return append(append(b, block(rle, 1, 1)...), 'x')
}

func stored(flag byte, b []byte) []byte { return append([]byte{flag}, b...) }

func vectorSegments() []packPart {
	a, b, c := []byte("the first segment"), []byte("sixteen raw byte"), []byte{}
	d := append([]byte("zz"), bytes.Repeat([]byte("x"), 30)...)
	return []packPart{
		{1, a, stored(0, a)}, {2, b, stored(1, zstdRaw(b, 0, 16))}, {5, c, stored(0, c)}, {4, d, stored(1, zstdRaw([]byte("zz"), 30, 32))},
	}
}

func (v vectors) good() []vector {
	var out []vector
	add := func(x vector, b []byte) { x.Bytes = hex.EncodeToString(b); out = append(out, x) }
	add(vector{What: "the header, both copies", Form: "header"}, ref.header())
	for _, s := range vectorSegments() {
		add(vector{What: "segment id", Form: "id", Number: uint64(s.kind), Input: hex.EncodeToString(s.plain)}, ref.id(s.kind, s.plain))
	}
	page := bytes.Repeat([]byte{7}, 1024)
	add(vector{What: "page hash", Form: "page-hash", Input: hex.EncodeToString(page)}, blake3Keyed(ref.purpose("page"), page)[:16])
	add(vector{What: "cut number of a path", Form: "cut", Input: hex.EncodeToString([]byte("media/IMG-1.jpg"))}, blake3Keyed(ref.purpose("cut"), []byte("media/IMG-1.jpg"))[:4])
	for _, n := range []uint64{1, 2, 1 << 40} {
		add(vector{What: "head name", Form: "head-name", Number: n, Input: hex.EncodeToString(seq(0x90, 16))}, ref.headName(seq(0x90, 16), n))
	}
	for _, n := range []uint64{1, 9, 100, 1025, 4095, 5 << 20, 8<<20 - 1} {
		add(vector{What: "Padme", Form: "padme", Number: n}, binary.BigEndian.AppendUint32(nil, uint32(ref.padme(int(n)))))
	}
	salt := seq(0xa0, 32)
	for _, n := range []int{0, 1, 932, 933, 3000} {
		body := bytes.Repeat([]byte("body"), n)[:n]
		add(vector{What: fmt.Sprintf("sealed object with a body of %d bytes", n), Form: "object", Name: vectorObject, Salt: hex.EncodeToString(salt), Input: hex.EncodeToString(body)},
			ref.object(vectorObject, salt, ref.plain(body)))
	}
	var segs []refSegment
	for _, s := range vectorSegments() {
		segs = append(segs, refSegment{s.kind, hex.EncodeToString(s.plain), hex.EncodeToString(s.stored), hex.EncodeToString(ref.id(s.kind, s.plain))})
	}
	add(vector{What: "a pack: stored, zstd, empty, zstd with a run", Form: "pack", Name: vectorPack, Salt: hex.EncodeToString(salt), Segments: segs},
		ref.pack(vectorPack, salt, ref.parts(vectorSegments())))
	add(vector{What: "runs: pages 1-2, 4-6, 300", Form: "runs", Number: 6}, []byte{0, 2, 1, 3, 0xa5, 0x02, 1})
	for _, b := range bodies() {
		add(vector{What: b.form, Form: b.form}, b.bytes)
	}
	return out
}

type body struct {
	form  string
	bytes []byte
}

// bodies are one of each body, encoded by hand.
func bodies() []body {
	id := ref.id(1, []byte("the first segment"))
	n := func(x int) []byte { return cborHead(0, x) }
	hash := seq(0xc0, 32)
	refs := func(ids ...[]byte) []byte {
		for i := range ids {
			ids[i] = cborBytes(ids[i])
		}
		return cborArray(cborArray(ids...), cborArray())
	}
	entry := func(b []byte) []byte { return append(binary.AppendUvarint(nil, uint64(len(b))), b...) }
	dir := entry(cborMap(n(1), n(0), cborText("media"), n(0o700), cborHead(1, 4), n(0)))
	file := entry(append(append(append(cborHead(5, 7), cborMap(n(2), n(0), cborText("media/é.jpg"), n(0o600), n(1e9), n(17))[1:]...), 8), refs(id)...))
	link := entry(append(append(append(cborHead(5, 7), cborMap(n(3), n(0), cborText("media/l"), n(0o777), n(0), n(0))[1:]...), 7), cborText("x")...))
	layer := cborMap(n(0), n(5), refs(id), refs(id), refs())
	db := cborMap(n(512), n(6), cborArray(layer))
	sqlite := entry(append(append(append(cborHead(5, 7), cborMap(n(4), n(0), cborText("msgstore.db"), n(0o600), n(0), n(3072))[1:]...), 9), db...))
	attributes := cborArray(cborArray(cborText("system.posix_acl_access"), cborBytes(seq(2, 4))), cborArray(cborText("user.note"), cborBytes(nil)))
	attributed := entry(append(append(append(cborHead(5, 7), cborMap(n(1), n(0), cborText("media"), n(0o700), n(0), n(0))[1:]...), 10), attributes...))
	named := entry(append(append(append(append(cborHead(5, 8), cborMap(n(2), n(0), cborText("media/f"), n(0o600), n(0), n(17))[1:]...), 8), refs(id)...), append([]byte{11}, cborHead(0, 1<<40)...)...))
	snap := cborArray(cborBytes(seq(1, 16)), cborBytes(seq(2, 16)), cborBytes(hash), n(5))
	index := cborArray(cborBytes(seq(3, 16)), cborBytes(hash))
	segment := cborArray(cborBytes(id), n(1), n(17), n(34))
	return []body{
		{"list", slices.Concat(dir, file, link, sqlite)},
		{"list", slices.Concat(attributed, named)},
		{"manifest", cborMap(n(1), cborBytes(seq(1, 16)), n(5), cborText("phone"), cborBytes(seq(0x90, 16)), cborArray(cborText("/data")), cborArray(cborBytes(id)), n(4), n(3089))},
		{"head", cborMap(n(1), cborBytes(seq(0x90, 16)), n(2), cborBytes(hash), n(5), cborArray(snap), cborArray(index))},
		{"head", cborMap(n(1), cborBytes(seq(0x90, 16)), n(1), cborBytes(make([]byte, 32)), n(5), cborArray(), cborArray())},
		{"index", cborMap(n(1), cborArray(cborArray(cborBytes(seq(0, 16)), n(1024), cborBytes(seq(0xa0, 32)), cborArray(segment))))},
	}
}

func (v vectors) bad() []vector {
	var out []vector
	add := func(what, form, name, fail string, b []byte) {
		out = append(out, vector{What: what, Form: form, Name: name, Bytes: hex.EncodeToString(b), Error: fail})
	}
	v.badHeaders(add)
	v.badObjects(add)
	v.badPacks(add)
	v.badBodies(add)
	return out
}

type adder func(what, form, name, fail string, b []byte)

func change(b []byte, i int, x byte) []byte {
	b = slices.Clone(b)
	if i < 0 {
		i += len(b)
	}
	b[i] ^= x
	return b
}

func (v vectors) badHeaders(add adder) {
	h := ref.header()
	add("header: empty", "header", "", "damaged", nil)
	add("header: cut", "header", "", "damaged", h[:len(h)-1])
	add("header: a byte more", "header", "", "damaged", append(slices.Clone(h), 0))
	for _, i := range []int{0, 19, 20, 36, 68, 100, 132, -1} {
		add(fmt.Sprintf("header: byte %d flipped", i), "header", "", "damaged", change(h, i, 1))
	}
	again := func(b []byte) []byte {
		sum := sha256.Sum256(b[:132])
		return append(slices.Clone(b[:132]), sum[:]...)
	}
	add("header: version 2, checksum made anew", "header", "", "version", again(change(h, 19, 3)))
	add("header: another repository id, checksum made anew", "header", "", "wrong-key", again(change(h, 20, 1)))
	add("header: another salt, checksum made anew", "header", "", "wrong-key", again(change(h, 36, 1)))
	add("header: another MAC, checksum made anew", "header", "", "damaged", again(change(h, 100, 1)))
	other := ref
	other.key = seq(1, 32)
	add("header: of another key", "header", "", "wrong-key", other.header())
}

func (v vectors) badObjects(add adder) {
	salt, plain := seq(0xa0, 32), ref.plain([]byte("body"))
	o := ref.object(vectorObject, salt, plain)
	for _, i := range []int{0, 8, 40, 72, -1} {
		add(fmt.Sprintf("object: byte %d flipped", i), "object", vectorObject, "damaged", change(o, i, 0x80))
	}
	add("object: empty", "object", vectorObject, "damaged", nil)
	add("object: only its frame", "object", vectorObject, "damaged", o[:72])
	add("object: cut", "object", vectorObject, "damaged", o[:len(o)-1])
	add("object: a byte more", "object", vectorObject, "damaged", append(slices.Clone(o), 0))
	add("object: version 2", "object", vectorObject, "version", change(o, 7, 3))
	add("object: under another name", "object", "m/101112131415161718191a1b1c1d1e1f-b", "damaged", o)
	other := ref
	other.repository = seq(0x41, 16)
	add("object: of another repository", "object", vectorObject, "damaged", other.object(vectorObject, salt, plain))
	other = ref
	other.key = seq(1, 32)
	add("object: under another key", "object", vectorObject, "damaged", other.object(vectorObject, salt, plain))
	add("object: padding not zero", "object", vectorObject, "damaged", ref.object(vectorObject, salt, change(plain, -1, 1)))
	add("object: length beyond the end", "object", vectorObject, "damaged", ref.object(vectorObject, salt, change(plain, 0, 0x80)))
	add("object: too short for a length", "object", vectorObject, "damaged", ref.object(vectorObject, salt, plain[:3]))
	p := ref.pack(vectorPack, salt, ref.parts(vectorSegments()))
	add("object: a pack", "object", vectorPack, "damaged", p)
}

func (v vectors) badPacks(add adder) {
	salt := seq(0xa0, 32)
	make := func(what, fail string, edit func(*packParts)) {
		p := ref.parts(vectorSegments())
		edit(&p)
		add("pack: "+what, "pack", vectorPack, fail, ref.pack(vectorPack, salt, p))
	}
	good := ref.pack(vectorPack, salt, ref.parts(vectorSegments()))
	for _, i := range []int{0, 8, 40, 72, -33, -1} {
		add(fmt.Sprintf("pack: byte %d flipped", i), "pack", vectorPack, "damaged", change(good, i, 1))
	}
	add("pack: cut", "pack", vectorPack, "damaged", good[:len(good)-1])
	add("pack: a byte more", "pack", vectorPack, "damaged", append(slices.Clone(good), 0))
	add("pack: only its frame", "pack", vectorPack, "damaged", good[:72])
	add("pack: version 2", "pack", vectorPack, "version", change(good, 7, 3))
	add("pack: under another name", "pack", "p/000102030405060708090a0b0c0d0e0e", "damaged", good)
	make("a segment sealed under another id", "damaged", func(p *packParts) { p.ids[0] = ref.id(1, []byte("another")) })
	make("a segment sealed as another kind", "damaged", func(p *packParts) { p.kinds[0] = 2 })
	make("a segment of another plaintext", "damaged", func(p *packParts) { p.stored[0][1] ^= 1 })
	make("a stored form with flag 2", "damaged", func(p *packParts) { p.stored[0][0] = 2 })
	make("a zstd frame that holds more than its segment", "damaged", func(p *packParts) { p.stored[3] = stored(1, zstdRaw([]byte("zz"), 30, 33)) })
	make("a zstd frame that does not decode", "damaged", func(p *packParts) { p.stored[1][5] ^= 0xff })
	make("padding not zero", "damaged", func(p *packParts) { p.pad = append([]byte{1}, p.pad[1:]...) })
	make("a table with a byte more", "damaged", func(p *packParts) { p.table = append(p.table, 0); p.pad = p.pad[1:]; p.trailer[0]--; p.trailer[1]++ })
	make("a table of version 2", "version", func(p *packParts) { p.table = change(p.table, 2, 3) })
	make("a table whose first segment says another length", "damaged", func(p *packParts) { p.table = change(p.table, 42, 1) })
	make("a table whose segments run past it", "damaged", func(p *packParts) { p.table = change(p.table, -1, 0xdf) })
	make("a trailer that says another count", "damaged", func(p *packParts) { p.trailer[2]++ })
	make("a trailer that says another size", "damaged", func(p *packParts) { p.trailer[3]++ })
	make("a trailer whose table lies elsewhere", "damaged", func(p *packParts) { p.trailer[0]-- })
	make("a trailer whose table has no end", "damaged", func(p *packParts) { p.trailer[1] = 0xffffffff })
	make("two segments swapped, the table not", "damaged", func(p *packParts) {
		p.ids[0], p.ids[1], p.stored[0], p.stored[1] = p.ids[1], p.ids[0], p.stored[1], p.stored[0]
		p.kinds[0], p.kinds[1] = p.kinds[1], p.kinds[0]
	})
}

func (v vectors) badBodies(add adder) {
	for _, b := range bodies() {
		if b.form == "list" {
			continue
		}
		add(b.form+": empty", b.form, "", "malformed", nil)
		add(b.form+": a byte more", b.form, "", "malformed", append(slices.Clone(b.bytes), 0))
		add(b.form+": cut", b.form, "", "malformed", b.bytes[:len(b.bytes)-1])
		add(b.form+": version 2", b.form, "", "version", change(b.bytes, 2, 3))
		add(b.form+": the version not in its shortest form", b.form, "", "malformed", slices.Concat(b.bytes[:2], []byte{0x18, 1}, b.bytes[3:]))
		unknown := slices.Concat([]byte{b.bytes[0] + 1}, b.bytes[1:], []byte{0x18, 0x63, 0})
		add(b.form+": an unknown field", b.form, "", "malformed", unknown)
		twice := slices.Concat([]byte{b.bytes[0] + 1}, b.bytes[1:3], b.bytes[1:])
		add(b.form+": a field twice", b.form, "", "malformed", twice)
	}
	n := func(x int) []byte { return cborHead(0, x) }
	zero, hash := make([]byte, 32), seq(0xc0, 32)
	head := func(sequence int, parent []byte) []byte {
		return cborMap(n(1), cborBytes(seq(0x90, 16)), n(sequence), cborBytes(parent), n(5), cborArray(), cborArray())
	}
	add("head: sequence 0", "head", "", "malformed", head(0, zero))
	add("head: the first has a parent", "head", "", "malformed", head(1, hash))
	add("head: the second has none", "head", "", "malformed", head(2, zero))
	add("head: a parent of 31 bytes", "head", "", "malformed", head(2, hash[:31]))
	add("head: a parent of 33 bytes", "head", "", "malformed", head(2, append(slices.Clone(hash), 0)))
	entry := func(items ...[]byte) []byte {
		b := cborMap(items...)
		return append(binary.AppendUvarint(nil, uint64(len(b))), b...)
	}
	add("list: entry longer than the list", "list", "", "malformed", []byte{5, 0xa0})
	add("list: entry is no map", "list", "", "malformed", []byte{1, 0})
	add("list: a file without content", "list", "", "malformed", entry(n(2), n(0), cborText("f"), n(0), n(0), n(0)))
	add("list: a directory of negative size", "list", "", "malformed", entry(n(1), n(0), cborText("d"), n(0), n(0), cborHead(1, 0)))
	add("list: a path above its root", "list", "", "malformed", entry(n(1), n(0), cborText("../d"), n(0), n(0), n(0)))
	add("list: an absolute path", "list", "", "malformed", entry(n(1), n(0), cborText("/d"), n(0), n(0), n(0)))
	add("list: an entry of kind 9 with a field of its own", "list", "", "unknown", entry(n(9), n(0), cborText("new"), cborText("what")))
	add("list: a directory with an unknown field", "list", "", "malformed", append([]byte{22, 0xa7, 1, 1, 2, 0, 3, 0x61, 'd', 4, 0, 5, 0, 6, 0}, 0x18, 0x63, 0x65, 'x', 'a', 't', 't', 'r'))
	with := func(kind int, key byte, field []byte) []byte {
		b := append(append(append(cborHead(5, 7), cborMap(n(kind), n(0), cborText("d"), n(0), n(0), n(0))[1:]...), key), field...)
		return append(binary.AppendUvarint(nil, uint64(len(b))), b...)
	}
	attribute := func(name string) []byte { return cborArray(cborText(name), cborBytes(nil)) }
	add("list: extended attributes out of order", "list", "", "malformed", with(1, 10, cborArray(attribute("user.b"), attribute("user.a"))))
	add("list: an extended attribute twice", "list", "", "malformed", with(1, 10, cborArray(attribute("user.a"), attribute("user.a"))))
	add("list: no extended attributes, said", "list", "", "malformed", with(1, 10, cborArray()))
	add("list: a directory with a second name", "list", "", "malformed", with(1, 11, n(5)))
	add("list: a second name of number 0", "list", "", "malformed", with(1, 11, n(0)))
	add("runs: an end in the middle of a number", "runs", "", "malformed", []byte{0, 2, 0x80})
	add("runs: a number not in its shortest form", "runs", "", "malformed", []byte{0x80, 0, 6})
	add("list: a length not in its shortest form", "list", "", "malformed", append([]byte{0x8f, 0}, entry(n(1), n(0), cborText("d"), n(0), n(0), n(0))[1:]...))
	add("runs: no count", "runs", "", "malformed", []byte{0})
	add("runs: a run of no page", "runs", "", "malformed", []byte{0, 0})
	add("runs: two that touch", "runs", "", "malformed", []byte{0, 3, 0, 3})
	add("runs: more pages than the layer", "runs", "", "malformed", []byte{0, 7})
	add("runs: fewer pages than the layer", "runs", "", "malformed", []byte{0, 5})
	add("runs: a page beyond 2^32", "runs", "", "malformed", []byte{0xff, 0xff, 0xff, 0xff, 0x0f, 6})
}

// TestVectorsAreTheReferences writes the vectors anew by the reference and
// compares: what is checked in is its output, byte for byte.
func TestVectorsAreTheReferences(t *testing.T) {
	v := vectors{Key: hex.EncodeToString(ref.key), Repository: hex.EncodeToString(ref.repository), Salt: hex.EncodeToString(ref.salt), Header: hex.EncodeToString(ref.header())}
	good, bad := v, v
	good.About, good.Vectors = "What a reader of spec/repository.md must accept, and a writer that is given the same salts writes (zstd frames apart).", v.good()
	bad.About, bad.Vectors = "What a reader must refuse, with the failure that it must name.", v.bad()
	for name, x := range map[string]vectors{vectorsFile: good, badFile: bad} {
		want, err := json.MarshalIndent(x, "", " ")
		if err != nil || len(x.Vectors) < goodMin {
			t.Fatalf("%d vectors, %v", len(x.Vectors), err)
		}
		want = append(want, '\n')
		if *update {
			if err := os.WriteFile(name, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		have, err := os.ReadFile(name)
		if err != nil || !bytes.Equal(have, want) {
			t.Errorf("%s is not what the reference writes: %v", name, err)
		}
	}
}

func load(t testing.TB, name string, least int) (vectors, *Repo) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Vectors) < least {
		t.Fatalf("%d vectors in %s, want %d", len(v.Vectors), name, least)
	}
	h, err := seal.ParseHeader(unhex(t, v.Header))
	if err != nil {
		t.Fatal(err)
	}
	key := [32]byte(unhex(t, v.Key))
	r, err := newRepo(newMemory(), h, &key)
	if err != nil {
		t.Fatal(err)
	}
	return v, r
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// read reads a vector's bytes as its form says.
func (v vector) read(r *Repo, key *[32]byte, b []byte) (any, error) {
	switch v.Form {
	case "header":
		h, err := seal.ParseHeader(b)
		if err != nil {
			return nil, err
		}
		return h, h.Verify(key)
	case "object":
		return r.keys.OpenObject(v.Name, b)
	case "pack":
		p, damage := r.openWhole(v.Name, b)
		if len(damage) > 0 {
			return nil, damage[0]
		}
		return p, nil
	case "index":
		return parseIndex(b)
	case "manifest":
		return parseManifest(b)
	case "head":
		return parseHead(b)
	case "runs":
		return ParseRuns(b, 6)
	case "list":
		var out []*Entry
		err := ParseList(b, func(e *Entry) error { out = append(out, e); return nil }, func(u *UnknownEntry) error { return u })
		return out, err
	}
	return nil, fmt.Errorf("unknown form %q", v.Form)
}

func TestBadVectors(t *testing.T) {
	v, r := load(t, badFile, badMin)
	key := [32]byte(unhex(t, v.Key))
	for _, x := range v.Vectors {
		_, err := x.read(r, &key, unhex(t, x.Bytes))
		if got := failure(err); got != x.Error {
			t.Errorf("%s: %q (%v), want %q", x.What, got, err, x.Error)
		}
	}
}

// failure is the vectors' name of an error.
func failure(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, ErrVersion):
		return "version"
	case errors.Is(err, ErrWrongKey):
		return "wrong-key"
	case errors.Is(err, ErrUnknownKind):
		return "unknown"
	case errors.Is(err, seal.ErrOpen), errors.Is(err, seal.ErrHeader), errors.Is(err, ErrDamaged):
		return "damaged"
	case errors.Is(err, ErrMalformed):
		return "malformed"
	}
	return err.Error()
}

func TestVectors(t *testing.T) {
	v, r := load(t, vectorsFile, goodMin)
	key := [32]byte(unhex(t, v.Key))
	for _, x := range v.Vectors {
		want, in := unhex(t, x.Bytes), unhex(t, x.Input)
		var got []byte
		switch x.Form {
		case "id":
			id := r.SegmentID(Kind(x.Number), in)
			got = id[:]
		case "page-hash":
			h := r.PageHash(in)
			got = h[:]
		case "cut":
			got = binary.BigEndian.AppendUint32(nil, r.keys.Cut(string(in)))
		case "head-name":
			n := r.keys.HeadName([16]byte(in), x.Number)
			got = n[:]
		case "padme":
			got = binary.BigEndian.AppendUint32(nil, uint32(seal.Padme(int(x.Number))))
		default:
			value, err := x.read(r, &key, want)
			if err != nil {
				t.Errorf("%s: %v", x.What, err)
				continue
			}
			got = rewrite(t, x, value, in)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: %x, want %x", x.What, got, want)
		}
	}
}

// rewrite writes what was read again; it must give the same bytes. Objects
// and packs draw their salts, so they are compared by what they hold here and
// byte for byte in TestWriterIsTheReference.
func rewrite(t *testing.T, x vector, value any, in []byte) []byte {
	switch y := value.(type) {
	case *seal.Header:
		return y.Bytes()
	case []byte:
		if !bytes.Equal(y, in) {
			t.Errorf("%s: body %x", x.What, y)
		}
	case []segment:
		if len(y) != len(x.Segments) {
			t.Fatalf("%s: %d segments", x.What, len(y))
		}
		for i, s := range y {
			w := x.Segments[i]
			if hex.EncodeToString(s.ID[:]) != w.ID || s.Kind != Kind(w.Kind) || int(s.Raw)*2 != len(w.Plain) {
				t.Errorf("%s: segment %d: %+v", x.What, i, s)
			}
		}
	case []packTable:
		return encode(indexObject{Version: indexVersion, Packs: y})
	case []Run:
		return AppendRuns(nil, y)
	case []*Entry:
		var b []byte
		for _, e := range y {
			b = appendEntry(b, e)
		}
		return b
	default:
		return encode(value)
	}
	return unhex(t, x.Bytes)
}

// TestWriterIsTheReference: told the salt that the writer drew, the reference
// writes the same object and the same pack.
func TestWriterIsTheReference(t *testing.T) {
	_, r := load(t, vectorsFile, goodMin)
	for n := range 1100 {
		body := seq(byte(n), n)
		got, err := r.keys.Object(vectorObject, body)
		if err != nil || !bytes.Equal(got, ref.object(vectorObject, got[8:40], ref.plain(body))) {
			t.Fatalf("object with a body of %d bytes: %v", n, err)
		}
	}
	for n := 1; n < 40; n++ {
		d := &draft{name: newName(), buf: make([]byte, 1<<20), end: seal.FrameBytes}
		var parts []packPart
		for i := range n {
			plain := seq(byte(i), 17*i)
			p := packPart{byte(1 + i%6), plain, stored(0, plain)}
			copy(d.buf[d.end:], p.stored)
			d.end += len(p.stored) + seal.TagBytes
			d.segments = append(d.segments, segment{ID: ID(ref.id(p.kind, plain)), Kind: Kind(p.kind), Raw: uint32(len(plain)), Sealed: uint32(len(p.stored) + seal.TagBytes)})
			parts = append(parts, p)
		}
		got, err := r.sealPack(d)
		if err != nil || !bytes.Equal(got, ref.pack(d.name.under(prefixPack), got[8:40], ref.parts(parts))) {
			t.Fatalf("pack of %d segments: %v", n, err)
		}
	}
}
