package client

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"strongroom/protocol/wire"
)

func samplePayload() Payload {
	return Payload{Key: Key{1, 2, 3}, RepositoryID: []byte{4, 5}, RepositoryURL: "s3:https://s3.example.org/b/p"}
}

func TestPayloadReadsBack(t *testing.T) {
	want := samplePayload()
	b, err := want.encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodePayload(b)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v", err)
	}
	want.RepositoryURL = strings.Repeat("x", RepositoryURLBytesMax+1)
	if _, err := want.encode(); !errors.Is(err, ErrPayload) {
		t.Errorf("a URL past its limit: %v", err)
	}
	want.RepositoryURL = strings.Repeat("x", RepositoryURLBytesMax)
	want.RepositoryID = make([]byte, RepositoryIDBytesMax)
	if b, err = want.encode(); err != nil || len(b) != payloadBytes {
		t.Errorf("the largest payload: %d bytes, %v", len(b), err)
	}
}

// A sealed key opens in its own place only: each part of it is changed in turn.
func TestSealedKeyIsBoundToItsPlace(t *testing.T) {
	at := place{wire.FleetID{1}, "anna", wire.Generation{2}, wire.Stretch{Time: 3, MemoryKiB: 4, Threads: 5}}
	export := bytes.Repeat([]byte{7}, 32)
	sealed, err := at.seal(export, samplePayload())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := at.open(export, sealed); err != nil || !reflect.DeepEqual(got, samplePayload()) {
		t.Fatal(err)
	}
	elsewhere := []place{at, at, at, at, at, at}
	elsewhere[0].Fleet[0]++
	elsewhere[1].Account = "ann"
	elsewhere[2].Generation[15]++
	elsewhere[3].Stretch.Time++
	elsewhere[4].Stretch.MemoryKiB++
	elsewhere[5].Stretch.Threads++
	for i, other := range elsewhere {
		if _, err := other.open(export, sealed); !errors.Is(err, ErrSealedKey) {
			t.Errorf("place %d: %v", i, err)
		}
	}
	for i := range sealed {
		sealed[i] ^= 1
		if _, err := at.open(export, sealed); !errors.Is(err, ErrSealedKey) {
			t.Errorf("byte %d flipped: %v", i, err)
		}
		sealed[i] ^= 1
	}
}

// Keys of owners differ from account to account and fleet to fleet.
func TestOwnerKeysDiffer(t *testing.T) {
	seen := map[string]bool{}
	for _, o := range []struct {
		k       Key
		fleet   wire.FleetID
		account string
	}{{Key{1}, wire.FleetID{1}, "a"}, {Key{2}, wire.FleetID{1}, "a"}, {Key{1}, wire.FleetID{2}, "a"}, {Key{1}, wire.FleetID{1}, "b"}} {
		k, err := ownerKey(o.k, o.fleet, o.account)
		if err != nil {
			t.Fatal(err)
		}
		seen[string(k)] = true
	}
	if len(seen) != 4 {
		t.Errorf("%d different keys of 4", len(seen))
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	k := Key{0xde, 0xad, 0xbe, 0xef}
	tokens := Tokens{Relay: "canary-deadbeef", Vault: "canary-deadbeef"}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "key", k, "payload", Payload{Key: k}, "tokens", tokens)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
		fmt.Fprintf(&log, verb+verb+verb+verb, k, &k, Payload{Key: k}, tokens)
	}
	for _, leak := range []string{"deadbeef", "222 173", "0xde", "DEADBEEF"} {
		if strings.Contains(log.String(), leak) {
			t.Errorf("%q leaks: %s", leak, log.String())
		}
	}
	guess := &Recovery{vault: &Vault{Tokens: tokens}, password: []byte("deadbeef")}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
		fmt.Fprintf(&log, verb, guess)
	}
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "key", k, "payload", Payload{Key: k}, "tokens", tokens, "guess", guess)
	for _, leak := range []string{"deadbeef", "6465616462656566", "100 101 97"} {
		if strings.Contains(log.String(), leak) {
			t.Errorf("%q leaks: %s", leak, log.String())
		}
	}
	if _, err := k.MarshalJSON(); err == nil {
		t.Error("a key became JSON")
	}
}

func TestKeyText(t *testing.T) {
	k := NewKey()
	text := k.Reveal()
	if groups := strings.Fields(text); len(groups) != 16 || len(text) != 79 {
		t.Errorf("%d groups", len(groups))
	}
	for _, as := range []string{text, strings.ToUpper(text), strings.ReplaceAll(text, " ", ""), strings.ReplaceAll(text, " ", "-"),
		strings.ReplaceAll(text, " ", "\n") + "\n", strings.ReplaceAll(strings.ReplaceAll(text, "0", "O"), "1", "l")} {
		if got, err := ParseKey(as); err != nil || got != k {
			t.Errorf("not read: %v", err)
		}
	}
	for bad, says := range map[string]string{"": "0 digits", text[1:]: "group 1 has 3", text + "0": "group 16 has 5",
		strings.Repeat("g", 64): "near digit 1", strings.Repeat("0", 2000): "longer"} {
		if _, err := ParseKey(bad); !errors.Is(err, ErrKeyText) || !strings.Contains(err.Error(), says) {
			t.Errorf("%v does not say %q", err, says)
		}
	}
}

func TestCommonPasswordsAreRead(t *testing.T) {
	if len(common) < 500 {
		t.Fatalf("%d passwords listed", len(common))
	}
	for p := range common {
		if len([]rune(p)) < 7 || strings.ToLower(p) != p {
			t.Errorf("%q does not belong in the list", p)
		}
	}
	for _, good := range []string{"four quiet otters", "x9!kLm2#", "Türkischer Honig", "sommerregen am see", "надёжный якорь", "🐢 läuft los"} {
		if err := CheckPassword(good, "anna"); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
}

func FuzzPayload(f *testing.F) {
	whole, err := samplePayload().encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:payloadBytes-1])
	f.Add(append([]byte{0xff, 0xff}, whole[2:]...))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := decodePayload(b)
		if err != nil {
			if !errors.Is(err, ErrPayload) {
				t.Errorf("unnamed error %v", err)
			}
			return
		}
		again, err := p.encode()
		if err != nil || !bytes.Equal(again, b) {
			t.Error("not canonical")
		}
	})
}

func FuzzKeyText(f *testing.F) {
	f.Add(Key{1}.Reveal())
	f.Add("0123")
	f.Add("O0l1 iI")
	f.Add(strings.Repeat("ß ", 64))
	f.Fuzz(func(t *testing.T, text string) {
		k, err := ParseKey(text)
		if err != nil {
			if !errors.Is(err, ErrKeyText) {
				t.Errorf("unnamed error %v", err)
			}
			return
		}
		if again, err := ParseKey(k.Reveal()); err != nil || again != k {
			t.Error("does not read back")
		}
	})
}

func FuzzTokens(f *testing.F) {
	f.Add([]byte(`{"account":"a","relay":"x.y.z","vault":"x.y.z"}`))
	f.Add([]byte(`{"relay":1}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		tokens, err := ParseTokens(b)
		if (err == nil) != (tokens.Relay != "" && tokens.Vault != "") || err != nil && !errors.Is(err, ErrTokens) {
			t.Errorf("%v", err)
		}
	})
}
