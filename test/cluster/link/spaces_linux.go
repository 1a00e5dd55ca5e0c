package link

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Names of what is made begin so and hold the process's id, so that a later
// run takes down what a dead one left. An interface's name has at most 15
// characters.
const (
	prefix    = "srt"
	lockFile  = "/run/strongroom-link.lock" // making and clearing exclude each other
	table     = "strongroom"
	faceFirst = 101 // last byte of the first box's face; hosts begin at 1
	gate      = 254 // of the bridge
)

// spaces are network namespaces on one bridge, whose own side is the host's.
type spaces struct {
	id    string // "srt4711x1"
	boxes int
	net   string // first three bytes of every address
}

// missing says why this process can not make namespaces, "" if it can.
func missing() string {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err.Error()
	}
	_, rest, _ := bytes.Cut(status, []byte("CapEff:"))
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	effective, err := strconv.ParseUint(string(bytes.TrimSpace(line)), 16, 64)
	if err != nil {
		return "its capabilities are not known"
	}
	for bit, name := range map[int]string{unix.CAP_NET_ADMIN: "CAP_NET_ADMIN", unix.CAP_SYS_ADMIN: "CAP_SYS_ADMIN"} {
		if effective>>bit&1 == 0 {
			return "this process lacks " + name
		}
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return "" // an error, with what installs it
	}
	probe := fmt.Sprintf("%s%dprobe", prefix, os.Getpid())
	if tool("", "ip", "netns", "add", probe) != nil || tool("", "ip", "netns", "del", probe) != nil {
		return "namespaces are refused here"
	}
	return ""
}

func newSpaces(boxes int) (s *spaces, err error) {
	unlock, err := lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	clear(func(pid int) bool { return !lives(pid) })
	s = &spaces{id: fmt.Sprintf("%s%dx%d", prefix, os.Getpid(), serial.Add(1)), boxes: boxes}
	if s.net, err = freeNet(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.down()
		}
	}()
	if err := ip("link", "add", s.id, "type", "bridge"); err != nil {
		return nil, err
	}
	if err := ip("link", "set", s.id, "up"); err != nil {
		return nil, err
	}
	if err := ip("addr", "add", fmt.Sprintf("%s.%d/24", s.net, gate), "dev", s.id); err != nil {
		return nil, err
	}
	for box := range boxes {
		if err := s.add(box); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// add makes a box's namespace, and its face on the bridge.
func (s *spaces) add(box int) error {
	name, outer, inner := s.name(box), s.name(box), "eth0"
	for _, args := range [][]string{
		{"netns", "add", name},
		{"link", "add", outer, "type", "veth", "peer", "name", inner, "netns", name},
		{"link", "set", outer, "master", s.id, "up"},
		{"-n", name, "addr", "add", s.host(box) + "/24", "dev", inner},
		{"-n", name, "link", "set", inner, "up"},
		{"-n", name, "link", "set", "lo", "up"},
		{"addr", "add", s.face(box) + "/32", "dev", s.id},
	} {
		if err := ip(args...); err != nil {
			return err
		}
	}
	return s.nft(box, fmt.Sprintf(`table ip %[1]s {
		set away { type ipv4_addr; }
		chain in { type filter hook input priority 0; ip saddr @away drop; }
		chain out { type filter hook output priority 0; ip daddr @away drop; }
	}`, table))
}

func (s *spaces) name(box int) string { return fmt.Sprintf("%s-%d", s.id, box) }
func (s *spaces) host(box int) string { return fmt.Sprintf("%s.%d", s.net, 1+box) }
func (s *spaces) face(box int) string { return fmt.Sprintf("%s.%d", s.net, faceFirst+box) }

// part has each of two boxes drop the other's packets.
func (s *spaces) part(a, b int) error {
	for _, p := range []pair{{a, b}, {b, a}} {
		if err := s.nft(p.from, fmt.Sprintf("add element ip %s away { %s }", table, s.face(p.to))); err != nil {
			return err
		}
	}
	return nil
}

func (s *spaces) heal() error {
	for box := range s.boxes {
		if err := s.nft(box, fmt.Sprintf("flush set ip %s away", table)); err != nil {
			return err
		}
	}
	return nil
}

func (s *spaces) nft(box int, rules string) error {
	return tool(rules, "ip", "netns", "exec", s.name(box), "nft", "-f", "-")
}

func (s *spaces) close() error {
	unlock, err := lock()
	if err != nil {
		return err
	}
	defer unlock()
	return s.down()
}

func (s *spaces) down() error {
	var errs []error
	for box := range s.boxes {
		errs = append(errs, remove(s.name(box)))
	}
	return errors.Join(append(errs, ip("link", "del", s.id))...)
}

// remove ends a namespace and what runs in it. Its interface goes with it.
func remove(name string) error {
	if _, err := os.Stat(filepath.Join("/run/netns", name)); err != nil {
		return nil
	}
	if out, err := exec.Command("ip", "netns", "pids", name).Output(); err == nil {
		for _, f := range strings.Fields(string(out)) {
			if pid, err := strconv.Atoi(f); err == nil && pid > 1 {
				_ = unix.Kill(pid, unix.SIGKILL)
			}
		}
	}
	return ip("netns", "del", name)
}

var made = regexp.MustCompile(`^` + prefix + `([0-9]+)(x[0-9]+(-[0-9]+)?|probe)$`)

// clear takes down what the processes left that dead names.
func clear(dead func(pid int) bool) {
	left := func(name string) bool {
		m := made.FindStringSubmatch(name)
		if m == nil {
			return false
		}
		pid, err := strconv.Atoi(m[1])
		return err == nil && dead(pid)
	}
	spaces, _ := os.ReadDir("/run/netns")
	for _, f := range spaces {
		if left(f.Name()) {
			_ = remove(f.Name())
		}
	}
	links, _ := net.Interfaces()
	for _, l := range links {
		if left(l.Name) {
			_ = ip("link", "del", l.Name)
		}
	}
}

func lives(pid int) bool { return !errors.Is(unix.Kill(pid, 0), unix.ESRCH) }

// freeNet finds a /24 that no interface of this machine has.
func freeNet() (string, error) {
	taken := map[string]bool{}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return "", err
	}
	for _, a := range addresses {
		text := a.String()
		taken[text[:max(0, strings.LastIndexByte(text, '.'))]] = true
	}
	for i := range 256 {
		if n := fmt.Sprintf("10.213.%d", (os.Getpid()+i)%256); !taken[n] {
			return n, nil
		}
	}
	return "", errors.New("link: all of 10.213.0.0/16 is taken")
}

func lock() (unlock func(), err error) {
	f, err := os.OpenFile(lockFile, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

func ip(args ...string) error { return tool("", "ip", args...) }
