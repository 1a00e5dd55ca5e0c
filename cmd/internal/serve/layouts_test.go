package serve_test

import (
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"strongroom/cmd/internal/ceremony"
	"strongroom/cmd/internal/serve"
	"strongroom/protocol/bundle"
	"strongroom/protocol/wire"
)

// document is the file with an island's.
func (i *isle) document() string {
	return filepath.Join(i.plan.Boxes[0].Data, "vault", "fleet.cbor")
}

// joined makes a second island of the founder's fleet.
func joined(t *testing.T, founder *isle, n int) *isle {
	t.Helper()
	return holdCeremonyOf(t, n, founder.document())
}

// layoutWith is the next layout, with an island more, signed by the founder's
// custodians.
func layoutWith(t *testing.T, founder, more *isle) *wire.Layouts {
	t.Helper()
	known, err := serve.ReadLayouts(founder.plan.Boxes[0].Data)
	must(t, err)
	document, err := os.ReadFile(more.document())
	must(t, err)
	l, err := ceremony.NewLayout(known, [][]byte{document}, nil)
	must(t, err)
	unsigned := bundle.Layout{Fleet: known.Fleet, Number: l.Number, Before: known.Digest(known.Newest())}
	for _, text := range l.Next {
		pin, err := bundle.ParsePin(text)
		must(t, err)
		unsigned.Islands = append(unsigned.Islands, pin)
	}
	statement, err := unsigned.Statement()
	must(t, err)
	for n, private := range founder.custodians {
		l.Signatures = append(l.Signatures, ceremony.CustodianSignature{Custodian: n + 1, Signature: hex.EncodeToString(ed25519.Sign(private, statement))})
	}
	shown, err := l.Signed()
	must(t, err)
	return shown
}

// newestAt is the newest layout that a relay shows; 0 for none.
func newestAt(t *testing.T, url string) int {
	t.Helper()
	code, b := get(t, url+"/v1/layouts")
	if code != http.StatusOK {
		return 0
	}
	shown, err := wire.DecodeLayouts(b)
	must(t, err)
	return len(shown.Layouts)
}

// A box that serves takes a newer layout from its folder, keeps to it when the
// file is spoiled, and shows it to clients and operators.
func TestLayoutIsTakenWhileServing(t *testing.T) {
	founder := holdCeremony(t, 3)
	second := joined(t, founder, 3)
	founder.start(0)
	second.start(0)
	for _, i := range []*isle{founder, second} {
		if s := i.boxes[0]; newestAt(t, s.URL) != 0 || s.Pin != founder.boxes[0].Pin || s.Own != bundle.PinOf(readAll(t, i.document())) {
			t.Fatalf("before any layout: %d at island %s with the founder %s", newestAt(t, s.URL), s.Own, s.Pin)
		}
		if code, b := get(t, i.boxes[0].URL+"/v1/fleet"); code != http.StatusOK || bundle.PinOf(b) != founder.boxes[0].Pin {
			t.Fatal("its public address shows another document than the founder's")
		}
	}
	shown := layoutWith(t, founder, second)
	for _, i := range []*isle{founder, second} {
		_, err := serve.InstallLayouts(i.plan.Boxes[0].Data, shown)
		must(t, err)
		until(t, "the layout is shown", func() bool { return newestAt(t, i.boxes[0].URL) == 1 })
		var status serve.Status
		_, b := get(t, i.boxes[0].AdminURL+"/status")
		must(t, json.Unmarshal(b, &status))
		if status.Layout != 1 || len(status.Islands) != 2 || !status.Islands[0].Home || !status.Islands[1].Home || status.Islands[0].Self != (i == founder) {
			t.Fatalf("%+v", status.Islands)
		}
		must(t, os.WriteFile(filepath.Join(i.plan.Boxes[0].Data, "vault", serve.LayoutsName), []byte("spoiled"), 0o600))
	}
	if _, err := serve.InstallLayouts(founder.plan.Boxes[0].Data, shown); err == nil {
		t.Fatal("a spoiled file is taken for an older layout")
	}
	if newestAt(t, founder.boxes[0].URL) != 1 {
		t.Fatal("the box went back")
	}
}

func readAll(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	return b
}
