package wall

import (
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"github.com/landlock-lsm/go-landlock/landlock"
	landlocksys "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/psx"
)

// keptVariables is what Go's runtime reads again while it runs.
var keptVariables = []string{"GODEBUG", "GOMAXPROCS", "GOTRACEBACK"}

// Enter is called first of all: it leaves folder, environment and inherited
// descriptors behind, all but the pipe (0 and 1) and the last words (2).
func Enter() error {
	// A fault's message is enough; a dump of stacks could hold secrets, and
	// it would go to the node.
	debug.SetTraceback("none")
	for _, set := range os.Environ() {
		name, _, _ := strings.Cut(set, "=")
		if !slices.Contains(keptVariables, name) {
			os.Unsetenv(name)
		}
	}
	if err := os.Chdir("/"); err != nil {
		return fmt.Errorf("%w: %w", ErrWall, err)
	}
	if err := closeInherited(); err != nil {
		return fmt.Errorf("%w: closing inherited descriptors: %w", ErrWall, err)
	}
	// The node holds the other end: when it dies, so does the box.
	return prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL))
}

// closeInherited closes everything above 2 but Go's own poller.
func closeInherited() error {
	found, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, f := range found {
		n, err := strconv.Atoi(f.Name())
		if err != nil || n <= 2 {
			continue
		}
		to, err := os.Readlink("/proc/self/fd/" + f.Name())
		if err != nil {
			continue // the folder that was read, closed by now
		}
		if to != "anon_inode:[eventpoll]" && to != "anon_inode:[eventfd]" {
			_ = unix.Close(n)
		}
	}
	return nil
}

// Confine builds the wall and says what the kernel gave. Without seccomp and
// the limit of descriptors it answers ErrWall; Landlock comes on top where
// the kernel has it.
func Confine() (walls []string, err error) {
	time.Sleep(time.Microsecond) // Go's poller has its descriptors before there are none
	steps := []struct {
		name string
		do   func() error
	}{
		// The first three visit every thread, which with cgo needs /proc: so
		// they come before what takes files away.
		{"no new privileges", func() error { return everyThread(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0) }},
		{"no capability", dropCapabilities},
		{landlockName(), confineLandlock},
		{"not dumpable", func() error { return prctl(unix.PR_SET_DUMPABLE, 0) }},
		{"no core dump", func() error { return limit(unix.RLIMIT_CORE) }},
		{"no new descriptor", func() error { return limit(unix.RLIMIT_NOFILE) }},
		{fmt.Sprintf("seccomp (%d system calls)", len(allowedCalls)), confineCalls},
	}
	for _, s := range steps {
		if err := s.do(); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrWall, s.name, err)
		}
		if !strings.HasPrefix(s.name, "no Landlock") {
			walls = append(walls, s.name)
		}
	}
	return walls, nil
}

// landlockName names the ABI that this kernel has (Documentation/userspace-api/landlock.rst).
func landlockName() string {
	abi, err := landlocksys.LandlockGetABIVersion()
	if err != nil || abi < 1 {
		return "no Landlock"
	}
	return fmt.Sprintf("Landlock ABI %d", abi)
}

// confineLandlock handles every right that kernel and library know, and
// grants none of them: no file, no TCP, no abstract socket, no signal out.
func confineLandlock() error { return landlock.V11.BestEffort().Restrict() }

// limit sets a limit to zero, which only a capability could raise again.
func limit(resource int) error { return unix.Setrlimit(resource, &unix.Rlimit{}) }

// dropCapabilities leaves a box that runs as root with none of root's powers
// but the ownership of files, which it can not open.
func dropCapabilities() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	return capset(&header, &none)
}

// everyThread makes a system call on each thread: prctl and capset change the
// calling one only, and Go moves between them.
func everyThread(call, a, b, c uintptr) error {
	if _, _, errno := psx.Syscall6(call, a, b, c, 0, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

func prctl(option int, value uintptr) error { return unix.Prctl(option, value, 0, 0, 0) }

// Available answers ErrWall where Confine would fail, without doing anything.
func Available() error {
	if !seccomp.Supported() {
		return fmt.Errorf("%w: its kernel has no seccomp", ErrWall)
	}
	return nil
}
