//go:build unix

package main

import (
	"os/exec"
	"syscall"
)

// ownGroup lets a binary be stopped with all that it started.
func ownGroup(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

func killGroup(c *exec.Cmd) { _ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
