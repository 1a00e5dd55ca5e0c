//go:build pkcs11 && cgo

package pkcs11

import (
	"bytes"
	"crypto/elliptic"
	"errors"
	"strings"
	"testing"

	p11 "github.com/miekg/pkcs11"

	"strongroom/hsm/hsmtest"
	"strongroom/vault/hal"
)

// inside runs a look into the token.
func inside(t *testing.T, h *HSM, look func(*session)) {
	t.Helper()
	if err := h.login.use(func(s *session) error { look(s); return nil }); err != nil {
		t.Fatal(err)
	}
}

// TestSecretsStayInside asks the token for what no one may have, as a thief of
// the PIN would.
func TestSecretsStayInside(t *testing.T) {
	store(t)
	h, _ := made(t, "thief")
	_, err := h.MakeKey("ake", hal.P256)
	if err == nil {
		_, err = h.MakeSigningKey("box")
	}
	if err == nil {
		err = h.MakeEpochKey(7)
	}
	if err != nil {
		t.Fatal(err)
	}
	wrapped, _, err := h.MakeOPRFKey(hal.P256)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := h.Seal(nil, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	inside(t, h, func(s *session) {
		k, err := s.key("ake")
		if err != nil {
			t.Fatal(err)
		}
		signs, err := s.key("box")
		if err != nil {
			t.Fatal(err)
		}
		epoch, err := s.epoch(7)
		if err != nil {
			t.Fatal(err)
		}
		for name, key := range map[string]object{
			"wrap": s.keys.root().wrap, "seal": s.keys.root().seal, "mac": s.keys.root().mac, "ake": k.private, "box": signs.private, "epoch": epoch.object,
		} {
			for kind, want := range map[uint]byte{
				p11.CKA_SENSITIVE: 1, p11.CKA_ALWAYS_SENSITIVE: 1, p11.CKA_EXTRACTABLE: 0, p11.CKA_NEVER_EXTRACTABLE: 1, p11.CKA_PRIVATE: 1,
			} {
				if got, err := s.get(key, kind); err != nil || !bytes.Equal(got, []byte{want}) {
					t.Errorf("%s, attribute %#x: %v %v", name, kind, got, err)
				}
			}
			if _, err := s.get(key, p11.CKA_VALUE); !isCode(err, p11.CKR_ATTRIBUTE_SENSITIVE) {
				t.Errorf("%s: read: %v", name, err)
			}
			if _, err := s.wrap(WrapAESPad, s.keys.root().seal, key); !isCode(err, p11.CKR_KEY_UNEXTRACTABLE, p11.CKR_KEY_NOT_WRAPPABLE) {
				t.Errorf("%s: wrapped: %v", name, err)
			}
		}
		for _, key := range []object{s.keys.root().wrap, s.keys.root().seal, epoch.object} { // so no copy and no change lifts their rule
			for _, kind := range []uint{p11.CKA_COPYABLE, p11.CKA_MODIFIABLE} {
				if got, err := s.get(key, kind); err != nil || !bytes.Equal(got, []byte{0}) {
					t.Errorf("attribute %#x: %v %v", kind, got, err)
				}
			}
		}
		blob, _, _, _ := parseKey(hal.P256, wrapped)
		value, _, _, _ := parseSealed(sealed)
		tries := map[string]func() (object, error){
			"a wrapped key": func() (object, error) {
				return s.unwrap(WrapAESPad, s.keys.root().wrap, blob.wrapped, privateKey(true, false,
					attribute(p11.CKA_CLASS, p11.CKO_PRIVATE_KEY), attribute(p11.CKA_KEY_TYPE, p11.CKK_EC), attribute(p11.CKA_TOKEN, false)))
			},
			"a value's key": func() (object, error) {
				return s.unwrap(WrapAESPad, s.keys.root().seal, value.wrapped, template{
					attribute(p11.CKA_CLASS, p11.CKO_SECRET_KEY), attribute(p11.CKA_KEY_TYPE, p11.CKK_AES), attribute(p11.CKA_TOKEN, false),
					attribute(p11.CKA_SENSITIVE, false), attribute(p11.CKA_EXTRACTABLE, true)})
			},
			"a copy without the rule": func() (object, error) {
				o, err := h.login.module.ctx.CopyObject(s.handle, s.keys.root().wrap, template{attribute(p11.CKA_TOKEN, false)})
				return o, answered("C_CopyObject", err)
			},
		}
		for name, try := range tries {
			if o, err := try(); err == nil {
				t.Errorf("%s can be taken out: object %d", name, o)
			}
		}
		if err := h.login.module.ctx.SetAttributeValue(s.handle, s.keys.root().wrap, template{attribute(p11.CKA_UNWRAP_TEMPLATE, []byte{})}); err == nil {
			t.Error("the rule of the wrapping key can be lifted")
		}
	})
}

// TestNothingIsLeft: no session object outlives its call, good or bad.
func TestNothingIsLeft(t *testing.T) {
	store(t)
	h, _ := made(t, "left")
	for name, call := range hsmtest.Calls(t, h) {
		if err := call(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	wrapped, _, err := h.MakeOPRFKey(hal.P256)
	if err != nil {
		t.Fatal(err)
	}
	for _, point := range [][]byte{multiple(-1), multiple(1), {0}, nil} {
		_, _ = h.MultiplyWrapped(hal.P256, wrapped, point)
	}
	inside(t, h, func(s *session) {
		found, err := s.find(template{attribute(p11.CKA_TOKEN, false)})
		if err != nil || len(found) > 0 {
			t.Fatalf("session objects %v are left: %v", found, err)
		}
		if found, err = s.find(template{attribute(p11.CKA_TOKEN, true)}); err != nil || len(found) == 0 {
			t.Fatalf("the search finds nothing at all: %v", err)
		}
	})
}

// TestTokenMultipliesWhole: of a key that nobody knows, k·(m·G) must be m·K.
func TestTokenMultipliesWhole(t *testing.T) {
	store(t)
	h, _ := made(t, "points")
	wrapped, public, err := h.MakeOPRFKey(hal.P256)
	if err != nil {
		t.Fatal(err)
	}
	named, err := h.MakeKey("ake", hal.P256)
	if err != nil {
		t.Fatal(err)
	}
	signs := map[byte]int{}
	check := func(key string, public []byte, multiply func([]byte) ([]byte, error)) {
		for i := range 40 {
			m := scalar(t)
			if i < 12 {
				m = modN(int64([]int{1, 2, 3, 4, 5, 6, -1, -2, -3, -4, -5, -6}[i]))
			}
			got, err := multiply(times(m, generator()))
			if err != nil || !bytes.Equal(got, times(m, public)) {
				t.Errorf("%s, %v·G: %x %v", key, m, got, err)
				continue
			}
			signs[got[0]]++
		}
		// B = K and B = -K: the first sum has a doubling in it.
		for _, b := range [][]byte{public, times(modN(-1), public)} {
			once, err := multiply(b)
			if err != nil {
				t.Fatal(err)
			}
			x, y := unmarshal(b)
			x, y = curve.Add(x, y, curve.Params().Gx, curve.Params().Gy)
			next, err := multiply(elliptic.MarshalCompressed(curve, x, y))
			if err != nil {
				t.Fatal(err)
			}
			x, y = unmarshal(once)
			kx, ky := unmarshal(public)
			x, y = curve.Add(x, y, kx, ky)
			if !bytes.Equal(next, elliptic.MarshalCompressed(curve, x, y)) {
				t.Errorf("%s: k(B+G) is not kB + K at B = ±K", key)
			}
		}
	}
	check("wrapped", public, func(p []byte) ([]byte, error) { return h.MultiplyWrapped(hal.P256, wrapped, p) })
	check("named", named, func(p []byte) ([]byte, error) { return h.Multiply("ake", p) })
	if signs[evenY] < 10 || signs[oddY] < 10 {
		t.Fatalf("signs %v: half of the work was not tried", signs)
	}
}

// TestSwappedPublic: a wrapped key goes with its own public element only. With
// another's, B = -G would be answered from a key of the attacker's choice.
func TestSwappedPublic(t *testing.T) {
	store(t)
	h, _ := made(t, "swap")
	one, _, err := h.MakeOPRFKey(hal.P256)
	if err != nil {
		t.Fatal(err)
	}
	two, public, err := h.MakeOPRFKey(hal.P256)
	if err != nil {
		t.Fatal(err)
	}
	splice := func(from []byte, a, b int) []byte {
		mixed := bytes.Clone(one)
		copy(mixed[a:b], from[a:b])
		return mixed
	}
	end := len(one) - macBytes
	mechanism := bytes.Clone(one)
	mechanism[5] = 0x09
	for name, blob := range map[string][]byte{
		"the other's public":             splice(two, 6, keyHeader),
		"the other's wrapped key":        splice(two, keyHeader, end),
		"the other's sum":                splice(two, end, len(two)),
		"the other's public and sum":     append(splice(two, 6, keyHeader)[:end:end], two[end:]...),
		"a public of the attacker's own": append(append(bytes.Clone(one[:6]), multiple(5)...), one[keyHeader:]...),
		"another mechanism":              mechanism,
	} {
		for _, point := range [][]byte{randomPoint(t), multiple(-1)} {
			if got, err := h.MultiplyWrapped(hal.P256, blob, point); !errors.Is(err, hal.ErrWrapped) || got != nil {
				t.Errorf("%s: %x %v", name, got, err)
			}
		}
	}
	if got, err := h.MultiplyWrapped(hal.P256, two, generator()); err != nil || !bytes.Equal(got, public) {
		t.Errorf("the untouched one: %x %v", got, err)
	}
}

// TestStrangeObjects: who can write to the token sets objects beside ours.
func TestStrangeObjects(t *testing.T) {
	store(t)
	h, c := made(t, "strange")
	for _, name := range []string{"swapped", "doubled"} {
		if _, err := h.MakeKey(name, hal.P256); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	h = opened(t, c)
	place := func(label string) []*p11.Attribute {
		return []*p11.Attribute{attribute(p11.CKA_TOKEN, true), attribute(p11.CKA_LABEL, label)}
	}
	inside(t, h, func(s *session) {
		public, err := s.single(p11.CKO_PUBLIC_KEY, namedName+"swapped")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.destroy(public); err != nil {
			t.Fatal(err)
		}
		pairs := [][2]string{{namedName + "swapped", "spare"}, {"spare", namedName + "doubled"}}
		for _, pair := range pairs {
			if _, _, err := s.generatePair(publicKey(place(pair[0])...), privateKey(false, false, place(pair[1])...)); err != nil {
				t.Fatal(err)
			}
		}
	})
	for name, says := range map[string]string{"swapped": "do not belong together", "doubled": "two of"} {
		if _, err := h.Multiply(name, generator()); !errors.Is(err, ErrObject) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	inside(t, h, func(s *session) {
		if _, err := s.create(append(dataObject(markName, []byte("strongroom token 2")), lasting...)); err != nil {
			t.Fatal(err)
		}
	})
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(c); !errors.Is(err, ErrObject) {
		t.Errorf("two marks: %v", err)
	}
}
