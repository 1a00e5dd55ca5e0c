package serve_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"strongroom/cmd/internal/serve"
	"strongroom/protocol/bundle"
	"strongroom/protocol/wire"
)

// anIsland is a fleet of n boxes and the file of its first.
func anIsland(n int) (*bundle.Fleet, *serve.IslandFile) {
	fleet := &bundle.Fleet{ID: wire.FleetID{7}}
	f := &serve.IslandFile{Version: 1, Fleet: fmt.Sprintf("%x", fleet.ID)}
	for i := range n {
		key := make([]byte, wire.BoxKeyBytes)
		key[0] = byte(i)
		b := bundle.Box{Key: key}
		fleet.Boxes = append(fleet.Boxes, b)
		f.Boxes = append(f.Boxes, serve.IslandBox{
			Name: fmt.Sprintf("site %d", i), Box: b.ID().String(), Address: fmt.Sprintf("10.0.0.%d:8642", i+1), Pin: fmt.Sprintf("%064x", i),
		})
	}
	f.Box = f.Boxes[0].Box
	return fleet, f
}

func TestIslandFile(t *testing.T) {
	for _, n := range []int{3, 5, 7} {
		fleet, f := anIsland(n)
		text, err := f.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := serve.ParseIslandFile(text)
		if err != nil || !reflect.DeepEqual(again, f) {
			t.Fatalf("%+v, %v", again, err)
		}
		if err := again.Matches(fleet); err != nil {
			t.Fatal(err)
		}
	}
	if f, err := serve.ReadIslandFile(t.TempDir()); f != nil || err != nil {
		t.Fatalf("a folder without one: %+v, %v", f, err)
	}
}

// Whatever is wrong with the file is said by the name of what is wrong.
func TestIslandFileRefused(t *testing.T) {
	for want, spoil := range map[string]func(*serve.IslandFile){
		"version 2":           func(f *serve.IslandFile) { f.Version = 2 },
		"names 2 boxes":       func(f *serve.IslandFile) { f.Boxes = f.Boxes[:2] },
		`"fleet" must be`:     func(f *serve.IslandFile) { f.Fleet = "07" },
		`"box": a box`:        func(f *serve.IslandFile) { f.Box = "" },
		"is not among":        func(f *serve.IslandFile) { f.Box = strings.Repeat("ab", 16) },
		`"listen"`:            func(f *serve.IslandFile) { f.Listen = "here" },
		`box 2: "box"`:        func(f *serve.IslandFile) { f.Boxes[1].Box = strings.Repeat("0", 32) },
		`box 2: "pin"`:        func(f *serve.IslandFile) { f.Boxes[1].Pin += "00" },
		`box 3: "address"`:    func(f *serve.IslandFile) { f.Boxes[2].Address = "10.0.0.3" },
		"is not HOST:PORT":    func(f *serve.IslandFile) { f.Boxes[2].Address = "10.0.0.3:0" },
		`"name" must be`:      func(f *serve.IslandFile) { f.Boxes[0].Name = "a\x1b[2J" },
		"have the same pin":   func(f *serve.IslandFile) { f.Boxes[1].Pin = f.Boxes[0].Pin },
		"have the same box":   func(f *serve.IslandFile) { f.Boxes[1].Box = f.Boxes[0].Box },
		"the same address 10": func(f *serve.IslandFile) { f.Boxes[1].Address = f.Boxes[0].Address },
	} {
		_, f := anIsland(3)
		spoil(f)
		if _, err := f.Encode(); !errors.Is(err, serve.ErrIslandFile) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	_, f := anIsland(3)
	text, err := f.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for want, spoiled := range map[string]string{
		"at line 5":      strings.Replace(string(text), `"boxes"`, `boxes`, 1),
		"unknown field":  strings.Replace(string(text), `"fleet"`, `"fleets"`, 1),
		"goes on after":  string(text) + "{}",
		"does not parse": "",
		"at most":        string(text) + strings.Repeat(" ", 512<<10),
	} {
		if _, err := serve.ParseIslandFile([]byte(spoiled)); !errors.Is(err, serve.ErrIslandFile) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// A file of another fleet, or of other boxes, is not used with this document.
func TestIslandFileOfAnotherFleet(t *testing.T) {
	fleet, f := anIsland(3)
	for want, spoil := range map[string]func(*bundle.Fleet){
		"of the fleet 07": func(b *bundle.Fleet) { b.ID[1] = 1 },
		"document 5":      func(b *bundle.Fleet) { five, _ := anIsland(5); b.Boxes = five.Boxes },
		"lacks box":       func(b *bundle.Fleet) { b.Boxes = append(b.Boxes[:2:2], bundle.Box{Key: make([]byte, 40)}) },
	} {
		other := *fleet
		spoil(&other)
		if err := f.Matches(&other); !errors.Is(err, serve.ErrIslandFile) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// A box takes a lost one's place, and then a third takes its: each node keeps the
// addresses that it knows and learns those that it does not.
func TestIslandFileAfterReplacements(t *testing.T) {
	fleet, f := anIsland(3)
	public, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	fleet.Custodians, fleet.Quorum = [][]byte{public}, 1
	succeed := func(f *serve.IslandFile, place, key byte) *serve.IslandFile {
		t.Helper()
		next := *f
		lost, err := f.Boxes[place].ID()
		must(t, err)
		r := bundle.Replacement{Fleet: fleet.ID, Old: lost, New: bundle.Box{Key: bytes.Repeat([]byte{key}, wire.BoxKeyBytes), HSM: "soft"}}
		statement, err := r.Statement()
		must(t, err)
		r.Signatures = []bundle.OrderSignature{{Signature: ed25519.Sign(private, statement)}}
		certificate, err := r.Encode()
		must(t, err)
		next.Replacements = append(slices.Clone(f.Replacements), certificate)
		next.Boxes = slices.Clone(f.Boxes)
		next.Boxes[place] = serve.IslandBox{Box: r.New.ID().String(), Address: fmt.Sprintf("10.0.1.%d:1", key), Pin: fmt.Sprintf("%064x", int(key)+100)}
		next.Box = next.Boxes[place].Box
		return &next
	}
	first := succeed(f, 1, 7)
	second := succeed(first, 1, 8)
	own := *f
	own.Boxes = slices.Clone(f.Boxes)
	own.Boxes[2].Address = "10.9.9.9:9" // by another way
	for _, newer := range []*serve.IslandFile{first, second} {
		after, err := own.After(fleet, newer)
		must(t, err)
		if after.Box != f.Box || after.Boxes[0] != f.Boxes[0] || after.Boxes[1] != newer.Boxes[1] || after.Boxes[2] != own.Boxes[2] || len(after.Replacements) != len(newer.Replacements) {
			t.Fatalf("%+v", after)
		}
		text, err := after.Encode()
		must(t, err)
		if again, err := serve.ParseIslandFile(text); err != nil || again.Matches(fleet) != nil {
			t.Fatalf("%+v, %v", again, err)
		}
	}
	mended := *first
	mended.Boxes = slices.Clone(first.Boxes)
	mended.Boxes[1].Address = "10.0.1.77:1"
	after, err := own.After(fleet, first)
	must(t, err)
	if after, err = after.After(fleet, &mended); err != nil || after.Boxes[1].Address != "10.0.1.77:1" {
		t.Fatalf("%+v, %v", after, err)
	}
	lost, unsigned, other := own, *first, succeed(f, 1, 9)
	lost.Box = f.Boxes[1].Box
	unsigned.Replacements = [][]byte{bytes.Clone(first.Replacements[0])}
	unsigned.Replacements[0][len(unsigned.Replacements[0])-1] ^= 1
	for want, refused := range map[string]func() (*serve.IslandFile, error){
		"Turn it off":        func() (*serve.IslandFile, error) { return lost.After(fleet, first) },
		"has no certificate": func() (*serve.IslandFile, error) { return own.After(fleet, f) },
		"does not hold":      func() (*serve.IslandFile, error) { return own.After(fleet, &unsigned) },
		"it does not have":   func() (*serve.IslandFile, error) { return first.After(fleet, other) },
		"of the newest box":  func() (*serve.IslandFile, error) { return second.After(fleet, first) },
		"lacks box": func() (*serve.IslandFile, error) {
			g := *first
			g.Boxes = f.Boxes
			g.Box = f.Box
			return own.After(fleet, &g)
		},
	} {
		if _, err := refused(); !errors.Is(err, serve.ErrIslandFile) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestMakeNodeKey(t *testing.T) {
	at := filepath.Join(t.TempDir(), serve.NodeKeyName)
	pin, err := serve.MakeNodeKey(at)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := serve.MakeNodeKey(at); err == nil {
		t.Fatalf("a key was made over another: %s, %s", pin, again)
	}
}
