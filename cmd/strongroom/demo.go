package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"strongroom/cmd/internal/demostore"
	"strongroom/cmd/internal/folder"
	"strongroom/cmd/internal/terminal"
)

type demoCmd struct {
	Path string `arg:"" optional:"" help:"Use this folder with a messaging store of yours instead of a made-up one (--data does the same). It is only read; somebody may write to it meanwhile." type:"existingdir"`
	Size int    `help:"Size of the made-up store, in megabytes." default:"80" placeholder:"MB"`
	Seed uint64 `help:"What the made-up store is drawn from." default:"1"`
	Keep bool   `help:"Leave everything in place afterwards, to look at."`
}

// Limits of the made-up store, in megabytes.
const (
	demoMegabytesMin = 5
	demoMegabytesMax = 20_000
)

const (
	demoPassword = "four quiet otters under the bridge"
	demoAccount  = "demo"
)

var demoWrong = []string{"four quiet otters under the fridge", "Sommer2026-und-so"}

// demo is one run of the demonstration. All of it lies under dir.
type demo struct {
	*session
	cmd    *demoCmd
	dir    string
	phone  string // the folder that is protected
	repo   string
	vault  *demoVault
	store  demostore.Store
	table  terminal.Table
	failed []string

	figures   [][2]string   // the table, for programs
	cpuBefore time.Duration // of the vault, before the new phone
}

func (c *demoCmd) Run(s *session) (err error) {
	if c.Size < demoMegabytesMin || c.Size > demoMegabytesMax {
		return &usageError{fmt.Sprintf("--size must be %d to %d", demoMegabytesMin, demoMegabytesMax)}
	}
	if c.Path == "" && s.data != os.Getenv("STRONGROOM_DATA") {
		if c.Path = s.data; c.Path != "" {
			if info, err := os.Stat(c.Path); err != nil || !info.IsDir() {
				return &usageError{c.Path + " is no folder"}
			}
		}
	}
	dir, err := os.MkdirTemp("", "strongroom-demo-")
	if err != nil {
		return err
	}
	d := &demo{session: s, cmd: c, dir: dir, repo: filepath.Join(dir, "cloud"), phone: c.Path}
	d.table.Right = []bool{false, true}
	if !c.Keep {
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	defer func() { err = errors.Join(err, d.vault.stop()) }()
	s.term.Say("%s", s.term.Strong("STRONGROOM DEMO"))
	s.term.Say("Everything happens in %s; nothing leaves this machine.", dir)
	s.term.Say("Every line that begins with $ is the real command, run as its own process.")
	for _, act := range []func() error{d.prepare, d.enable, d.firstBackup, d.dayLater, d.losePhone, d.wrongPasswords, d.restore, d.compare, d.newPhone, d.tell} {
		if err := act(); err != nil {
			return err
		}
	}
	return nil
}

// act prints a heading.
func (d *demo) act(format string, a ...any) {
	d.term.Say("")
	d.term.Say("%s", d.term.Strong("── "+fmt.Sprintf(format, a...)))
}

// say prints one finding.
func (d *demo) say(format string, a ...any) { d.term.Para("   ", fmt.Sprintf(format, a...)) }

// must notes a promise that did not hold; the demo goes on and fails at its end.
func (d *demo) must(ok bool, format string, a ...any) {
	what := fmt.Sprintf(format, a...)
	if ok {
		d.term.Para("   ✓ ", what)
		return
	}
	d.term.Para("   ✗ ", what)
	d.failed = append(d.failed, what)
}

func (d *demo) measured(what, value string) {
	d.table.Row(what, value)
	d.figures = append(d.figures, [2]string{strings.TrimSpace(what), value})
}

// prepare makes the messaging store, or takes the person's own.
func (d *demo) prepare() (err error) {
	if d.cmd.Path != "" {
		if d.phone, err = filepath.Abs(d.cmd.Path); err != nil {
			return err
		}
		files, bytes, err := count(d.phone)
		if err != nil {
			return err
		}
		d.act("Your own data: %s", d.phone)
		d.say("%s, %s. It is only read.", terminal.Count(files, "file"), terminal.Bytes(bytes))
		d.measured("the store", terminal.Bytes(bytes)+", "+terminal.Count(files, "file"))
	} else if err := d.makeStore(); err != nil {
		return err
	}
	d.vault, err = startVault(d.ctx, filepath.Join(d.dir, "vault"), d.dir)
	return err
}

func (d *demo) makeStore() error {
	d.phone = filepath.Join(d.dir, "phone", "Messenger")
	d.store = demostore.Store{Dir: d.phone, Seed: d.cmd.Seed}
	d.act("A phone with a messenger on it (made up: nobody's messages)")
	size := int64(d.cmd.Size) * 1_000_000
	show, done := d.term.Start("Making messages and photos")
	start := time.Now()
	err := d.store.Make(d.ctx, size, func(n int64) { show(terminal.Progress{BytesDone: n, BytesTotal: size}) })
	done()
	if err != nil {
		return err
	}
	files, bytes, err := count(d.phone)
	if err != nil {
		return err
	}
	d.say("%s in all: a database with a full-text index, and %s of photos, voice notes, videos. Made in %s.",
		terminal.Bytes(bytes), terminal.Count(files-1, "file"), terminal.Duration(time.Since(start)))
	d.measured("the store", terminal.Bytes(bytes)+", "+terminal.Count(files, "file"))
	return nil
}

func (d *demo) enable() error {
	d.act("Protect it with a password")
	r, err := d.run("enable", demoPassword, "--by", "password", "--repo", d.repo, "--vault", d.vault.URL, "--pin", d.vault.Pin,
		"--account", demoAccount, "--tokens", d.vault.tokens)
	if err != nil {
		return err
	}
	d.say("set up in %s. A vault, a process of its own, keeps the key and counts wrong passwords; it knows neither key nor password.", terminal.Duration(r.took))
	d.measured("setting up", terminal.Duration(r.took))
	return r.want(exitOK)
}

func (d *demo) firstBackup() error {
	d.act("First backup, into a folder that stands for your cloud")
	r, err := d.run("backup", "", d.phone)
	if err != nil {
		return err
	}
	b, err := r.backup(exitOK, exitWarnings)
	if err != nil {
		return err
	}
	d.say("%s read, %s sent, in %s.", terminal.Bytes(b.BytesRead), terminal.Bytes(b.BytesSent), terminal.Duration(r.took))
	d.measured("first backup", fmt.Sprintf("%s, %s", terminal.Duration(r.took), terminal.Rate(b.BytesRead, r.took)))
	d.measured("  peak memory", terminal.Bytes(r.memory))
	d.measured("  sent", terminal.Bytes(b.BytesSent))
	return nil
}

// dayLater backs up again: the made-up phone meanwhile goes on writing.
func (d *demo) dayLater() error {
	if d.cmd.Path != "" {
		d.act("Second backup, whoever may be writing")
		return d.secondBackup()
	}
	d.act("A day later: messages, edits, photos. The messenger keeps writing meanwhile")
	if err := d.store.AddDay(d.ctx, 1); err != nil {
		return err
	}
	if err := d.witness(); err != nil {
		return err
	}
	w, err := startWriter(d.ctx, d.store)
	if err != nil {
		return err
	}
	before := w.commits()
	err = d.secondBackup()
	during := w.commits() - before
	if err := errors.Join(err, w.stop()); err != nil {
		return err
	}
	d.must(during > 0, "the messenger committed %s while the backup ran; its longest pause was %s", terminal.Count(int(during), "time"), terminal.Duration(w.pause))
	d.measured("  the messenger's longest pause", terminal.Duration(w.pause))
	return nil
}

func (d *demo) secondBackup() error {
	r, err := d.run("backup", "")
	if err != nil {
		return err
	}
	b, err := r.backup(exitOK, exitWarnings)
	if err != nil {
		return err
	}
	d.say("%s sent, in %s: %s and %s of the database that changed.", terminal.Bytes(b.BytesSent), terminal.Duration(r.took),
		terminal.Count(b.FilesNew, "new file"), terminal.Count(int(b.PagesChanged), "page"))
	d.measured(map[bool]string{true: "a day later", false: "second backup"}[d.cmd.Path == ""], terminal.Duration(r.took))
	d.measured("  sent", terminal.Bytes(b.BytesSent))
	return nil
}

// losePhone takes everything away that was on the phone. The lost phone's
// files are put aside only so that the end can compare.
func (d *demo) losePhone() error {
	if d.cmd.Path == "" {
		d.act("The phone is lost: key, settings and messages are gone")
	} else {
		d.act("As if this machine were lost: its key and settings are deleted (your folder is not touched)")
	}
	lost := filepath.Join(d.dir, "lost")
	if err := os.MkdirAll(lost, 0o700); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(d.dataDir(), "recovery-card.txt"), d.card()); err != nil {
		return err
	}
	key, err := folder.Folder{Path: d.dataDir()}.Key()
	if err != nil {
		return err
	}
	if err := os.RemoveAll(d.dataDir()); err != nil {
		return err
	}
	if d.cmd.Path == "" {
		if err := os.Rename(d.phone, filepath.Join(lost, "Messenger")); err != nil {
			return err
		}
	}
	d.say("What is left: the cloud, the vault, the recovery card, and a password in somebody's head.")
	found, searched, err := searchKey(key, d.repo, filepath.Join(d.dir, "vault"), d.card(), d.vault.tokens)
	d.must(len(found) == 0, "the key stands in none of them: %s searched%s", terminal.Bytes(searched), named(found))
	return err
}

func (d *demo) wrongPasswords() error {
	d.act("A new phone. Somebody tries two wrong passwords first")
	var err error
	if d.cpuBefore, err = d.vault.cpu(); err != nil {
		return err
	}
	for i, wrong := range demoWrong {
		r, err := d.run("restore", wrong, d.restoreArgs()...)
		if err != nil {
			return err
		}
		if err := r.want(exitWrong); err != nil {
			return err
		}
		left, told := r.last("error")["attemptsLeft"].(float64)
		d.must(told && int(left) == 9-i, "refused; the vault says: %d of 10 attempts left", int(left))
	}
	d.measured("wrong passwords tried", strconv.Itoa(len(demoWrong)))
	return nil
}

func (d *demo) restoreArgs() []string {
	return []string{"--card", d.card(), "--tokens", d.vault.tokens, "--to", d.restored()}
}

func (d *demo) restore() error {
	d.act("Then the right one")
	r, err := d.run("restore", demoPassword, d.restoreArgs()...)
	if err != nil {
		return err
	}
	if err := r.want(exitOK, exitWarnings); err != nil {
		return err
	}
	e := r.last("restore")
	bytes, _ := e["bytes"].(float64)
	d.say("%s back in %s.", terminal.Bytes(int64(bytes)), terminal.Duration(r.took))
	d.measured("restore, key recovery included", fmt.Sprintf("%s, %s", terminal.Duration(r.took), terminal.Rate(int64(bytes), r.took)))
	d.measured("  peak memory", terminal.Bytes(r.memory))
	cpu, err := d.vault.cpu()
	if err != nil {
		return err
	}
	d.measured("the vault's CPU for three tries", terminal.Duration(cpu-d.cpuBefore))
	status, err := d.run("status", "")
	if err != nil {
		return err
	}
	vault, _ := status.last("status")["vault"].(map[string]any)
	left, _ := vault["attemptsLeft"].(float64)
	d.must(left == 10, "the right password set the attempts back: %d of 10", int(left))
	d.measured("attempts left afterwards", fmt.Sprint(int(left)))
	return nil
}

// newPhone backs up from the restored folder: what is there already must not
// be sent again. The folder that stands for the cloud is the witness.
func (d *demo) newPhone() error {
	d.act("The next backup from the new phone")
	files, content, err := count(d.restored())
	if err != nil {
		return err
	}
	_, before, err := count(d.repo)
	if err != nil {
		return err
	}
	r, err := d.run("backup", "")
	if err != nil {
		return err
	}
	b, err := r.backup(exitOK, exitWarnings)
	if err != nil {
		return err
	}
	_, after, err := count(d.repo)
	if err != nil {
		return err
	}
	grown := after - before
	d.must(grown < bookkeepingMax(files), "nothing is uploaded again: of %s the cloud grew by %s, the list of files", terminal.Bytes(content), terminal.Bytes(grown))
	d.measured("next backup, sent", terminal.Bytes(b.BytesSent))
	return nil
}

// bookkeepingMax is what a backup without news may add: a manifest and a head
// of fixed size, and the list of files.
func bookkeepingMax(files int) int64 { return 64<<10 + 300*int64(files) }

func (d *demo) tell() error {
	if err := d.vault.stop(); err != nil {
		return err
	}
	d.act("What was measured")
	d.term.Say("%s", d.table.String())
	d.term.Say("")
	if err := d.term.Event("demo", map[string]any{"failed": append([]string{}, d.failed...), "measured": d.figures}); err != nil {
		return err
	}
	if d.cmd.Keep {
		d.term.Say("Everything is left in %s", d.dir)
	}
	if len(d.failed) > 0 {
		return &storyError{story{Code: exitDamage, Kind: "demo", Happened: "the demo found a difference: " + strings.Join(d.failed, "; ")}}
	}
	if d.cmd.Path == "" {
		d.term.Say("All of it came back. Lost: one phone, no message.")
	} else {
		d.term.Say("All of it came back.")
	}
	return nil
}

func (d *demo) dataDir() string  { return filepath.Join(d.dir, "phone", "strongroom") }
func (d *demo) card() string     { return filepath.Join(d.dir, "wallet-card.txt") }
func (d *demo) restored() string { return filepath.Join(d.dir, "new-phone") }
