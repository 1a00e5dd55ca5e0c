package vault_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"

	"strongroom/hsm/soft"
	"strongroom/protocol/bundle"
	"strongroom/protocol/opaque"
	"strongroom/protocol/wire"
	"strongroom/vault"
	"strongroom/vault/hal"
)

// candidate is an HSM with a box's identity in it.
func candidate(t *testing.T) (hal.Mover, bundle.Box) {
	t.Helper()
	h, err := soft.Create(t.TempDir(), []byte("passphrase"), soft.Cheap)
	must(t, err)
	t.Cleanup(func() { _ = h.Close() })
	key, err := vault.MakeIdentity(h)
	must(t, err)
	return h, bundle.Box{Key: key, HSM: soft.Kind, Rollback: "file"}
}

// islandOf makes an island's keys in the first of these boxes' HSMs.
func islandOf(t *testing.T, h hal.Mover, boxes ...bundle.Box) (document, island []byte) {
	t.Helper()
	public, _, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	must(t, h.MakeMovable())
	document, island, err = vault.Make(h, vault.Founding{
		Suite: opaque.P256SHA256, Policy: bundle.Policy{Attempts: 10, TicketMillis: 120_000},
		Issuers:   []bundle.Issuer{{ID: "test", Alg: "EdDSA", Key: public}},
		Isolation: "none", Rollback: "file", Boxes: boxes, Custodians: [][]byte{public}, Quorum: 1,
	})
	must(t, err)
	return document, island
}

func encoded(t *testing.T, v any) []byte {
	t.Helper()
	b, err := wire.Encode(v)
	must(t, err)
	return b
}

func TestIslandsKeysAreReceived(t *testing.T) {
	first, box1 := candidate(t)
	second, box2 := candidate(t)
	third, box3 := candidate(t)
	document, island := islandOf(t, first, box1, box2, box3)
	transfer, err := second.MakeTransferKey()
	must(t, err)
	moved, err := vault.Export(first, document, island, transfer)
	must(t, err)
	got, err := vault.Receive(second, document, moved)
	must(t, err)
	copied, key, err := vault.Copy(first, document, island)
	must(t, err)
	again, err := vault.ReceiveCopy(third, document, copied, key)
	must(t, err)
	// It opens as the first one's does, and only under its document.
	for h, sealed := range map[hal.Mover][]byte{second: got, third: again} {
		if _, _, err := vault.Copy(h, document, sealed); !errors.Is(err, hal.ErrLocked) {
			t.Fatalf("the island's secret does not open: %v", err)
		}
		if _, _, err := vault.Copy(h, append([]byte{}, document[1:]...), sealed); !errors.Is(err, vault.ErrIsland) {
			t.Fatalf("it opens under another document: %v", err)
		}
		if memory, err := h.ReadMemory(); err != nil || len(memory) == 0 {
			t.Fatalf("there is no anchor: %v", err)
		}
	}
}

// TestStrangersKeysAreRefused: moved keys do not say who wrapped them, so
// whoever can write to the line could send his own.
func TestStrangersKeysAreRefused(t *testing.T) {
	first, box1 := candidate(t)
	stranger, box2 := candidate(t)
	other, box3 := candidate(t)
	document, island := islandOf(t, first, box1, box2, box3)
	theirs, theirIsland := islandOf(t, stranger, box1, box2, box3)
	for name, c := range map[string]struct {
		from             hal.Mover
		document, island []byte
	}{
		"another island's":                     {stranger, theirs, theirIsland},
		"the island's, under another document": {first, document, island},
	} {
		h, own := candidate(t)
		wanted, _ := islandOf(t, other, own, box1, box2)
		other, _ = candidate(t)
		transfer, err := h.MakeTransferKey()
		must(t, err)
		moved, err := vault.Export(c.from, c.document, c.island, transfer)
		must(t, err)
		if _, err := vault.Receive(h, wanted, moved); !errors.Is(err, vault.ErrIsland) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A passage under the right document's hash, with keys that nobody asked for.
	h, own := candidate(t)
	wanted, _ := islandOf(t, other, own, box1, box2)
	transfer, err := h.MakeTransferKey()
	must(t, err)
	forged, err := wire.Encode(struct {
		Document [sha256.Size]byte `cbor:"1,keyasint"`
		Island   []byte            `cbor:"2,keyasint"`
	}{sha256.Sum256(wanted), encoded(t, struct {
		Version uint8    `cbor:"1,keyasint"`
		Secret  [32]byte `cbor:"2,keyasint"`
		MLKEM   [64]byte `cbor:"4,keyasint"`
	}{Version: 2})})
	must(t, err)
	moved, err := stranger.Export(transfer, forged)
	must(t, err)
	if _, err := vault.Receive(h, wanted, moved); !errors.Is(err, vault.ErrIsland) || !strings.Contains(err.Error(), "not the document's") {
		t.Errorf("a stranger's keys under our document: %v", err)
	}
	outside, _ := candidate(t)
	transfer, err = outside.MakeTransferKey()
	must(t, err)
	moved, err = vault.Export(first, document, island, transfer)
	must(t, err)
	if _, err := vault.Receive(outside, document, moved); !errors.Is(err, vault.ErrIsland) {
		t.Errorf("into a box that the document does not name: %v", err)
	}
}
