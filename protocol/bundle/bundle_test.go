package bundle

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"strongroom/protocol/wire"
)

func fleet() *Fleet {
	return &Fleet{
		Version: Version, ID: wire.FleetID{1}, Suite: 1, KEM: 0x50, Channel: []byte("channel"), AKE: []byte("ake"),
		Policy:  Policy{Attempts: 10, TicketMillis: 120_000},
		Issuers: []Issuer{{"a", EdDSA, make([]byte, 32)}, {"b", ES256, make([]byte, 65)}},
		HSM:     "soft", Isolation: "none", Rollback: "file",
	}
}

func encode(t testing.TB, f *Fleet) []byte {
	t.Helper()
	b, err := wire.Encode(f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestDocument(t *testing.T) {
	doc, err := fleet().Encode()
	if err != nil {
		t.Fatal(err)
	}
	pin := PinOf(doc)
	f, err := pin.Check(doc)
	if err != nil || f.Policy.Attempts != 10 || len(f.Issuers) != 2 {
		t.Fatal(f, err)
	}
	for i := range doc {
		bad := bytes.Clone(doc)
		bad[i] ^= 1
		if _, err := pin.Check(bad); !errors.Is(err, ErrPin) {
			t.Fatalf("byte %d: %v", i, err)
		}
		if _, err := Decode(doc[:i]); !errors.Is(err, ErrDocument) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
}

func TestBadDocuments(t *testing.T) {
	for name, change := range map[string]func(*Fleet){
		"version":             func(f *Fleet) { f.Version = 2 },
		"no id":               func(f *Fleet) { f.ID = wire.FleetID{} },
		"no attempts":         func(f *Fleet) { f.Policy.Attempts = 0 },
		"eleven attempts":     func(f *Fleet) { f.Policy.Attempts = 11 },
		"short tickets":       func(f *Fleet) { f.Policy.TicketMillis = ticketMillisMin - 1 },
		"long tickets":        func(f *Fleet) { f.Policy.TicketMillis = ticketMillisMax + 1 },
		"a first wait":        func(f *Fleet) { f.Policy.WaitsMillis = []uint64{1} },
		"waits that shrink":   func(f *Fleet) { f.Policy.WaitsMillis = []uint64{0, 2, 1} },
		"waits that end in 0": func(f *Fleet) { f.Policy.WaitsMillis = []uint64{0, 0} },
		"eleven waits":        func(f *Fleet) { f.Policy.WaitsMillis = []uint64{10: 1} },
		"a wait for ever":     func(f *Fleet) { f.Policy.WaitsMillis = []uint64{0, waitMillisMax + 1} },
		"a short lifetime":    func(f *Fleet) { f.Policy.Lifetime = 9 },
		"a long lifetime":     func(f *Fleet) { f.Policy.Lifetime = lifetimeMax + 1 },
		"a reset for ever":    func(f *Fleet) { f.Policy.ResetMillis = resetMillisMax + 1 },
		"no channel key":      func(f *Fleet) { f.Channel = nil },
		"a long channel key":  func(f *Fleet) { f.Channel = make([]byte, keyBytesMax+1) },
		"no AKE key":          func(f *Fleet) { f.AKE = nil },
		"a short status key":  func(f *Fleet) { f.Status = make([]byte, 32) },
		"a long alert key":    func(f *Fleet) { f.Alert = make([]byte, keyBytesMax+1) },
		"a long name":         func(f *Fleet) { f.HSM = strings.Repeat("a", nameBytesMax+1) },
		"no issuers":          func(f *Fleet) { f.Issuers = nil },
		"nine issuers":        func(f *Fleet) { f.Issuers = make([]Issuer, issuersMax+1) },
		"issuer without id":   func(f *Fleet) { f.Issuers[0].ID = "" },
		"issuers of one id":   func(f *Fleet) { f.Issuers[1].ID = f.Issuers[0].ID },
		"issuer of no kind":   func(f *Fleet) { f.Issuers[0].Alg = "HS256" },
		"issuer's key short":  func(f *Fleet) { f.Issuers[0].Key = make([]byte, 31) },
		"issuer's key as ec":  func(f *Fleet) { f.Issuers[0].Key = make([]byte, 65) },
		"issuer's key missed": func(f *Fleet) { f.Issuers[1].Key = nil },
	} {
		f := fleet()
		change(f)
		if _, err := f.Encode(); !errors.Is(err, ErrDocument) {
			t.Errorf("%s, encoded: %v", name, err)
		}
		if _, err := Decode(encode(t, f)); !errors.Is(err, ErrDocument) {
			t.Errorf("%s, decoded: %v", name, err)
		}
	}
	doc := encode(t, fleet())
	if _, err := Decode(append(doc, 0)); !errors.Is(err, ErrDocument) {
		t.Errorf("a trailing byte: %v", err)
	}
	if _, err := Decode(make([]byte, DocumentBytesMax+1)); !errors.Is(err, ErrDocument) {
		t.Errorf("too long: %v", err)
	}
}

func TestPinText(t *testing.T) {
	pin := PinOf([]byte("a document"))
	s := pin.String()
	for name, text := range map[string]string{
		"itself": s, "lower case": strings.ToLower(s), "spaces": strings.ReplaceAll(s, "-", " "),
		"no dashes": strings.ReplaceAll(s, "-", ""), "on two lines": s[:35] + "\n" + s[35:], "around": " " + s + "\n",
		"letters like digits": strings.NewReplacer("0", "o", "1", "l").Replace(s),
	} {
		if got, err := ParsePin(text); err != nil || got != pin {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, text := range map[string]string{
		"empty": "", "short": s[:len(s)-1], "long": s + "0", "not of the alphabet": "U" + s[1:], "not ASCII": "é" + s[2:],
	} {
		if _, err := ParsePin(text); !errors.Is(err, ErrPinText) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A slip of one character is told by its group in all but one of 32 cases;
// swapped groups are told too. What no group's check sees is another pin,
// which no document has.
func TestSlips(t *testing.T) {
	pin := PinOf([]byte("a document"))
	s := pin.String()
	groups := strings.Split(s, "-")
	slips, told := 0, 0
	for g, group := range groups {
		for i := range group {
			for _, to := range pinAlphabet {
				if byte(to) == group[i] {
					continue
				}
				slipped := append([]string{}, groups...)
				slipped[g] = group[:i] + string(to) + group[i+1:]
				got, err := ParsePin(strings.Join(slipped, "-"))
				slips++
				if err == nil && got == pin {
					t.Fatalf("a slip in group %d is the same pin", g+1)
				}
				if err != nil && strings.Contains(err.Error(), "group "+itoa(g+1)+",") {
					told++
				}
			}
		}
	}
	if slips != 66*31 || told < slips*15/16 {
		t.Fatalf("%d of %d slips told by group", told, slips)
	}
	for g := range len(groups) - 1 { // the check character counts the group's number
		swapped := append([]string{}, groups...)
		swapped[g], swapped[g+1] = swapped[g+1], swapped[g]
		if _, err := ParsePin(strings.Join(swapped, "-")); !errors.Is(err, ErrPinText) {
			t.Fatalf("groups %d and %d swapped: %v", g+1, g+2, err)
		}
	}
}

func itoa(n int) string {
	return strings.TrimLeft(string([]byte{'0' + byte(n/10), '0' + byte(n%10)}), "0")
}

func FuzzDecode(f *testing.F) {
	doc := encode(f, fleet())
	f.Add(doc)
	f.Add(doc[:len(doc)-1])
	f.Add([]byte{0xa0})
	f.Fuzz(func(t *testing.T, b []byte) {
		fleet, err := Decode(b)
		if err != nil {
			if !errors.Is(err, ErrDocument) {
				t.Fatal(err)
			}
			return
		}
		if again, err := fleet.Encode(); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x, %v", again, err)
		}
	})
}

// Every single slip of the hand is told as a slip: never taken for a pin, which
// would read as "the vault shows another fleet".
func TestEverySlipInAPinIsTold(t *testing.T) {
	slips := 0
	for n := range byte(8) {
		text := PinOf([]byte{n}).String()
		for at, c := range text {
			for _, other := range pinAlphabet {
				if c == '-' || other == c {
					continue
				}
				if _, err := ParsePin(text[:at] + string(other) + text[at+1:]); !errors.Is(err, ErrPinText) {
					t.Fatalf("%q at %d of %s: %v", other, at, text, err)
				}
				slips++
			}
		}
	}
	if slips != 8*pinGroups*pinGroupChars*(len(pinAlphabet)-1) {
		t.Fatalf("%d slips", slips)
	}
}

func FuzzParsePin(f *testing.F) {
	f.Add(PinOf(nil).String())
	f.Add("")
	f.Add(strings.Repeat("0", pinGroups*pinGroupChars))
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePin(s)
		if err != nil {
			return
		}
		if again, err := ParsePin(p.String()); err != nil || again != p {
			t.Fatal(again, err)
		}
	})
}
