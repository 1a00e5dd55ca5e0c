package ceremony

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"strongroom/cmd/internal/serve"
	"strongroom/hsm/soft"
	"strongroom/protocol/bundle"
	"strongroom/vault/hal"
)

// TestReplacedBox: a quorum of custodians makes a box that opens what the
// island wrapped, and that the island takes; fewer make nothing.
func TestReplacedBox(t *testing.T) {
	path, people := planOf(t, 3, 3, 2)
	p, r := held(t, path, people[:2]...)
	out := options(path).Out
	copied, err := os.ReadFile(filepath.Join(out, CopyName))
	if err != nil {
		t.Fatal(err)
	}
	loss := func(here ...*Custodian) Loss {
		l := Loss{
			Transcript: r.Transcript, Fleet: r.Fleet, Island: r.Transcript.IslandFile(), Old: r.Fleet.Boxes[1].ID(), Copy: copied, Custodians: here,
			New:        PlanBox{Name: "new", Address: "127.0.0.1:9", Data: filepath.Join(t.TempDir(), "new"), HSM: soft.Kind},
			Passphrase: passphrase, Stretch: soft.Cheap,
		}
		for _, c := range here {
			sealed, err := os.ReadFile(filepath.Join(out, ShareName(c.Card.Name)))
			if err != nil {
				t.Fatal(err)
			}
			l.Shares = append(l.Shares, sealed)
		}
		return l
	}
	first, err := soft.Open(filepath.Join(p.Boxes[0].Data, "vault", "hsm"), passphrase)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	wrapped, point, err := first.MakeOPRFKey(hal.P256)
	if err != nil {
		t.Fatal(err)
	}
	want, err := first.MultiplyWrapped(hal.P256, wrapped, point)
	if err != nil {
		t.Fatal(err)
	}
	made, err := Replace(loss(people[2], people[0]))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := made.Box.HAL.MultiplyWrapped(hal.P256, wrapped, point); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("the new box does not open what the island wrapped: %v", err)
	}
	if _, _, err := made.Box.HAL.(hal.Mover).Copy(nil); !errors.Is(err, hal.ErrLocked) {
		t.Fatalf("its keys leave: %v", err)
	}
	certificate, err := bundle.DecodeReplacement(made.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	boxes, err := r.Fleet.BoxesAfter([]bundle.Replacement{certificate})
	if err != nil || boxes[1].ID() != made.Key.ID() {
		t.Fatalf("the island does not take it: %v", err)
	}
	if err := made.Box.Abandon(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*Loss)
		want   error
	}{
		"another copy":         {func(l *Loss) { l.Copy = append(bytes.Clone(copied), 0) }, ErrShares},
		"another's share":      {func(l *Loss) { l.Shares[0], l.Shares[1] = l.Shares[1], l.Shares[0] }, ErrShares},
		"one custodian":        {func(l *Loss) { l.Shares, l.Custodians = l.Shares[:1], l.Custodians[:1] }, ErrShares},
		"one custodian twice":  {func(l *Loss) { l.Shares[1], l.Custodians[1] = l.Shares[0], l.Custodians[0] }, ErrShares},
		"for no box of theirs": {func(l *Loss) { l.Old[0] ^= 1 }, bundle.ErrReplacement},
		"at another's address": {func(l *Loss) { l.New.Address = l.Island.Boxes[0].Address }, ErrPlan},
		"of another kind":      {func(l *Loss) { l.New.HSM = "pkcs11" }, ErrPlan},
		"another's island":     {func(l *Loss) { l.Island.Fleet = strings.Repeat("0", 32) }, serve.ErrIslandFile},
	} {
		l := loss(people[0], people[1])
		c.change(&l)
		if _, err := Replace(l); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Lstat(l.New.Data); err == nil {
			for _, left := range files(t, l.New.Data) {
				if strings.Contains(left, "founding") || strings.Contains(left, "vault") {
					t.Errorf("%s: left %s", name, left)
				}
			}
		}
	}
}
