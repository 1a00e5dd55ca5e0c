package tree

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// host keeps pages, as honest as the test has it.
type host map[string][]byte

func (h host) keep(pages []Page) {
	for _, p := range pages {
		h[string(p.Key)] = p.Bytes
	}
}

// look asks the host until the tree knows the path.
func (h host) look(t *Tree, p Path) (Sight, MAC, error) {
	for range depthMax {
		if sight, mac := t.Find(p); sight != Missing {
			return sight, mac, nil
		}
		if err := h.graft(t, p); err != nil {
			return Missing, MAC{}, err
		}
	}
	return Missing, MAC{}, errors.New("it never ends")
}

func (h host) graft(t *Tree, p Path) error {
	var pages []Page
	for _, key := range t.Wanted(p) {
		pages = append(pages, Page{key, h[string(key)]})
	}
	return t.Graft(p, pages)
}

// oracle is the root hash of a set of leaves, computed from the definition in
// spec/vault.md and by nothing of this package: recursion over sorted strings
// of nibbles.
func oracle(leaves map[Path]MAC) [32]byte {
	if len(leaves) == 0 {
		return [32]byte{}
	}
	hex := map[string]MAC{}
	for p, m := range leaves {
		hex[fmt.Sprintf("%x", p)] = m
	}
	return oracleNode(hex, "")
}

func oracleNode(leaves map[string]MAC, prefix string) [32]byte {
	var kinds uint32
	var body []byte
	for i, digit := range "0123456789abcdef" {
		below := map[string]MAC{}
		for p, m := range leaves {
			if p[len(prefix)] == byte(digit) {
				below[p] = m
			}
		}
		switch len(below) {
		case 0:
		case 1:
			kinds |= 1 << (2 * i)
			for p, m := range below {
				var path []byte
				fmt.Sscanf(p, "%x", &path)
				body = append(append(body, path...), m[:]...)
			}
		default:
			kinds |= 2 << (2 * i)
			hash := oracleNode(below, prefix+string(digit))
			body = append(body, hash[:]...)
		}
	}
	padded := prefix
	if len(padded)%2 == 1 {
		padded += "0"
	}
	var packed []byte
	fmt.Sscanf(padded, "%x", &packed)
	text := append([]byte("strongroom/v1/tree/node"), byte(1+len(packed)), byte(len(prefix)))
	text = append(text, packed...)
	text = binary.LittleEndian.AppendUint32(text, kinds)
	return sha256.Sum256(append(text, body...))
}

// crowded draws paths that share long beginnings as often as not.
func crowded(r *rand.Rand) (p Path) {
	for i := range p {
		p[i] = byte(r.Uint32())
	}
	if r.IntN(3) == 0 {
		clear(p[:r.IntN(PathBytes)])
	}
	return p
}

func TestTreeIsWhatTheOracleSays(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	disk, all := host{}, map[Path]MAC{}
	tree := New(Root{})
	for round := range 60 {
		var leaves []Leaf
		before := maps.Clone(all)
		for range r.IntN(20) {
			p := crowded(r)
			if len(all) > 0 && r.IntN(2) == 0 {
				p = slices.SortedFunc(maps.Keys(all), compare)[r.IntN(len(all))] // an update
			}
			sight, mac, err := disk.look(tree, p)
			if was, found := before[p]; err != nil || (sight == Present) != found || mac != was {
				t.Fatalf("round %d: %v %x %v, the oracle has %x", round, sight, mac, err, was)
			}
			mac = MAC{byte(r.Uint32()), byte(round)}
			all[p] = mac
			leaves = append(leaves, Leaf{p, mac})
		}
		disk.keep(tree.Apply(leaves))
		if root := tree.Root(); root.Hash != oracle(all) || root.Leaves != uint64(len(all)) {
			t.Fatalf("round %d: root %x of %d leaves, the oracle says %x of %d", round, root.Hash, root.Leaves, oracle(all), len(all))
		}
		switch round % 3 {
		case 0:
			tree = New(tree.Root()) // a restart
		case 1:
			tree.Kept()
			tree.Shrink(r.IntN(40))
		}
	}
	if len(all) < 200 || len(disk) < 100 {
		t.Fatalf("only %d leaves and %d pages: it tried too little", len(all), len(disk))
	}
	walkInOrder(t, disk, New(tree.Root()), all)
}

// walkInOrder meets every leaf once, in order, with a tree that holds little.
func walkInOrder(t *testing.T, disk host, tree *Tree, all map[Path]MAC) {
	t.Helper()
	var met []Path
	at := Path{}
	if _, zero := all[at]; zero {
		met = append(met, at) // Next gives what comes after
	}
	for {
		sight, p := tree.Next(at)
		if sight == Missing {
			if err := disk.graft(tree, p); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if sight == Absent {
			break
		}
		met = append(met, p)
		at = p
		tree.Shrink(5)
	}
	if want := slices.SortedFunc(maps.Keys(all), compare); !slices.Equal(met, want) {
		t.Fatalf("met %d leaves, there are %d", len(met), len(want))
	}
}

// A page that was changed in any byte, cut, put in another's place or put back
// from an earlier time is found when it is looked at, and named.
func TestChangedPagesAreFound(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	disk, tree := host{}, New(Root{})
	var paths []Path
	older := host{}
	for round := range 2 {
		var leaves []Leaf
		for i := range 300 {
			if round == 0 {
				paths = append(paths, crowded(r))
			}
			leaves = append(leaves, Leaf{paths[i], MAC{byte(round + 1)}})
		}
		for _, l := range leaves {
			if _, _, err := disk.look(tree, l.Path); err != nil {
				t.Fatal(err)
			}
		}
		older = maps.Clone(disk)
		disk.keep(tree.Apply(leaves))
		tree.Kept()
	}
	keys := slices.Sorted(maps.Keys(disk))
	tried := 0
	found := func(what, key string, bad []byte) {
		t.Helper()
		tried++
		whole := disk[key]
		disk[key] = bad
		defer func() { disk[key] = whole }()
		fresh := New(tree.Root())
		for _, p := range paths {
			if _, _, err := disk.look(fresh, p); err != nil {
				if !errors.Is(err, ErrPage) || !bytes.Contains([]byte(err.Error()), fmt.Appendf(nil, "%x", key)) {
					t.Fatalf("%s page %x: %v", what, key, err)
				}
				return
			}
		}
		t.Fatalf("%s page %x was taken", what, key)
	}
	for i, key := range keys {
		page := disk[key]
		flipped := bytes.Clone(page)
		flipped[r.IntN(len(page))] ^= 1 << r.IntN(8)
		found("flipped", key, flipped)
		found("cut", key, page[:r.IntN(len(page))])
		found("missing", key, nil)
		found("swapped", key, disk[keys[(i+1)%len(keys)]])
		if old := older[key]; !bytes.Equal(old, page) {
			found("older", key, old)
		}
	}
	for at := range disk[keys[0]] {
		flipped := bytes.Clone(disk[keys[0]])
		flipped[at] ^= 1 << (at % 8)
		found("flipped root", keys[0], flipped)
	}
	if tried < 900 {
		t.Fatalf("only %d changes tried", tried)
	}
}

// Nodes that are not yet kept stay, however few may be held.
func TestShrinkKeepsWhatIsNotKept(t *testing.T) {
	tree := New(Root{})
	var leaves []Leaf
	r := rand.New(rand.NewPCG(5, 6))
	for range 500 {
		leaves = append(leaves, Leaf{Path: crowded(r)})
	}
	pages := tree.Apply(leaves)
	tree.Shrink(0)
	if tree.Held() != len(pages) {
		t.Fatalf("%d nodes held, %d pages are not kept", tree.Held(), len(pages))
	}
	tree.Kept()
	if tree.Shrink(0); tree.Held() != 0 {
		t.Fatalf("%d nodes held", tree.Held())
	}
}

func TestHasherSeparates(t *testing.T) {
	a, err := NewHasher(bytes.Repeat([]byte{1}, 32))
	b, err2 := NewHasher(bytes.Repeat([]byte{2}, 32))
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	seen := map[[32]byte]bool{}
	for _, h := range []*Hasher{a, b} {
		for _, account := range []string{"anna", "bert"} {
			p := h.Path(account)
			seen[p] = true
			seen[h.MAC(p, []byte("x"))] = true
			seen[h.MAC(p, []byte("y"))] = true
			seen[h.MAC(Path{}, []byte("x"))] = true
		}
	}
	if len(seen) != 14 { // the MACs at the zero path are the accounts' alike
		t.Fatalf("%d values differ", len(seen))
	}
	if s := fmt.Sprintf("%v %+v %#v", a, a, a); bytes.Contains([]byte(s), fmt.Appendf(nil, "%x", a.path[:4])) || s != "tree.Hasher(hidden) tree.Hasher(hidden) tree.Hasher(hidden)" {
		t.Fatal(s)
	}
}

func FuzzParsePage(f *testing.F) {
	n := new(node)
	n.slots[3] = slot{kind: leaf, path: Path{0x30}, hash: MAC{1}}
	n.slots[9] = slot{kind: inner, hash: [32]byte{2}}
	f.Add(n.page())
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := parsePage(b)
		if err == nil && !bytes.Equal(n.page(), b) {
			t.Fatalf("%x becomes %x", b, n.page())
		}
	})
}

func BenchmarkApply(b *testing.B) {
	r := rand.New(rand.NewPCG(7, 8))
	for b.Loop() {
		b.StopTimer()
		tree := New(Root{})
		var leaves []Leaf
		for range 10_000 {
			leaves = append(leaves, Leaf{Path: crowded(r)})
		}
		b.StartTimer()
		tree.Apply(leaves)
	}
}
