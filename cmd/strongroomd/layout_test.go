package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"strongroom/cmd/internal/ceremony"
	"strongroom/cmd/internal/serve"
	"strongroom/protocol/bundle"
)

// twoIslands makes a founder and an island that joins it, each of three boxes
// that do not run.
func twoIslands(t *testing.T) (founder, second *ceremony.Plan, folder string) {
	t.Helper()
	folder = t.TempDir()
	addresses := []string{"10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"}
	founder = islandAt(t, folder, addresses, "")
	beside := filepath.Join(folder, "second")
	if err := os.Mkdir(beside, 0o700); err != nil {
		t.Fatal(err)
	}
	return founder, islandAt(t, beside, addresses, documentOf(founder)), folder
}

func documentOf(p *ceremony.Plan) string {
	return filepath.Join(p.Boxes[0].Data, "vault", "fleet.cbor")
}

// TestLayout: an island that joined is brought in by the founder's custodians,
// and by nobody else; every box takes it once, and in order.
func TestLayout(t *testing.T) {
	founder, second, folder := twoIslands(t)
	at := func(name string) string { return filepath.Join(folder, name) }
	boxes := append(append([]ceremony.PlanBox(nil), founder.Boxes...), second.Boxes...)

	first, err := serve.ReadLayouts(second.Boxes[1].Data) // as the ceremony left it
	if err != nil || first.Newest() != 0 {
		t.Fatalf("%+v, %v", first, err)
	}
	document, joined, err := serve.ReadFleet(second.Boxes[0].Data)
	if err != nil || joined.Founder != first.Founder() {
		t.Fatalf("the island names the founder %s, %v", joined.Founder, err)
	}
	name := bundle.PinOf(document).IslandName()

	new := []string{"layout", "new", "--data", founder.Boxes[0].Data, "--out", at("layout-1.json"), "--add", documentOf(second)}
	if said := ran(t, 0, new...); strings.Count(said, "IS ADDED") != 1 || strings.Count(said, "stays") != 1 {
		t.Fatal(said)
	}
	ran(t, exitFailed, new...) // the file is there
	add := func(want int, data string) string {
		return ran(t, want, "layout", "add", at("layout-1.json"), "--data", data)
	}
	if said := add(exitDamaged, founder.Boxes[0].Data); !strings.Contains(said, "0 custodians signed, 2 must") || !strings.Contains(said, "Nothing was changed") {
		t.Fatal(said)
	}
	ran(t, 0, "custodian", "sign", at("layout-1.json"), "--key", at("anna.key"))
	add(exitDamaged, founder.Boxes[0].Data)
	ran(t, exitUsage, "custodian", "sign", at("layout-1.json"), "--key", at("second/ben.key")) // of the other island
	if said := ran(t, 0, "custodian", "sign", at("layout-1.json"), "--key", at("ben.key")); !strings.Contains(said, "2 of 2 have") {
		t.Fatal(said)
	}
	if said := ran(t, 0, "layout", "show", at("layout-1.json")); !strings.Contains(said, "Signed by 2 of 2") {
		t.Fatal(said)
	}
	for _, b := range boxes {
		add(0, b.Data)
		add(0, b.Data) // again: nothing
		known, err := serve.ReadLayouts(b.Data)
		if err != nil || known.Newest() != 1 || len(known.Pins(1)) != 2 {
			t.Fatalf("%s: %+v, %v", b.Name, known, err)
		}
	}
	var shown []serve.StatusIsland
	if err := json.Unmarshal([]byte(ran(t, 0, "layout", "show", "--json", "--data", boxes[5].Data)), &shown); err != nil || len(shown) != 2 || !shown[0].Founder || shown[1].Name != name || !shown[1].Home {
		t.Fatalf("%+v, %v", shown, err)
	}

	// The next one leaves the founder out; a box that missed the first takes both.
	missed := founder.Boxes[2].Data
	if err := os.Remove(filepath.Join(missed, "vault", serve.LayoutsName)); err != nil {
		t.Fatal(err)
	}
	ran(t, exitDamaged, "layout", "new", "--data", boxes[0].Data, "--out", at("layout-2.json"), "--leave-out", "0123456789abcdef")
	ran(t, exitDamaged, "layout", "new", "--data", boxes[0].Data, "--out", at("layout-2.json")) // the same islands
	ran(t, 0, "layout", "new", "--data", boxes[0].Data, "--out", at("layout-2.json"), "--leave-out", first.Founder().IslandName())
	for _, key := range []string{"anna.key", "ben.key"} {
		ran(t, 0, "custodian", "sign", at("layout-2.json"), "--key", at(key))
	}
	ran(t, 0, "layout", "add", at("layout-2.json"), "--data", missed)
	if known, err := serve.ReadLayouts(missed); err != nil || known.Newest() != 2 || len(known.Pins(2)) != 1 {
		t.Fatalf("%+v, %v", known, err)
	}
	if said := add(exitDamaged, missed); !strings.Contains(said, "does not go on") { // back to the first
		t.Fatal(said)
	}
}

// TestLayoutOfStrangers: an island of another fleet, or one that a plan would
// give rules of its own, comes in by nobody's signature.
func TestLayoutOfStrangers(t *testing.T) {
	folder := t.TempDir()
	addresses := []string{"10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"}
	founder := islandAt(t, folder, addresses, "")
	beside := filepath.Join(folder, "stranger")
	if err := os.Mkdir(beside, 0o700); err != nil {
		t.Fatal(err)
	}
	stranger := islandAt(t, beside, addresses, "")
	said := ran(t, exitDamaged, "layout", "new", "--data", founder.Boxes[0].Data, "--out", filepath.Join(folder, "l.json"), "--add", documentOf(stranger))
	if !strings.Contains(said, "does not name this founder") {
		t.Fatal(said)
	}
	plan := *stranger
	plan.Founder, plan.Rules.Attempts = documentOf(founder), 10
	text, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	writeAll(t, filepath.Join(folder, "rules.json"), text)
	if said := ran(t, exitUsage, "ceremony", filepath.Join(folder, "rules.json")); !strings.Contains(said, "Leave both out") {
		t.Fatal(said)
	}
}
