//go:build !linux

package tpm

import (
	"errors"
	"os"
)

var errDevice = errors.New("a TPM's device is known on Linux only; give a unix socket")

func openDevice(string) (*os.File, error) { return nil, errDevice }

func lockDevice(*os.File, uint32) error { return errDevice }
