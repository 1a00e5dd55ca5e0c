// Package schedule has the system run a backup again and again: by a systemd
// user timer, a launchd agent or a line for cron.
package schedule

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// Errors of a person.
var (
	ErrWhen   = errors.New("when is daily, hourly, or a time of day like 21:30")
	ErrSystem = errors.New("found neither systemd for users, nor launchd, nor cron")
)

// By is who runs it.
type By string

// Systems that run things.
const (
	Systemd By = "systemd"
	Launchd By = "launchd"
	Cron    By = "cron"
)

// When says how often: every hour, or every day at a time.
type When struct {
	Hourly       bool
	Hour, Minute int
	About        time.Duration // a random delay up to this, so that not all the world's machines come at once
}

// Times of day and delays.
const (
	dailyHour   = 12 // when most machines are on; a missed run is caught up
	dailyAbout  = time.Hour
	hourlyAbout = 10 * time.Minute
	atAbout     = 5 * time.Minute
	// olderThan is how old the last good backup must be for a daily run by
	// cron to start: it looks every hour, which catches up what was missed.
	olderThan = 20 * time.Hour
)

// ParseWhen reads daily, hourly or 21:30.
func ParseWhen(s string) (When, error) {
	switch s {
	case "daily":
		return When{Hour: dailyHour, About: dailyAbout}, nil
	case "hourly":
		return When{Hourly: true, About: hourlyAbout}, nil
	}
	t, err := time.Parse("15:04", s)
	if err != nil {
		return When{}, fmt.Errorf("%w, not %q", ErrWhen, s)
	}
	return When{Hour: t.Hour(), Minute: t.Minute(), About: atAbout}, nil
}

// String says it in words.
func (w When) String() string {
	if w.Hourly {
		return "every hour"
	}
	return fmt.Sprintf("every day at %02d:%02d", w.Hour, w.Minute)
}

// Job is one data folder's backup.
type Job struct {
	Program string // full path
	Data    string // full path
	Default bool   // Data is the default folder
	When    When
}

// File is what a system reads.
type File struct {
	Path string // full; empty for a line of the crontab
	Text string
}

// name tells jobs of several data folders apart.
func (j Job) name() string {
	if j.Default {
		return "strongroom-backup"
	}
	sum := sha256.Sum256([]byte(j.Data))
	return "strongroom-backup-" + hex.EncodeToString(sum[:4])
}

func (j Job) args(more ...string) []string {
	return append([]string{j.Program, "--data", j.Data, "backup", "--scheduled"}, more...)
}

// Files gives what has to be written for a system; home is the person's.
func (j Job) Files(by By, home, config string) []File {
	switch by {
	case Systemd:
		dir := filepath.Join(config, "systemd", "user")
		return []File{
			{filepath.Join(dir, j.name()+".service"), j.service()},
			{filepath.Join(dir, j.name()+".timer"), j.timer()},
		}
	case Launchd:
		return []File{{filepath.Join(home, "Library", "LaunchAgents", j.label()+".plist"), j.plist()}}
	}
	return []File{{"", j.cronLine()}}
}

// service is a systemd unit, systemd.service(5).
func (j Job) service() string {
	var quoted []string
	for _, a := range j.args() {
		quoted = append(quoted, systemdQuote(a))
	}
	return `[Unit]
Description=Strongroom backup

[Service]
Type=oneshot
ExecStart=` + strings.Join(quoted, " ") + `
Nice=10
IOSchedulingClass=idle
`
}

// timer is a systemd timer, systemd.timer(5). Persistent: a run that was missed
// while the machine was off is made up for.
func (j Job) timer() string {
	calendar := "hourly"
	if !j.When.Hourly {
		calendar = fmt.Sprintf("*-*-* %02d:%02d:00", j.When.Hour, j.When.Minute)
	}
	return fmt.Sprintf(`[Unit]
Description=Strongroom backup, %s

[Timer]
OnCalendar=%s
RandomizedDelaySec=%d
Persistent=true

[Install]
WantedBy=timers.target
`, j.When, calendar, int(j.When.About.Seconds()))
}

// systemdQuote writes one word of a command line, systemd.syntax(7). Attack: a
// folder whose name holds a quote, a line end, a % or a $.
func systemdQuote(s string) string {
	s = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`, "%", "%%", "$", "$$").Replace(s)
	return `"` + s + `"`
}

func (j Job) label() string { return strings.ReplaceAll(j.name(), "-", ".") }

// plist is a launchd agent, launchd.plist(5). A run that was missed while the
// machine slept is made up for; launchd knows no random delay, so the program
// waits.
func (j Job) plist() string {
	var args strings.Builder
	for _, a := range j.args("--delay", j.When.About.String()) {
		args.WriteString("\t\t<string>" + xmlText(a) + "</string>\n")
	}
	hour := fmt.Sprintf("\t\t<key>Hour</key>\n\t\t<integer>%d</integer>\n", j.When.Hour)
	if j.When.Hourly {
		hour = ""
	}
	return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>Label</key>
	<string>` + j.label() + `</string>
	<key>ProgramArguments</key>
	<array>
` + args.String() + `	</array>
	<key>StartCalendarInterval</key>
	<dict>
` + hour + "\t\t<key>Minute</key>\n\t\t<integer>" + strconv.Itoa(j.When.Minute) + `</integer>
	</dict>
	<key>ProcessType</key>
	<string>Background</string>
	<key>LowPriorityIO</key>
	<true/>
</dict>
</plist>
`
}

var xmlEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

func xmlText(s string) string { return xmlEscapes.Replace(s) }

// cronMark ends a line of ours in a crontab.
const cronMark = "# strongroom: "

func (j Job) cronMark() string { return cronMark + j.name() }

// cronLine is a line of crontab(5). Cron catches nothing up, so it looks every
// hour from the time on, and the program starts only if it is time.
func (j Job) cronLine() string {
	when, more := fmt.Sprintf("%d * * * *", j.When.Minute), []string{"--delay", j.When.About.String()}
	if !j.When.Hourly {
		when = fmt.Sprintf("%d %d-23 * * *", j.When.Minute, j.When.Hour)
		more = append(more, "--if-older", olderThan.String())
	}
	var quoted []string
	for _, a := range j.args(more...) {
		quoted = append(quoted, "'"+strings.ReplaceAll(a, "'", `'\''`)+"'")
	}
	// In a crontab % is a line end, unless it has a backslash.
	return when + " " + strings.ReplaceAll(strings.Join(quoted, " "), "%", `\%`) + " " + j.cronMark() + "\n"
}

// Find tells what runs things on this system.
func Find() (By, error) {
	if runtime.GOOS == "darwin" {
		return Launchd, nil
	}
	if exec.Command("systemctl", "--user", "show-environment").Run() == nil {
		return Systemd, nil
	}
	if _, err := exec.LookPath("crontab"); err == nil {
		return Cron, nil
	}
	return "", ErrSystem
}
