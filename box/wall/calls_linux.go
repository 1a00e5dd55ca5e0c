package wall

import (
	"os"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"golang.org/x/sys/unix"
)

// allowedCalls is all that a box that runs may ask of the kernel: what Go's
// runtime needs to schedule, sleep and get memory, and reading and writing of
// descriptors that are open already. Everything else is EPERM. Not here, for
// those who look for it: open, socket, connect, sendmsg (which could pass a
// descriptor), execve, fork, ptrace, process_vm_readv, kill, io_uring, bpf,
// unlink, rename, mount, setns, userfaultfd, perf_event_open.
var allowedCalls = []string{
	"read", "write", "pread64", "pwrite64", "fdatasync", "fsync", "close",
	"epoll_pwait", "epoll_ctl",
	"futex", "nanosleep", "clock_nanosleep", "clock_gettime", "sched_yield", "sched_getaffinity", "getrandom",
	"mmap", "munmap", "mprotect", "madvise", "mincore", "brk",
	"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall",
	"clone", "set_robust_list", "rseq", "tgkill", "getpid", "gettid", "exit", "exit_group",
	"prctl",
}

// namespaces are the flags of clone(2) that would give a thread a world of
// its own.
const namespaces = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC |
	unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET

const prSetVMA = 0x53564d41 // names a mapping: Go's runtime

// conditions are what an allowed call may not be asked for.
func conditions() []seccomp.NameWithConditions {
	deny := func(call string, argument uint32, is seccomp.Operation, value uint64) seccomp.NameWithConditions {
		return seccomp.NameWithConditions{Name: call, Conditions: seccomp.ArgumentConditions{{Argument: argument, Operation: is, Value: value}}}
	}
	return []seccomp.NameWithConditions{
		deny("mmap", 2, seccomp.BitsSet, unix.PROT_EXEC), // no code but the program's
		deny("mprotect", 2, seccomp.BitsSet, unix.PROT_EXEC),
		deny("clone", 0, seccomp.BitsNotSet, unix.CLONE_THREAD), // threads, no processes
		deny("clone", 0, seccomp.BitsSet, namespaces),
		deny("tgkill", 0, seccomp.NotEqual, uint64(os.Getpid())), // signals to itself only
		deny("prctl", 0, seccomp.NotEqual, prSetVMA),
	}
}

// confineCalls loads one filter for each condition and, last, the list.
// The kernel takes the strictest answer of all of them. They are filters of
// their own because in one program the library compares the next call's
// number with the argument that a failed condition left behind: prctl(1)
// would pass as call 1.
func confineCalls() error {
	for _, c := range conditions() {
		if err := load(seccomp.ActionAllow, seccomp.SyscallGroup{Action: seccomp.ActionErrno, NamesWithCondtions: []seccomp.NameWithConditions{c}}); err != nil {
			return err
		}
	}
	return load(seccomp.ActionErrno,
		seccomp.SyscallGroup{Action: seccomp.ActionAllow, Names: allowedCalls},
		// glibc makes threads by clone where clone3 does not exist, and else
		// not at all. Its flags lie in memory, where no filter can look.
		seccomp.SyscallGroup{Action: seccomp.ActionErrno | seccomp.Action(unix.ENOSYS), Names: []string{"clone3"}})
}

// load puts a filter on every thread (TSYNC), those to come included.
func load(otherwise seccomp.Action, groups ...seccomp.SyscallGroup) error {
	return seccomp.LoadFilter(seccomp.Filter{
		Flag:   seccomp.FilterFlagTSync,
		Policy: seccomp.Policy{DefaultAction: otherwise, Syscalls: groups},
	})
}
