package folder

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"strongroom/client"
)

func TestKeyIsKeptAndNeverOverwritten(t *testing.T) {
	f := Folder{t.TempDir()}
	if _, err := f.Key(); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("empty folder: %v", err)
	}
	k := client.NewKey()
	if err := f.PutKey(k); err != nil {
		t.Fatal(err)
	}
	if err := f.PutKey(k); err != nil {
		t.Errorf("the same key again: %v", err)
	}
	if err := f.PutKey(client.NewKey()); err == nil {
		t.Error("another key overwrote the first")
	}
	if got, err := f.Key(); err != nil || got != k {
		t.Errorf("read back: %v", err)
	}
	info, err := os.Stat(f.KeyFile())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(f.KeyFile(), []byte("0000\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.PutKey(k); err == nil {
		t.Error("a damaged key file was overwritten: it may still be read by hand")
	}
}

func TestOneAtATime(t *testing.T) {
	f := Folder{t.TempDir()}
	unlock, err := f.Lock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Lock(); !errors.Is(err, ErrInUse) {
		t.Errorf("second lock: %v", err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	unlock, err = f.Lock()
	if err != nil {
		t.Fatal(err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
}

func sample(way Way) Settings {
	return Settings{Version: settingsVersion, Stage: Enabled, Way: way, Repository: Repository{"file:/srv/backup", "00ff"},
		Vault: &VaultPlace{URL: "https://vault.example.org", Pin: "AAAA-BBBB", Account: "anna", Tokens: "/t.json"}, Paths: []string{"/p"}}
}

func TestSettingsReadBack(t *testing.T) {
	f := Folder{t.TempDir()}
	if _, err := f.Settings(); !errors.Is(err, ErrEmpty) {
		t.Fatalf("empty folder: %v", err)
	}
	want := sample(ByPassword)
	if err := f.PutSettings(want); err != nil {
		t.Fatal(err)
	}
	got, err := f.Settings()
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestCardReadsBack(t *testing.T) {
	for _, way := range []Way{ByPassword, ByKey} {
		want := CardOf(sample(way))
		got, err := ParseCard(want.String())
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v\n%s", way, got, err, want)
		}
	}
}

func FuzzCard(f *testing.F) {
	f.Add(CardOf(sample(ByPassword)).String())
	f.Add(CardOf(sample(ByKey)).String())
	f.Add(cardTitle + "\nBackup: x\nVault:\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseCard(text)
		if err != nil {
			if !errors.Is(err, ErrCard) {
				t.Errorf("unnamed error %v", err)
			}
			return
		}
		again, err := ParseCard(c.String())
		if err != nil || again != c {
			t.Errorf("%+v becomes %+v, %v", c, again, err)
		}
	})
}

func FuzzSettings(f *testing.F) {
	f.Add([]byte(`{"version":1,"stage":"enabled","way":"key","repository":{"url":"file:/x"}}`))
	f.Add([]byte(`{"version":1,"stage":"pending","way":"password","vault":{"url":"u","pin":"p","account":"a","tokens":"t"},"repository":{"url":"file:/x"}}`))
	f.Add([]byte(`{"version":2}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := parseSettings(b); err != nil && !errors.Is(err, ErrSettings) {
			t.Errorf("unnamed error %v", err)
		}
	})
}

// Attack: a run killed between writing the key aside and naming it leaves a
// whole key in a file that nobody knows of.
func TestLockSweepsWhatAKillLeft(t *testing.T) {
	f := Folder{Path: filepath.Join(t.TempDir(), "odd [name]*")}
	if err := f.Make(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".new-123", "mine", ".newer"} {
		if err := os.WriteFile(filepath.Join(f.Path, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	unlock, err := f.Lock()
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	entries, err := os.ReadDir(f.Path)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if got := strings.Join(names, " "); got != ".newer lock mine" {
		t.Error(got)
	}
}
