package pkcs11

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"testing"

	"strongroom/hsm/internal/pair"
	"strongroom/protocol/wire"
	"strongroom/vault/hal"
)

func testSum(input []byte) []byte {
	mac := hmac.New(sha256.New, []byte("a key of the tests"))
	mac.Write(input)
	return mac.Sum(nil)
}

func exampleKey() []byte {
	body := keyBlob{uint32(WrapAESPad), generator(), bytes.Repeat([]byte{9}, 80)}.body()
	return append(body, testSum(keyInput(body))...)
}

func exampleSealed() []byte {
	body := sealedBlob{uint32(WrapAESPad), make([]byte, nonceBytes), bytes.Repeat([]byte{9}, 40), bytes.Repeat([]byte{8}, 20)}.body()
	return append(body, testSum(sealedInput([]byte("place"), body))...)
}

func TestLongestWrappedKeyIsWithinTheLimit(t *testing.T) {
	if longest := keyHeader + wrappedBytesMax + macBytes; longest > wire.WrappedBytesMax {
		t.Fatalf("%d bytes, the vault takes %d", longest, wire.WrappedBytesMax)
	}
}

// A place's last byte never becomes the value's first.
func TestSealedInputIsOneReading(t *testing.T) {
	if bytes.Equal(sealedInput([]byte("ab"), []byte("c")), sealedInput([]byte("a"), []byte("bc"))) {
		t.Fatal("two readings of one input")
	}
	inputs := [][]byte{keyInput(nil), sealedInput(nil, nil), slotInput(nil)}
	for i, a := range inputs {
		for j, b := range inputs {
			if i != j && bytes.HasPrefix(a, b) {
				t.Fatalf("inputs %d and %d begin alike", i, j)
			}
		}
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add(uint8(hal.P256), exampleKey())
	f.Fuzz(func(t *testing.T, g uint8, b []byte) {
		k, body, sum, err := parseKey(hal.Group(g), b)
		if err != nil {
			if !errors.Is(err, hal.ErrWrapped) {
				t.Fatal(err)
			}
			return
		}
		if !bytes.Equal(append(k.body(), sum...), b) || !bytes.Equal(k.body(), body) || g != uint8(hal.P256) {
			t.Fatal("not read back")
		}
		if len(k.wrapped) > wrappedBytesMax || len(k.public) != compressedBytes || len(sum) != macBytes {
			t.Fatal("lengths")
		}
	})
}

func FuzzParseSealed(f *testing.F) {
	f.Add(exampleSealed())
	f.Fuzz(func(t *testing.T, b []byte) {
		s, body, sum, err := parseSealed(b)
		if err != nil {
			if !errors.Is(err, hal.ErrSealed) {
				t.Fatal(err)
			}
			return
		}
		if !bytes.Equal(append(s.body(), sum...), b) || !bytes.Equal(s.body(), body) {
			t.Fatal("not read back")
		}
		if len(s.nonce) != nonceBytes || len(s.ciphertext) < tagBytes || len(sum) != macBytes {
			t.Fatal("lengths")
		}
	})
}

func testValid(body, sum []byte) (bool, error) {
	return hmac.Equal(testSum(slotInput(body)), sum), nil
}

func slotValue(sequence uint64, data []byte) []byte {
	body := slotBody(pair.Slot{Sequence: sequence, Data: data})
	return append(body, testSum(slotInput(body))...)
}

func FuzzParseSlot(f *testing.F) {
	f.Add(1, slotValue(1, []byte("x")))
	f.Add(0, slotEmpty)
	f.Fuzz(func(t *testing.T, at int, value []byte) {
		at &= 1
		s, whole, err := parseSlot(at, value, testValid)
		if err != nil {
			t.Fatal(err)
		}
		if !whole || s.Sequence == 0 {
			if s.Data != nil {
				t.Fatal("data of a torn slot")
			}
			return
		}
		if !bytes.Equal(slotValue(s.Sequence, s.Data), value) || s.Sequence%slotsCount != uint64(at) {
			t.Fatal("not read back")
		}
	})
}

// testStore is a token that only has the two objects.
type testStore struct {
	pair.Store
	values [slotsCount][]byte
}

func (s testStore) Read(place int) ([]byte, error) { return s.values[place], nil }

func (testStore) Parse(place int, raw []byte) (pair.Slot, bool, error) {
	return parseSlot(place, raw, testValid)
}

func TestSlots(t *testing.T) {
	parse := func(first, second []byte) ([]byte, error) {
		return new(pair.Memory).Load(testStore{values: [slotsCount][]byte{first, second}})
	}
	one, two := slotValue(1, []byte("one")), slotValue(2, []byte("two"))
	for _, c := range []struct {
		name          string
		first, second []byte
		want          string
		err           error
	}{
		{"new", slotEmpty, slotEmpty, "", nil},
		{"after one write", slotEmpty, one, "one", nil},
		{"after two", two, one, "two", nil},
		{"the first write torn", slotEmpty, one[:20], "", nil},
		{"the second write torn", two[:len(two)-1], one, "one", nil},
		{"its object gone", nil, one, "one", nil},
		{"both torn", two[:9], one[:9], "", hal.ErrTorn},
		{"both gone", nil, nil, "", hal.ErrTorn},
		{"each in the other's place", one, two, "", hal.ErrTorn},
		{"the newer copied over the older", two, two, "two", nil},
	} {
		data, err := parse(c.first, c.second)
		if string(data) != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %q %v", c.name, data, err)
		}
	}
	for at := range two {
		bad := bytes.Clone(two)
		bad[at] ^= 1
		if data, err := parse(bad, one); err != nil || string(data) != "one" {
			t.Errorf("byte %d of the newer flipped: %q %v", at, data, err)
		}
	}
}
