package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"strongroom/cmd/internal/ceremony"
	"strongroom/cmd/internal/serve"
	"strongroom/hsm/soft"
)

// ran runs the program in this process.
func ran(t *testing.T, want int, args ...string) string {
	t.Helper()
	var out, err bytes.Buffer
	if code := run(args, streams{&out, &err}); code != want {
		t.Fatalf("strongroomd %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), code, want, &out, &err)
	}
	return out.String() + err.String()
}

// islandOfThree holds a ceremony for three boxes at these listeners, with two
// custodians of two, whose key files lie in the folder.
func islandOfThree(t *testing.T, folder string, peers []net.Listener) *ceremony.Plan {
	t.Helper()
	var addresses []string
	for _, l := range peers {
		addresses = append(addresses, l.Addr().String())
	}
	return islandAt(t, folder, addresses, "")
}

// islandAt is the same at addresses; a founder's document has it join a fleet.
func islandAt(t *testing.T, folder string, addresses []string, founder string) *ceremony.Plan {
	t.Helper()
	plan := ceremony.Plan{Quorum: 2, Founder: founder, Custodians: makeCustodians(t, folder, "anna", "ben")}
	for i, at := range addresses {
		plan.Boxes = append(plan.Boxes, ceremony.PlanBox{Name: []string{"amber", "birch", "cedar"}[i], Address: at})
	}
	text, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "plan.json")
	writeAll(t, path, text)
	p, text, err := ceremony.ReadPlan(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ceremony.Hold(p, text, ceremony.Options{Out: filepath.Join(folder, "ceremony"), Stretch: soft.Cheap}); err != nil {
		t.Fatal(err)
	}
	return p
}

// makeCustodians makes custodians whose passphrase is in the environment, and
// gives the files with their cards.
func makeCustodians(t *testing.T, folder string, names ...string) (cards []string) {
	t.Helper()
	t.Setenv(custodianPassphraseEnv, "a passphrase of a test")
	for _, name := range names {
		c, file, err := ceremony.NewCustodian(name, []byte(os.Getenv(custodianPassphraseEnv)), 2)
		if err != nil {
			t.Fatal(err)
		}
		card, err := json.Marshal(c.Card)
		if err != nil {
			t.Fatal(err)
		}
		cards = append(cards, filepath.Join(folder, name+".card.json"))
		writeAll(t, filepath.Join(folder, name+".key"), file)
		writeAll(t, cards[len(cards)-1], card)
	}
	return cards
}

func writeAll(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestColdStart: an island that a ceremony made serves when enough custodians
// say so, and an order opens nothing a second time.
func TestColdStart(t *testing.T) {
	folder := t.TempDir()
	var peers []net.Listener
	var kept []*os.File // the same sockets: nobody takes their ports while the boxes are down
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		f, err := l.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		peers, kept = append(peers, l), append(kept, f)
	}
	plan := islandOfThree(t, folder, peers)
	start := func(i int, peer net.Listener) *serve.Server {
		t.Helper()
		s, err := serve.Start(context.Background(), serve.Config{
			Data: plan.Boxes[i].Data, Listen: "127.0.0.1:0", Admin: "127.0.0.1:0", PeerListener: peer, Stretch: soft.Cheap,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Stop() })
		return s
	}
	var boxes []*serve.Server
	var admins []string
	for i := range peers {
		boxes = append(boxes, start(i, peers[i]))
		admins = append(admins, "--admin", boxes[i].AdminURL)
	}
	at := func(name string) string { return filepath.Join(folder, name) }
	with := func(args ...string) []string { return append(args, admins...) }

	ran(t, exitDamaged, "coldstart", "show", "--out", at("one.json"), "--admin", boxes[0].AdminURL) // no majority
	shown := ran(t, 0, with("coldstart", "show", "--out", at("order.json"), "--pin", boxes[0].Pin.String())...)
	if strings.Count(shown, "the others take its log") != 1 {
		t.Fatalf("no box starts, or two: %s", shown)
	}
	ran(t, 0, "custodian", "sign", at("order.json"), "--key", at("anna.key"))
	ran(t, exitDamaged, with("coldstart", "send", at("order.json"))...) // one of two
	signed := ran(t, 0, "custodian", "sign", at("order.json"), "--key", at("ben.key"))
	if !strings.Contains(signed, "2 of 2 have") {
		t.Fatal(signed)
	}
	if said := ran(t, 0, with("coldstart", "send", at("order.json"))...); !strings.Contains(said, "the island serves") {
		t.Fatal(said)
	}
	ran(t, exitUsage, with("coldstart", "show", "--out", at("again.json"))...) // a box leads

	// All go down. The order of before names starts that are over.
	for _, s := range boxes {
		s.Stop()
	}
	admins = nil
	for i := range boxes {
		l, err := net.FileListener(kept[i])
		if err != nil {
			t.Fatal(err)
		}
		boxes[i] = start(i, l)
		admins = append(admins, "--admin", boxes[i].AdminURL)
	}
	ran(t, 0, with("coldstart", "show", "--out", at("second.json"))...) // waits until each shows itself
	if said := ran(t, exitFailed, with("coldstart", "send", at("order.json"))...); !strings.Contains(said, "started again") {
		t.Fatal(said)
	}
	for _, name := range []string{"anna", "ben"} {
		ran(t, 0, "custodian", "sign", at("second.json"), "--key", at(name+".key"))
	}
	ran(t, 0, with("coldstart", "send", at("second.json"))...)
}
