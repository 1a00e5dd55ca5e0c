package ceremony

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"strongroom/cmd/internal/serve"
	"strongroom/hsm/soft"
	"strongroom/protocol/bundle"
	"strongroom/vault"
	"strongroom/vault/hal"
)

var passphrase = []byte("a passphrase of a test")

const (
	stretchCheap = 2 // scrypt's, for tests
	flipEvery    = 17
)

// planOf writes a plan of so many boxes and custodians into a new folder.
func planOf(t *testing.T, boxes, custodians, quorum int) (path string, people []*Custodian) {
	t.Helper()
	folder := t.TempDir()
	plan := Plan{Quorum: quorum, Rules: Rules{Attempts: 5, Waits: serve.WaitsNone}}
	for i := range boxes {
		plan.Boxes = append(plan.Boxes, PlanBox{Name: fmt.Sprintf("box %d", i), Address: fmt.Sprintf("10.0.0.%d:8650", i+1)})
	}
	for i := range custodians {
		c, _, err := NewCustodian(fmt.Sprintf("custodian %d", i), passphrase, stretchCheap)
		if err != nil {
			t.Fatal(err)
		}
		people = append(people, c)
		plan.Custodians = append(plan.Custodians, c.Card.Name+".json")
		write(t, filepath.Join(folder, c.Card.Name+".json"), c.Card)
	}
	path = filepath.Join(folder, "plan.json")
	write(t, path, plan)
	return path, people
}

func write(t *testing.T, path string, v any) {
	t.Helper()
	text, err := json.Marshal(v)
	if err == nil {
		err = os.WriteFile(path, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func program() (Program, error) { return Program{Version: "test"}, nil }

func options(path string, here ...*Custodian) Options {
	return Options{
		Out: filepath.Join(filepath.Dir(path), "out"), Passphrase: passphrase, Stretch: soft.Cheap, Custodians: here, Program: program,
	}
}

func held(t *testing.T, path string, here ...*Custodian) (*Plan, *Result) {
	t.Helper()
	p, text, err := ReadPlan(path)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Hold(p, text, options(path, here...))
	if err != nil {
		t.Fatal(err)
	}
	return p, r
}

// TestIslandsAreMade: every box of a made island wraps and opens alike, under
// one document, has an identity of its own, and gives no key out any more.
func TestIslandsAreMade(t *testing.T) {
	for _, n := range []int{3, 5} {
		path, people := planOf(t, n, 3, 2)
		p, r := held(t, path, people[:2]...)
		if len(r.Fleet.Boxes) != n || r.Fleet.Policy.Attempts != 5 || r.Fleet.Quorum != 2 {
			t.Fatalf("another fleet than planned: %+v", r.Fleet)
		}
		var wrapped, point []byte
		var product string
		for i, b := range p.Boxes {
			document, fleet, err := serve.ReadFleet(b.Data)
			if err != nil || bundle.PinOf(document).String() != r.Transcript.Body.Pin {
				t.Fatalf("%s has another document: %v", b.Name, err)
			}
			h, err := soft.Open(filepath.Join(b.Data, "vault", "hsm"), passphrase)
			if err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				if wrapped, point, err = h.MakeOPRFKey(hal.P256); err != nil {
					t.Fatal(err)
				}
			}
			got, err := h.MultiplyWrapped(hal.P256, wrapped, point)
			if product == "" {
				product = string(got)
			}
			if err != nil || string(got) != product {
				t.Fatalf("%s does not open what another wrapped: %v", b.Name, err)
			}
			if key, err := h.PublicKey("box"); err != nil || !bytes.Equal(key, fleet.Boxes[i].Key) {
				t.Fatalf("%s has another identity: %v", b.Name, err)
			}
			if _, _, err := h.Copy(nil); !errors.Is(err, hal.ErrLocked) {
				t.Fatalf("%s still gives keys out: %v", b.Name, err)
			}
			island, err := os.ReadFile(filepath.Join(b.Data, "vault", "island.sealed"))
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := vault.Copy(h, document, island); !errors.Is(err, hal.ErrLocked) { // it opened: vault.ErrIsland comes first
				t.Fatalf("%s does not open its island's secret: %v", b.Name, err)
			}
			nodes, err := serve.ReadIslandFile(b.Data)
			if err != nil || nodes.Matches(fleet) != nil || nodes.Box != fleet.Boxes[i].ID().String() {
				t.Fatalf("%s: island.json: %v", b.Name, err)
			}
			if err := h.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestTranscriptHolds: flipped anywhere, it does not hold.
func TestTranscriptHolds(t *testing.T) {
	path, people := planOf(t, 3, 2, 2)
	_, r := held(t, path, people[0])
	file := filepath.Join(options(path).Out, TranscriptName)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	transcript, fleet, err := ParseTranscript(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := transcript.CheckCustodians(fleet); !errors.Is(err, bundle.ErrQuorum) {
		t.Fatalf("one of two is a quorum: %v", err)
	}
	stranger, _, err := NewCustodian("stranger", passphrase, stretchCheap)
	if err != nil {
		t.Fatal(err)
	}
	if err := transcript.Sign(fleet, stranger); !errors.Is(err, ErrCard) {
		t.Fatalf("a stranger signed: %v", err)
	}
	for range 2 { // twice is once
		if err := transcript.Sign(fleet, people[1]); err != nil {
			t.Fatal(err)
		}
	}
	if text, err = transcript.Encode(); err != nil {
		t.Fatal(err)
	}
	if err := holds(text); err != nil || len(r.Transcript.Body.Copy.Shares) != 2 {
		t.Fatal(err)
	}
	flips, signatures := 0, bytes.Index(text, []byte(`"box_signatures"`))
	for i := range text {
		if i < signatures && i%flipEvery != 0 {
			continue // all of the body is under one hash
		}
		flipped := bytes.Clone(text)
		if flipped[i] ^= 1; bytes.ContainsRune([]byte(" \n"), rune(text[i])) {
			continue // JSON without it says the same, or nothing
		}
		flips++
		if holds(flipped) == nil {
			t.Fatalf("byte %d flipped: %q", i, text[max(0, i-20):min(len(text), i+20)])
		}
	}
	if flips < 1000 {
		t.Fatalf("%d flips", flips)
	}
	// What a careless reader takes and another reads otherwise.
	twice := bytes.Replace(text, []byte(`"quorum": 2`), []byte(`"quorum": 1, "quorum": 2`), 1)
	if err := holds(twice); !errors.Is(err, ErrTranscript) || bytes.Equal(twice, text) {
		t.Fatalf("a name that stands twice: %v", err)
	}
}

func holds(text []byte) error {
	t, fleet, err := ParseTranscript(text)
	if err != nil {
		return err
	}
	return t.CheckCustodians(fleet)
}

// files lists all below a folder.
func files(t *testing.T, folder string) (list []string) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		list = append(list, strings.TrimPrefix(path, folder))
		return err
	})
	if err != nil || len(list) == 0 {
		t.Fatal(list, err)
	}
	return list
}

func TestRehearsalLeavesNothing(t *testing.T) {
	path, _ := planOf(t, 3, 3, 2)
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	before := strings.Join(files(t, filepath.Dir(path)), "\n")
	p, text, err := ReadPlan(path)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Rehearse(p, text, options(path))
	if err != nil || len(r.Fleet.Boxes) != 3 || len(r.Transcript.Body.Steps) < 6 {
		t.Fatal(r, err)
	}
	if after := strings.Join(files(t, filepath.Dir(path)), "\n"); after != before {
		t.Fatalf("left beside the plan:\n%s", after)
	}
	if left := files(t, temporary); len(left) != 1 {
		t.Fatalf("left among the temporary files: %v", left)
	}
	// What would stop the real one stops the rehearsal.
	if err := os.MkdirAll(filepath.Join(p.Boxes[2].Data, "vault"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Rehearse(p, text, options(path)); !errors.Is(err, serve.ErrUsage) {
		t.Fatalf("over a vault: %v", err)
	}
}

// TestFailedCeremonyLeavesNoVault fails at each box in turn.
func TestFailedCeremonyLeavesNoVault(t *testing.T) {
	for at := range 3 {
		path, _ := planOf(t, 3, 3, 2)
		p, text, err := ReadPlan(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p.Boxes[at].Data, nil, 0o600); err != nil { // no folder can be there
			t.Fatal(err)
		}
		if _, err := Hold(p, text, options(path)); err == nil {
			t.Fatal("it did not fail")
		}
		for _, name := range files(t, filepath.Dir(path)) {
			if strings.Contains(name, "vault") || strings.Contains(name, "founding") || strings.Contains(name, "out") {
				t.Errorf("failed at box %d, and left %s", at, name)
			}
		}
	}
}

func TestBadPlans(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Plan)
		want   string
	}{
		"two boxes":        {func(p *Plan) { p.Boxes = p.Boxes[:2] }, "2 boxes"},
		"one name":         {func(p *Plan) { p.Boxes[1].Name = p.Boxes[0].Name }, "same name"},
		"one folder":       {func(p *Plan) { p.Boxes[1].Data = "box 0" }, "same data folder"},
		"one address":      {func(p *Plan) { p.Boxes[1].Address = p.Boxes[0].Address }, "same address"},
		"a name of a path": {func(p *Plan) { p.Boxes[1].Name = "../x" }, "name"},
		"a TPM":            {func(p *Plan) { p.Boxes[1].HSM = "tpm" }, "bound to that one chip"},
		"mixed kinds":      {func(p *Plan) { p.Boxes[1].HSM = "pkcs11" }, "Use one kind"},
		"another kind":     {func(p *Plan) { p.Boxes[0].HSM, p.Boxes[1].HSM, p.Boxes[2].HSM = "x", "x", "x" }, ""},
		"no quorum":        {func(p *Plan) { p.Quorum = 0 }, "quorum"},
		"a high quorum":    {func(p *Plan) { p.Quorum = 4 }, "quorum"},
		"no custodians":    {func(p *Plan) { p.Custodians = nil }, "quorum"},
		"one card twice":   {func(p *Plan) { p.Custodians[1] = p.Custodians[0] }, "twice"},
		"no card":          {func(p *Plan) { p.Custodians[1] = "none" }, "none"},
		"eleven attempts":  {func(p *Plan) { p.Rules.Attempts = 11 }, "attempts"},
		"a wrong delay":    {func(p *Plan) { p.Rules.ResetDelay = "soon" }, "reset_delay"},
		"no address":       {func(p *Plan) { p.Boxes[1].Address = "nowhere" }, "address"},
	} {
		path, _ := planOf(t, 3, 3, 2)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var p Plan
		if err := json.Unmarshal(text, &p); err != nil {
			t.Fatal(err)
		}
		c.change(&p)
		write(t, path, p)
		read, text, err := ReadPlan(path)
		if err == nil {
			_, err = Rehearse(read, text, options(path))
		}
		if name == "another kind" { // a rehearsal has software HSMs
			_, err = Hold(read, text, options(path))
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	path, _ := planOf(t, 3, 0, 0)
	if err := os.WriteFile(path, []byte(`{"boxes": [], "quorom": 2}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ReadPlan(path); !errors.Is(err, ErrPlan) {
		t.Errorf("a misspelt name: %v", err)
	}
}
