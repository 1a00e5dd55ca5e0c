package schedule

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// odd is a data folder whose name each system could take for something else.
const odd = `/srv/it's "odd" 100% $HOME \ <&> ö`

func job(t *testing.T, when string) Job {
	t.Helper()
	w, err := ParseWhen(when)
	if err != nil {
		t.Fatal(err)
	}
	return Job{Program: "/bin/true", Data: odd, When: w}
}

func TestParseWhen(t *testing.T) {
	for _, good := range []string{"daily", "hourly", "00:00", "21:30", "23:59"} {
		if _, err := ParseWhen(good); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", "24:00", "weekly", "21.30", "12:60", "-1:00", "21:30:00"} {
		if _, err := ParseWhen(bad); !errors.Is(err, ErrWhen) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// systemd itself judges the units.
func TestSystemdTakesTheUnits(t *testing.T) {
	for when, calendar := range map[string]string{"daily": "*-*-* 12:00:00", "hourly": "*-*-* *:00:00", "21:30": "*-*-* 21:30:00"} {
		dir := t.TempDir()
		files := job(t, when).Files(Systemd, "", dir)
		if len(files) != 2 {
			t.Fatal(files)
		}
		var paths []string
		for _, f := range files {
			if err := os.MkdirAll(filepath.Dir(f.Path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(f.Path, []byte(f.Text), 0o644); err != nil {
				t.Fatal(err)
			}
			paths = append(paths, f.Path)
		}
		out, err := exec.Command("systemd-analyze", append([]string{"verify", "--man=no"}, paths...)...).CombinedOutput()
		for line := range strings.Lines(string(out)) {
			if strings.Contains(line, "strongroom") {
				t.Errorf("%s: systemd says: %s", when, line)
			}
		}
		if err != nil {
			t.Errorf("%s: %v: %s", when, err, out)
		}
		text := files[1].Text
		_, rest, _ := strings.Cut(text, "OnCalendar=")
		asked, _, _ := strings.Cut(rest, "\n")
		out, err = exec.Command("systemd-analyze", "calendar", asked).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "Normalized form: "+calendar+"\n") {
			t.Errorf("%s is %q to systemd: %s %v", when, asked, out, err)
		}
		if !strings.Contains(text, "\nPersistent=true\n") || !strings.Contains(text, "\nRandomizedDelaySec=") {
			t.Error(text)
		}
	}
}

// A unit that systemd must refuse is refused: the judge is awake.
func TestSystemdRefusesAWrongUnit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "strongroom-x.timer")
	if err := os.WriteFile(path, []byte(strings.Replace(job(t, "daily").timer(), "OnCalendar=*-*-*", "OnCalendar=never", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("systemd-analyze", "verify", "--man=no", path).CombinedOutput()
	if err == nil && !strings.Contains(string(out), "Failed to parse") {
		t.Errorf("taken: %s", out)
	}
}

// The words of the unit's command line, read by the rules of systemd.syntax(7).
func TestSystemdQuote(t *testing.T) {
	want := `"/srv/it's \"odd\" 100%% $$HOME \\ <&> ö"`
	if got := systemdQuote(odd); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A shell that cron starts gives the program the words that were meant.
func TestCronLine(t *testing.T) {
	dir := t.TempDir()
	program, said := filepath.Join(dir, "it's a program"), filepath.Join(dir, "said")
	if err := os.WriteFile(program, []byte("#!/bin/sh\nfor a; do echo \"$a\"; done > "+said+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for when, more := range map[string][]string{"hourly": {"0 * * * * ", "--delay", "10m0s"}, "21:30": {"30 21-23 * * * ", "--delay", "5m0s", "--if-older", "20h0m0s"}} {
		j := job(t, when)
		j.Program = program
		line := j.cronLine()
		command, ok := strings.CutPrefix(line, more[0])
		if !ok || strings.Count(line, "\n") != 1 || strings.Contains(strings.ReplaceAll(line, `\%`, ""), "%") {
			t.Fatal(line)
		}
		if out, err := exec.Command("/bin/sh", "-c", strings.ReplaceAll(command, `\%`, "%")).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		b, err := os.ReadFile(said)
		want := append([]string{"--data", odd, "backup", "--scheduled"}, more[1:]...)
		if got := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n"); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q instead of %q, %v", got, want, err)
		}
	}
}

// A crontab keeps every line that is not ours.
func TestCrontabKeepsTheOthers(t *testing.T) {
	mine, other := job(t, "daily"), Job{Program: "/p", Data: "/other", When: When{Hourly: true}}
	const theirs = "# my jobs\nMAILTO=anna\n0 1 * * * run # strongroom: not-ours\nlast without an end"
	one := mine.inCrontab(theirs, true)
	if one != theirs+"\n"+mine.cronLine() {
		t.Errorf("%q", one)
	}
	two := other.inCrontab(mine.inCrontab(one, true), true)
	if two != theirs+"\n"+mine.cronLine()+other.cronLine() {
		t.Errorf("%q", two)
	}
	if three := other.inCrontab(mine.inCrontab(two, false), false); three != theirs+"\n" {
		t.Errorf("%q", three)
	}
}

// The plist is well-formed, and says what it should to a reader of its own.
func TestPlist(t *testing.T) {
	for when, calendar := range map[string]map[string]any{"hourly": {"Minute": "0"}, "21:30": {"Hour": "21", "Minute": "30"}} {
		files := job(t, when).Files(Launchd, "/anna", "")
		if len(files) != 1 || !strings.HasPrefix(files[0].Path, "/anna/Library/LaunchAgents/strongroom.backup.") {
			t.Fatal(files)
		}
		got := parsePlist(t, files[0].Text)
		args, _ := got["ProgramArguments"].([]any)
		if len(args) != 7 || args[0] != "/bin/true" || args[2] != odd || args[4] != "--scheduled" || args[5] != "--delay" {
			t.Errorf("%q", args)
		}
		at, _ := got["StartCalendarInterval"].(map[string]any)
		if len(at) != len(calendar) {
			t.Errorf("%v", at)
		}
		for key, want := range calendar {
			if at[key] != want {
				t.Errorf("%s: %v instead of %v", key, at[key], want)
			}
		}
		if got["Label"] != strings.TrimSuffix(filepath.Base(files[0].Path), ".plist") {
			t.Error(got["Label"])
		}
	}
}

// parsePlist reads the one dict of a property list.
func parsePlist(t *testing.T, text string) map[string]any {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(text))
	d.Strict = true
	for {
		token, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		if start, ok := token.(xml.StartElement); ok && start.Name.Local == "dict" {
			out := plistDict(t, d)
			for {
				if _, err := d.Token(); errors.Is(err, io.EOF) {
					return out
				} else if err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

func plistDict(t *testing.T, d *xml.Decoder) map[string]any {
	out, key := map[string]any{}, ""
	for {
		v, kind, end := plistValue(t, d)
		switch {
		case end:
			return out
		case kind == "key":
			key = v.(string)
		default:
			out[key] = v
		}
	}
}

func plistValue(t *testing.T, d *xml.Decoder) (v any, kind string, end bool) {
	t.Helper()
	for {
		token, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		switch x := token.(type) {
		case xml.EndElement:
			return nil, "", true
		case xml.StartElement:
			switch x.Name.Local {
			case "dict":
				return plistDict(t, d), "dict", false
			case "array":
				var all []any
				for {
					v, _, end := plistValue(t, d)
					if end {
						return all, "array", false
					}
					all = append(all, v)
				}
			case "true", "false":
				if _, err := d.Token(); err != nil { // its end
					t.Fatal(err)
				}
				return x.Name.Local == "true", "bool", false
			}
			var s string
			if err := d.DecodeElement(&s, &x); err != nil {
				t.Fatal(err)
			}
			return s, x.Name.Local, false
		}
	}
}

// What a notification says is never a piece of a program.
func TestNotifier(t *testing.T) {
	const text = `" & do shell script "true" & "<b>`
	mac := notifier("darwin", "t", text)
	if mac[len(mac)-1] != text || strings.Contains(strings.Join(mac[:len(mac)-1], ""), "shell") {
		t.Errorf("%q", mac)
	}
	linux := notifier("linux", "-t", text)
	if i := slices.Index(linux, "--"); i < 0 || linux[i+1] != "-t" || strings.Contains(linux[i+2], "<") {
		t.Errorf("%q", linux)
	}
}
