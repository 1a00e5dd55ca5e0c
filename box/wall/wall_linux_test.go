package wall

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The confined process is this test's own binary: it goes behind the wall,
// tries everything of probes and tells how each went.
const probeWord = "probe"

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == probeWord {
		if err := probe(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// told is what the confined process tells.
type told struct {
	Walls       []string
	Tried       map[string]string // the error, "" where it went through
	Environment []string
	Descriptors []string // before the wall, after Enter
}

func probe(own string) error {
	if err := Enter(); err != nil {
		return err
	}
	var r told
	r.Environment = os.Environ()
	found, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, f := range found {
		if to, err := os.Readlink("/proc/self/fd/" + f.Name()); err == nil {
			r.Descriptors = append(r.Descriptors, to)
		}
	}
	kept, err := os.OpenFile(filepath.Join(own, "kept"), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if r.Walls, err = Confine(); err != nil {
		return err
	}
	r.Tried = map[string]string{}
	for name, try := range probes(own, kept) {
		r.Tried[name] = onEveryThread(try)
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// onEveryThread tries on a few threads at once, some of them new: a filter
// that holds for the first one only is no wall. It tells the mildest answer.
func onEveryThread(try func() error) string {
	var all sync.WaitGroup
	answers := make([]string, 4)
	for i := range answers {
		all.Go(func() {
			runtime.LockOSThread() // the thread ends with this goroutine
			if err := try(); err != nil {
				answers[i] = err.Error()
			}
		})
	}
	all.Wait()
	for _, a := range answers {
		if a == "" {
			return ""
		}
	}
	return answers[0]
}

func call(trap, a, b, c uintptr) error {
	if _, _, errno := syscall.RawSyscall(trap, a, b, c); errno != 0 {
		return errno
	}
	return nil
}

func socket(domain, kind int) func() error {
	return func() error { _, err := unix.Socket(domain, kind, 0); return err }
}

func open(path string, flags int) func() error {
	return func() error { _, err := unix.Open(path, flags, 0o600); return err }
}

// probes is everything that must fail, and by whose rule.
func probes(own string, kept *os.File) map[string]func() error {
	at := filepath.Join(own, "kept")
	return map[string]func() error{
		"socket AF_INET":       socket(unix.AF_INET, unix.SOCK_STREAM),
		"socket AF_INET UDP":   socket(unix.AF_INET, unix.SOCK_DGRAM),
		"socket AF_INET MPTCP": func() error { _, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP); return err },
		"socket AF_INET6":      socket(unix.AF_INET6, unix.SOCK_STREAM),
		"socket AF_INET RAW":   socket(unix.AF_INET, unix.SOCK_RAW),
		"socket AF_PACKET":     socket(unix.AF_PACKET, unix.SOCK_RAW),
		"socket AF_UNIX":       socket(unix.AF_UNIX, unix.SOCK_STREAM),
		"socket AF_NETLINK":    socket(unix.AF_NETLINK, unix.SOCK_RAW),
		"socket AF_VSOCK":      socket(unix.AF_VSOCK, unix.SOCK_STREAM),
		"socket AF_ALG":        socket(unix.AF_ALG, unix.SOCK_SEQPACKET),
		"socketpair":           func() error { _, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0); return err },

		"read /etc/passwd": open("/etc/passwd", unix.O_RDONLY),
		"read own folder":  open(at, unix.O_RDONLY),
		"write own folder": open(at, unix.O_WRONLY),
		"make in folder":   open(filepath.Join(own, "new"), unix.O_WRONLY|unix.O_CREAT),
		"open by openat2":  func() error { _, err := unix.Openat2(unix.AT_FDCWD, at, &unix.OpenHow{}); return err },
		"list /":           open("/", unix.O_RDONLY|unix.O_DIRECTORY),
		"O_PATH /":         open("/", unix.O_PATH),
		"O_TMPFILE":        open(own, unix.O_TMPFILE|unix.O_RDWR),
		"open /proc/self":  open("/proc/self/mem", unix.O_RDWR),
		"memfd":            func() error { _, err := unix.MemfdCreate("x", 0); return err },
		"pipe":             func() error { return unix.Pipe2(make([]int, 2), 0) },
		"dup":              func() error { _, err := unix.Dup(int(kept.Fd())); return err },
		"eventfd":          func() error { _, err := unix.Eventfd(0, 0); return err },
		"epoll":            func() error { _, err := unix.EpollCreate1(0); return err },
		"userfaultfd":      func() error { return call(unix.SYS_USERFAULTFD, 0, 0, 0) },
		"io_uring":         func() error { return call(unix.SYS_IO_URING_SETUP, 1, 0, 0) },
		"bpf":              func() error { return call(unix.SYS_BPF, 0, 0, 0) },
		"perf":             func() error { return call(unix.SYS_PERF_EVENT_OPEN, 0, 0, 0) },
		"unlink":           func() error { return unix.Unlink(at) },
		"rename":           func() error { return unix.Rename(at, at+"2") },
		"mkdir":            func() error { return unix.Mkdir(filepath.Join(own, "d"), 0o700) },
		"chmod":            func() error { return unix.Chmod(at, 0o777) },
		"truncate":         func() error { return unix.Truncate(at, 0) },
		"stat":             func() error { var s unix.Stat_t; return unix.Stat(at, &s) },
		"chdir":            func() error { return unix.Chdir(own) },
		"chroot":           func() error { return unix.Chroot(own) },
		"mount":            func() error { return unix.Mount("x", own, "tmpfs", 0, "") },
		"unshare":          func() error { return call(unix.SYS_UNSHARE, unix.CLONE_NEWUSER, 0, 0) },
		"setns":            func() error { return call(unix.SYS_SETNS, kept.Fd(), 0, 0) },
		"inotify":          func() error { _, err := unix.InotifyInit1(0); return err },

		"exec":   func() error { return unix.Exec("/bin/true", []string{"true"}, nil) },
		"execat": func() error { return call(unix.SYS_EXECVEAT, kept.Fd(), 0, 0) },
		// A child of clone would run on with Go's runtime in pieces: it is
		// ended at once, and its existence told by the parent's nil.
		"fork": func() error {
			pid, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
			if errno != 0 {
				return errno
			}
			if pid == 0 {
				syscall.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
			}
			return nil
		},
		"clone3":            func() error { return call(unix.SYS_CLONE3, 0, 0, 0) },
		"ptrace":            func() error { return call(unix.SYS_PTRACE, unix.PTRACE_ATTACH, uintptr(os.Getppid()), 0) },
		"ptrace traceme":    func() error { return call(unix.SYS_PTRACE, unix.PTRACE_TRACEME, 0, 0) },
		"read its parent":   func() error { return call(unix.SYS_PROCESS_VM_READV, uintptr(os.Getppid()), 0, 0) },
		"pidfd":             func() error { _, err := unix.PidfdOpen(os.Getppid(), 0); return err },
		"signal its parent": func() error { return unix.Kill(os.Getppid(), 0) },
		"tgkill its parent": func() error { return call(unix.SYS_TGKILL, uintptr(parent), uintptr(parent), 0) },
		"keyctl":            func() error { return call(unix.SYS_KEYCTL, 0, 0, 0) },

		"executable memory": func() error {
			_, _, errno := syscall.RawSyscall6(unix.SYS_MMAP, 0, 4096, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS, ^uintptr(0), 0)
			return errnoOrNil(errno)
		},
		"executable later": func() error {
			b := make([]byte, 8192)
			page := (uintptr(unsafe.Pointer(&b[0])) + 4095) &^ 4095
			return call(unix.SYS_MPROTECT, page, 4096, unix.PROT_READ|unix.PROT_EXEC)
		},
		"dumpable again":    func() error { return call(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 1, 0) },
		"prctl as call 1":   func() error { return call(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, 0, 0) },
		"raise descriptors": func() error { return unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 64, Max: 64}) },
		"setuid":            func() error { return call(unix.SYS_SETUID, 0, 0, 0) },
		"capset":            func() error { return call(unix.SYS_CAPSET, 0, 0, 0) },
		"ioctl":             func() error { return call(unix.SYS_IOCTL, 0, unix.TIOCSTI, 0) },
		"fcntl dup":         func() error { return call(unix.SYS_FCNTL, kept.Fd(), unix.F_DUPFD, 0) },
		"sendmsg":           func() error { return call(unix.SYS_SENDMSG, 1, 0, 0) },
		"recvmsg":           func() error { return call(unix.SYS_RECVMSG, 0, 0, 0) },
	}
}

var parent = os.Getppid()

func errnoOrNil(errno syscall.Errno) error {
	if errno != 0 {
		return errno
	}
	return nil
}

// TestNothingGetsThrough: behind the wall each of the probes fails, and by
// the filter (EPERM), on old threads and new ones. In front of it, most of
// them work: so it is the wall that stops them.
func TestNothingGetsThrough(t *testing.T) {
	r, own := confined(t)
	for name, err := range r.Tried {
		want := unix.EPERM.Error()
		if name == "clone3" {
			want = unix.ENOSYS.Error()
		}
		if err != want {
			t.Errorf("%s: %q", name, err)
		}
	}
	if len(r.Tried) < 50 {
		t.Fatalf("only %d probes were tried", len(r.Tried))
	}
	if b, err := os.ReadFile(filepath.Join(own, "kept")); err != nil || string(b) != "kept" {
		t.Fatalf("its file: %q, %v", b, err)
	}
	for _, want := range []string{"no new privileges", "no capability", "not dumpable", "no core dump", "no new descriptor", "seccomp"} {
		if !strings.Contains(strings.Join(r.Walls, "\n"), want) {
			t.Errorf("%q is not told of: %q", want, r.Walls)
		}
	}
	t.Logf("the kernel gave: %s", strings.Join(r.Walls, ", "))
}

// confined runs the probes behind the wall.
func confined(t *testing.T) (told, string) {
	t.Helper()
	own := t.TempDir()
	if err := os.WriteFile(filepath.Join(own, "kept"), []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	leaked, err := os.Open("/etc/passwd") // a descriptor that the node did not mean to give
	if err != nil {
		t.Fatal(err)
	}
	defer leaked.Close()
	command := exec.Command(os.Args[0], probeWord, own)
	command.ExtraFiles = []*os.File{leaked}
	command.Env = append(os.Environ(), "SOME_SECRET=canary")
	var stderr strings.Builder
	command.Stderr = &stderr
	out, err := command.Output()
	var r told
	if err := errors.Join(err, json.Unmarshal(out, &r)); err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	return r, own
}

// What was inherited is gone: environment and descriptors.
func TestNothingIsInherited(t *testing.T) {
	r, _ := confined(t)
	for _, set := range r.Environment {
		if strings.Contains(set, "canary") {
			t.Errorf("the environment holds %s", set)
		}
	}
	if len(r.Descriptors) < 3 {
		t.Fatalf("descriptors were not read: %q", r.Descriptors)
	}
	for _, to := range r.Descriptors {
		if strings.Contains(to, "passwd") {
			t.Errorf("an inherited descriptor is open: %s", to)
		}
	}
}

// In front of the wall the everyday ones of the probes go through: a probe
// that fails everywhere would prove nothing.
func TestProbesWorkOutside(t *testing.T) {
	own := t.TempDir()
	if err := os.WriteFile(filepath.Join(own, "kept"), []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	kept, err := os.Open(filepath.Join(own, "kept"))
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	all := probes(own, kept)
	for _, name := range []string{
		"socket AF_INET", "socket AF_UNIX", "socket AF_NETLINK", "socketpair", "read /etc/passwd", "write own folder", "make in folder",
		"list /", "memfd", "pipe", "dup", "epoll", "stat", "fork", "executable memory", "dumpable again", "prctl as call 1",
	} {
		if err := all[name](); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
