package pkcs11

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"testing"

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
	body := slotBody(sequence, data)
	return append(body, testSum(slotInput(body))...)
}

func FuzzParseSlot(f *testing.F) {
	f.Add(1, slotValue(1, []byte("x")))
	f.Add(0, slotEmpty)
	f.Fuzz(func(t *testing.T, at int, value []byte) {
		at &= 1
		s, err := parseSlot(at, value, testValid)
		if err != nil {
			t.Fatal(err)
		}
		if s.sequence == 0 {
			if s.data != nil {
				t.Fatal("data of a torn slot")
			}
			return
		}
		if !bytes.Equal(slotValue(s.sequence, s.data), value) || s.sequence%slotsCount != uint64(at) {
			t.Fatal("not read back")
		}
	})
}

func TestSlots(t *testing.T) {
	parse := func(first, second []byte) ([]byte, uint64, error) {
		var slots [slotsCount]memorySlot
		for at, value := range [][]byte{first, second} {
			var err error
			if slots[at], err = parseSlot(at, value, testValid); err != nil {
				t.Fatal(err)
			}
		}
		return newest(slots)
	}
	one, two := slotValue(1, []byte("one")), slotValue(2, []byte("two"))
	for _, c := range []struct {
		name          string
		first, second []byte
		want          string
		sequence      uint64
		err           error
	}{
		{"new", slotEmpty, slotEmpty, "", 0, nil},
		{"after one write", slotEmpty, one, "one", 1, nil},
		{"after two", two, one, "two", 2, nil},
		{"the first write torn", slotEmpty, one[:20], "", 0, nil},
		{"the second write torn", two[:len(two)-1], one, "one", 1, nil},
		{"its object gone", nil, one, "one", 1, nil},
		{"both torn", two[:9], one[:9], "", 0, hal.ErrTorn},
		{"both gone", nil, nil, "", 0, hal.ErrTorn},
		{"each in the other's place", one, two, "", 0, hal.ErrTorn},
		{"the newer copied over the older", two, two, "two", 2, nil},
	} {
		data, sequence, err := parse(c.first, c.second)
		if string(data) != c.want || sequence != c.sequence || !errors.Is(err, c.err) {
			t.Errorf("%s: %q %d %v", c.name, data, sequence, err)
		}
	}
	for at := range two {
		bad := bytes.Clone(two)
		bad[at] ^= 1
		if data, _, err := parse(bad, one); err != nil || string(data) != "one" {
			t.Errorf("byte %d of the newer flipped: %q %v", at, data, err)
		}
	}
}
