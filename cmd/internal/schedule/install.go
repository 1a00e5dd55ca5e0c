package schedule

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Install writes the files and tells the system of them; what was there of the
// same job is replaced.
func (j Job) Install(by By, home, config string) error {
	if strings.ContainsAny(j.Program+j.Data, "\n\x00") {
		return fmt.Errorf("a line end in %q or %q: no system takes that", j.Program, j.Data)
	}
	if by == Cron {
		return j.editCrontab(true)
	}
	for _, f := range j.Files(by, home, config) {
		if err := os.MkdirAll(filepath.Dir(f.Path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(f.Path, []byte(f.Text), 0o644); err != nil {
			return err
		}
	}
	if by == Launchd {
		// One that is not loaded can not be unloaded: no error.
		_ = run("launchctl", "bootout", j.domain()+"/"+j.label())
		return run("launchctl", "bootstrap", j.domain(), j.Files(by, home, config)[0].Path)
	}
	if err := run("systemctl", "--user", "daemon-reload"); err != nil {
		return err
	}
	return run("systemctl", "--user", "enable", "--now", j.name()+".timer")
}

// Remove takes it all away; gone says whether there was anything.
func (j Job) Remove(by By, home, config string) (gone bool, err error) {
	if by == Cron {
		before, err := crontab()
		if err != nil || !strings.Contains(before, j.cronMark()) {
			return false, err
		}
		return true, j.editCrontab(false)
	}
	files := j.Files(by, home, config)
	for _, f := range files {
		if _, err := os.Stat(f.Path); err == nil {
			gone = true
		}
	}
	if !gone {
		return false, nil
	}
	if by == Launchd {
		_ = run("launchctl", "bootout", j.domain()+"/"+j.label())
	} else if err := run("systemctl", "--user", "disable", "--now", j.name()+".timer"); err != nil {
		return true, err
	}
	for _, f := range files {
		if err := os.Remove(f.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return true, err
		}
	}
	if by == Systemd {
		return true, run("systemctl", "--user", "daemon-reload")
	}
	return true, nil
}

func (j Job) domain() string { return fmt.Sprintf("gui/%d", os.Getuid()) }

// crontab is the person's crontab, empty where there is none.
func crontab() (string, error) {
	var errs bytes.Buffer
	c := exec.Command("crontab", "-l")
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil && strings.Contains(errs.String(), "no crontab") {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("crontab -l: %w: %s", err, strings.TrimSpace(errs.String()))
	}
	return string(out), nil
}

func (j Job) editCrontab(add bool) error {
	text, err := crontab()
	if err != nil {
		return err
	}
	c := exec.Command("crontab", "-")
	c.Stdin = strings.NewReader(j.inCrontab(text, add))
	return told(c)
}

// inCrontab replaces this job's line in a crontab; every other line stays as
// it is.
func (j Job) inCrontab(text string, add bool) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasSuffix(strings.TrimRight(line, "\n"), j.cronMark()) {
			out.WriteString(line)
		}
	}
	if s := out.String(); s != "" && !strings.HasSuffix(s, "\n") {
		out.WriteString("\n")
	}
	if add {
		out.WriteString(j.cronLine())
	}
	return out.String()
}

func run(name string, args ...string) error { return told(exec.Command(name, args...)) }

// told runs a command; its error says what it said.
func told(c *exec.Cmd) error {
	out, err := c.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(c.Args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
