package tpm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"testing"

	"strongroom/hsm/internal/pair"
	"strongroom/vault/hal"
)

// TestEveryByteOfTheFile: no byte of the keys' file may change, by one who
// knows its form but not the root secret.
func TestEveryByteOfTheFile(t *testing.T) {
	h, _, _ := tapped(t)
	use(t, h)
	root := h.root
	file, err := os.ReadFile(h.folder.path())
	if err != nil || len(file) < 400 {
		t.Fatal(err, len(file))
	}
	whole := func(file []byte) bool {
		k, err := parseKeys(file)
		if err != nil && !errors.Is(err, ErrFile) {
			t.Fatal(err)
		}
		return err == nil && k.checks(file, root)
	}
	if !whole(file) {
		t.Fatal("the file itself is refused")
	}
	for i := range file {
		bad := bytes.Clone(file)
		bad[i] ^= 1
		if whole(bad) || whole(file[:i]) {
			t.Fatalf("byte %d", i)
		}
	}
	if whole(append(bytes.Clone(file), 0)) {
		t.Fatal("a longer file")
	}
	// And with the TPM: the salt, the storage key, the sealed root, a named key.
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	at := len(keysMagic)
	for name, c := range map[string]struct {
		at   int
		want error
	}{
		"salt": {at, ErrOther}, "storage key": {at + saltBytes + 1, ErrOther}, "sealed root's public part": {at + saltBytes + pointBytes + 4, ErrFile},
		"sealed root": {at + saltBytes + pointBytes + 4 + 32 + 2 + 60, ErrFile}, "named key": {len(file) - 40, ErrFile}, "sum": {len(file) - 1, ErrFile},
	} {
		bad := bytes.Clone(file)
		bad[c.at] ^= 1
		if err := os.WriteFile(h.folder.path(), bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(h.folder.dir, h.options); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func FuzzUnwrap(f *testing.F) {
	f.Add(append([]byte{wrapVersion, byte(hal.P256)}, make([]byte, pointBytes+126)...))
	f.Fuzz(func(t *testing.T, wrapped []byte) {
		b, err := unwrap(wrapped)
		if err != nil {
			if !errors.Is(err, hal.ErrWrapped) {
				t.Fatal(err)
			}
			return
		}
		if again := wrap(b); !bytes.Equal(again, wrapped) {
			t.Fatalf("%x becomes %x", wrapped, again)
		}
	})
}

func exampleKeys() keyring {
	k := keyring{index: indexFirst, root: sealedRoot{private: make([]byte, 126)}}
	k.named = []namedKey{{"ake", useMultiply, blob{private: make([]byte, 126)}}, {"box", useSign, blob{private: make([]byte, 40)}}}
	return k
}

func FuzzParseKeys(f *testing.F) {
	k := exampleKeys()
	f.Add(k.encode(secret{1}))
	f.Fuzz(func(t *testing.T, file []byte) {
		k, err := parseKeys(file)
		if err != nil {
			if !errors.Is(err, ErrFile) {
				t.Fatal(err)
			}
			return
		}
		// One form only: what parses is what its encoding is, but for the sum.
		again := k.encode(secret{1})
		if len(again) != len(file) || !bytes.Equal(again[:len(again)-32], file[:len(file)-32]) {
			t.Fatalf("%x becomes %x", file, again)
		}
	})
}

func FuzzParseSlot(f *testing.F) {
	known := encodeSlot(secret{1}, pair.Slot{Sequence: 2, Data: []byte("anchor")})
	f.Add(known)
	f.Add(encodeSlot(secret{1}, pair.Slot{Sequence: 1}))
	f.Fuzz(func(t *testing.T, b []byte) {
		for place := range slotsCount {
			s, ok := parseSlot(secret{1}, place, b)
			if ok && !bytes.HasPrefix(b, encodeSlot(secret{1}, s)) {
				t.Fatalf("%x is read as %v", b, s)
			}
			if ok && int(s.Sequence%slotsCount) != place {
				t.Fatalf("slot %d is read in the other's place", s.Sequence)
			}
			if _, ok := parseSlot(secret{2}, place, b); ok {
				t.Fatal("a slot that nobody wrote")
			}
		}
	})
}

type line struct {
	io.Reader
	io.Writer
}

// FuzzResponse reads what may come over the line.
func FuzzResponse(f *testing.F) {
	f.Add(refusal(0x922), true)
	f.Add(refusal(0x922)[:9], false)
	f.Fuzz(func(t *testing.T, stream []byte, socket bool) {
		response, err := roundTrip(line{bytes.NewReader(stream), io.Discard}, socket, nil)
		if err != nil {
			return
		}
		if size := int(binary.BigEndian.Uint32(response[2:])); size != len(response) || !bytes.HasPrefix(stream, response) {
			t.Fatalf("%x gives %x", stream, response)
		}
	})
}
