package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"strongroom/client"
	"strongroom/cmd/internal/ceremony"
	"strongroom/cmd/internal/serve"
	"strongroom/hsm/soft"
	"strongroom/protocol/bundle"
	"strongroom/protocol/wire"
)

// fleet is an island of real processes, made by a real ceremony.
type fleet struct {
	t      *testing.T
	folder string
	plan   *ceremony.Plan
	boxes  map[string]*running // by name
	wrong  int                 // attempts of anna's so far
	pin    string
}

// running is one process.
type running struct {
	cmd        *exec.Cmd
	url, admin string
	ended      chan struct{}
}

func (f *fleet) at(name string) string { return filepath.Join(f.folder, name) }

// ownAddress is a loopback address that no other test listens at.
func ownAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", fmt.Sprintf("127.78.%d.%d:0", os.Getpid()>>8&255, os.Getpid()&255|1))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func foundFleet(t *testing.T, names ...string) *fleet {
	t.Helper()
	f := &fleet{t: t, folder: t.TempDir(), boxes: map[string]*running{}}
	plan := ceremony.Plan{Quorum: 2, Rules: ceremony.Rules{Waits: serve.WaitsNone}}
	plan.Custodians = makeCustodians(t, f.folder, "anna", "ben", "carla")
	for _, name := range names {
		plan.Boxes = append(plan.Boxes, ceremony.PlanBox{Name: name, Address: ownAddress(t)})
	}
	text, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	writeAll(t, f.at("plan.json"), text)
	if f.plan, text, err = ceremony.ReadPlan(f.at("plan.json")); err != nil {
		t.Fatal(err)
	}
	r, err := ceremony.Hold(f.plan, text, ceremony.Options{Out: f.at("ceremony"), Stretch: soft.Cheap})
	if err != nil {
		t.Fatal(err)
	}
	f.pin = r.Transcript.Body.Pin
	return f
}

// start starts the box of a data folder, as a process, and waits until it says
// that it serves.
func (f *fleet) start(name string) {
	f.t.Helper()
	cmd := exec.Command(os.Args[0], "serve", "--existing", "--data", f.at(name), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--log-format", "json",
		"--account-per-second", "1000", "--account-burst", "1000", "--address-per-second", "1000", "--address-burst", "1000")
	cmd.Env = append(os.Environ(), childEnv+"=1", "GOCOVERDIR="+f.t.TempDir())
	said, err := cmd.StderrPipe()
	if err != nil {
		f.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	r := &running{cmd: cmd, ended: make(chan struct{})}
	serving, words := make(chan struct{}), ""
	go func() {
		for lines := bufio.NewScanner(said); lines.Scan(); {
			var line struct{ Msg, URL, Admin string }
			if r.url == "" && json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "serving" {
				r.url, r.admin = line.URL, line.Admin
				close(serving)
			} else if r.url == "" {
				words += lines.Text() + "\n"
			}
		}
		_ = cmd.Wait()
		close(r.ended)
	}()
	select {
	case <-serving:
	case <-r.ended:
		f.t.Fatalf("%s ended before it served: %s", name, words)
	}
	f.boxes[name] = r
	f.t.Cleanup(func() { f.end(name, syscall.SIGKILL) })
}

// end ends a process, and waits for it.
func (f *fleet) end(name string, how syscall.Signal) {
	if r := f.boxes[name]; r != nil {
		delete(f.boxes, name)
		_ = r.cmd.Process.Signal(how)
		<-r.ended
	}
}

// admins are the addresses of boxes, as flags.
func (f *fleet) admins(names ...string) (flags []string) {
	for _, name := range names {
		flags = append(flags, "--admin", f.boxes[name].admin)
	}
	return flags
}

// coldStart has the custodians start the island with these boxes.
func (f *fleet) coldStart(order string, names ...string) {
	f.t.Helper()
	admins := f.admins(names...)
	ran(f.t, 0, append([]string{"coldstart", "show", "--out", f.at(order)}, admins...)...)
	for _, custodian := range []string{"anna", "carla"} {
		ran(f.t, 0, "custodian", "sign", f.at(order), "--key", f.at(custodian+".key"))
	}
	var out, err bytes.Buffer
	code := run(append([]string{"coldstart", "send", f.at(order)}, admins...), streams{&out, &err})
	if code != 0 && !strings.Contains(err.String(), "no box leads") { // within half a minute, of a busy machine; the test waits longer
		f.t.Fatalf("%s%s", &out, &err)
	}
}

func (f *fleet) client(name string) *client.Vault {
	f.t.Helper()
	tokens, err := serve.IssueTokens(f.at(f.plan.Boxes[0].Name), "anna", time.Hour, time.Now())
	if err != nil {
		f.t.Fatal(err)
	}
	pin, err := bundle.ParsePin(f.pin)
	if err != nil {
		f.t.Fatal(err)
	}
	return &client.Vault{
		URL: f.boxes[name].url, Pin: pin, Account: "anna", Tokens: client.Tokens(tokens),
		Stretch: wire.Stretch{Time: 1, MemoryKiB: 64, Threads: 1}, Backoff: 10 * time.Millisecond,
	}
}

// guess makes a wrong attempt at a box until one is answered. It is charged once,
// whatever befell the island before; one that nobody answered may be charged too.
func (f *fleet) guess(name string) {
	f.t.Helper()
	unanswered := 0
	f.until("an attempt is answered", func() bool {
		wrong := &client.ErrWrongPassword{}
		if _, _, err := f.client(name).Recover(f.t.Context(), "a wrong password"); !errors.As(err, &wrong) {
			f.t.Logf("at %s: %v", name, err)
			unanswered++
			return false
		}
		f.wrong++
		if now := 10 - wrong.AttemptsLeft; now < f.wrong || now > f.wrong+unanswered {
			f.t.Fatalf("%d wrong attempts are charged, and %d were answered, %d not", now, f.wrong, unanswered)
		}
		f.wrong = 10 - wrong.AttemptsLeft
		return true
	})
}

func (f *fleet) until(what string, true func() bool) {
	f.t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); !true(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			for name := range f.boxes {
				said, _ := json.Marshal(f.status(name))
				f.t.Logf("%s: %s", name, said)
			}
			f.t.Fatalf("never: %s", what)
		}
	}
}

func (f *fleet) status(name string) (s serve.Status) {
	answer, err := http.Get(f.boxes[name].admin + "/status")
	if err != nil {
		f.t.Fatal(err)
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(&s); err != nil {
		f.t.Fatal(err)
	}
	return s
}

// role is what a box says of itself.
func (f *fleet) role(name string) (role string, heard int) {
	for _, b := range f.status(name).Boxes {
		if b.Self {
			role = b.Role
		} else if b.Heard {
			heard++
		}
	}
	return role, heard
}

// takePart waits until a box votes, and hears so many others.
func (f *fleet) takePart(name string, others int) {
	f.t.Helper()
	f.until(name+" takes part", func() bool {
		role, heard := f.role(name)
		return (role == "follower" || role == "leader") && heard == others
	})
}

// A box's folder, HSM and all, is lost for good, and another takes its place by
// the commands. The island serves throughout, with a minority down; the lost box,
// found again, is nobody; and after all were down the new one counts.
func TestReplacedBox(t *testing.T) {
	f := foundFleet(t, "amber", "birch", "cedar", "dogwood", "elm")
	for _, b := range f.plan.Boxes {
		f.start(b.Name)
	}
	f.coldStart("first.json", "amber", "birch", "cedar", "dogwood", "elm")
	for _, b := range f.plan.Boxes {
		f.takePart(b.Name, 4) // who has no vote yet can not be lost without loss
	}
	payload := client.Payload{Key: client.NewKey(), RepositoryID: []byte("0123456789abcdef"), RepositoryURL: "file:/srv/backup"}
	if _, err := f.client("amber").Register(t.Context(), "the right password", payload); err != nil {
		t.Fatal(err)
	}
	f.guess("amber")

	f.end("birch", syscall.SIGKILL)
	if err := os.Rename(f.at("birch"), f.at("found")); err != nil {
		t.Fatal(err)
	}
	f.end("elm", syscall.SIGKILL) // and another is down meanwhile
	f.guess("cedar")
	replace := func(want int, flags ...string) string {
		return ran(t, want, append([]string{"ceremony", "replace", f.at("ceremony/transcript.json"), "--name", "birch2", "--data", f.at("birch2"),
			"--address", ownAddress(t), "--island", f.at("cedar/vault/island.json")}, flags...)...)
	}
	quorum := []string{"--custodian-key", f.at("ben.key"), "--custodian-key", f.at("anna.key")}
	replace(exitUsage, append(quorum, "--lost", "bich")...)
	replace(exitDamaged, append(quorum[:2:2], "--lost", "birch")...)
	if _, err := os.Lstat(f.at("birch2/vault")); err == nil {
		t.Fatal("one custodian of two made a box")
	}
	replace(0, append(quorum, "--lost", "birch")...)
	replace(exitUsage, append(quorum, "--lost", "birch")...) // it is there
	f.guess("dogwood")

	admit := []string{"ceremony", "admit", f.at("ceremony/birch2.island.json")}
	if said := ran(t, exitFailed, append(append(admit, "--admin", "127.0.0.1:1"), f.admins("amber", "cedar", "dogwood")...)...); strings.Count(said, "knows the new box") != 3 {
		t.Fatal(said)
	}
	f.start("birch2")
	f.takePart("birch2", 3)
	f.end("cedar", syscall.SIGKILL)
	f.guess("amber") // by a majority of which the new box is one

	// One that was down says that it was not told.
	f.start("elm")
	f.until("elm says that it does not know the new box", func() bool { return strings.Contains(f.status("elm").Warning, "ceremony admit") })
	ran(t, 0, append(admit, f.admins("elm", "amber")...)...)
	f.start("cedar")
	for _, name := range []string{"amber", "birch2", "cedar", "dogwood", "elm"} {
		f.takePart(name, 4)
	}

	// The lost one is found.
	f.start("found")
	f.until("the lost box knocks", func() bool { return f.status("amber").Refused["stranger"] > 0 })
	f.guess("elm")
	if role, heard := f.role("found"); role != "none" || heard != 0 {
		t.Fatalf("the lost box is a %s that hears %d others", role, heard)
	}
	if said := ran(t, exitFailed, append(admit, f.admins("found")...)...); !strings.Contains(said, "Turn it off") {
		t.Fatal(said)
	}

	for _, name := range []string{"amber", "birch2", "cedar", "dogwood", "elm"} {
		f.end(name, syscall.SIGKILL)
	}
	for _, name := range []string{"amber", "birch2", "dogwood"} {
		f.start(name)
	}
	if said := ran(t, exitDamaged, append([]string{"coldstart", "show", "--out", f.at("wrong.json")}, f.admins("amber", "found", "dogwood")...)...); !strings.Contains(said, "another one took its place") {
		t.Fatal(said)
	}
	f.end("found", syscall.SIGKILL)
	f.coldStart("second.json", "amber", "birch2", "dogwood")
	f.guess("birch2")
	if p, _, err := f.client("birch2").Recover(t.Context(), "the right password"); err != nil || p.Key != payload.Key {
		t.Fatalf("at the new box: %v", err)
	}
}
