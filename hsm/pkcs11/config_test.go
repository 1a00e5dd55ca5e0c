package pkcs11

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPINSources(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pin")
	for text, want := range map[string]string{"12 34": "12 34", "1234\n": "1234", "1234\r\n": "1234", "1234\nrest": "1234", " 1": " 1"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := PINFile(path)(); err != nil || string(got) != want {
			t.Errorf("%q: %q %v", text, []byte(got), err)
		}
	}
	if err := os.WriteFile(path, []byte("\n1234"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := PINFile(path)(); !errors.Is(err, ErrPIN) {
		t.Errorf("an empty line: %v", err)
	}
	if _, err := PINFile(path + ".none")(); !errors.Is(err, ErrPIN) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	t.Setenv("STRONGROOM_TEST_PIN", "5678")
	if got, err := PINEnv("STRONGROOM_TEST_PIN")(); err != nil || string(got) != "5678" {
		t.Errorf("environment: %q %v", []byte(got), err)
	}
	if _, err := PINEnv("STRONGROOM_TEST_NO_PIN")(); !errors.Is(err, ErrPIN) {
		t.Errorf("no environment: %v", err)
	}
}

func TestSecretDoesNotPrint(t *testing.T) {
	s := Secret("1234-canary")
	text, err := json.Marshal(map[string]any{"pin": s})
	if err != nil {
		t.Fatal(err)
	}
	printed := fmt.Sprintf("%v %s %q %x %+v %#v %d %v", s, s, s, s, s, s, s, struct{ PIN Secret }{s}) + string(text)
	if strings.Contains(printed, "canary") || strings.Contains(printed, "63616e617279") || strings.Contains(printed, "49 50 51") {
		t.Fatal(printed)
	}
}

func TestConfigThatSaysTooLittle(t *testing.T) {
	some, slot := PINEnv("X"), uint(1)
	for name, c := range map[string]struct {
		config Config
		want   error
	}{
		"no PIN":    {Config{Module: "m", Token: "t"}, ErrPIN},
		"no token":  {Config{Module: "m", PIN: some}, ErrToken},
		"no module": {Config{Token: "t", PIN: some}, ErrModule},
	} {
		if _, err := c.config.settled(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	got, err := Config{Module: "m", Slot: &slot, PIN: some}.settled()
	if err != nil || got.WrapMechanism != WrapAESPad || got.Sessions != SessionsDefault {
		t.Errorf("%+v %v", got, err)
	}
}
