//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"strongroom/hsm/pkcs11"
	"strongroom/hsm/soft"
	"strongroom/hsm/tpm"
	"strongroom/vault/hal"
)

const (
	callFor   = 150 * time.Millisecond
	callTimes = 20 // at least
	callTakes = 3

	sealedBytes = 600 // a record's
	memoryBytes = 57  // an anchor's
)

// call is one of the HSM's, on one thread: what it takes of wall time, which
// for a TPM or the disk is mostly waiting, and of this process's CPU.
type call struct {
	name, provider string
	wall, cpu      float64 // us, medians
	logins         string  // how many of them a login needs
}

// measureCalls makes another HSM of the same kind, for the vault's is its own.
func (b *bench) measureCalls(ctx context.Context, name string) error {
	dir := filepath.Join(b.dir, name+"-calls")
	p, err := newProvider(name, dir, b.options)
	if err != nil {
		return err
	}
	defer p.close()
	h, err := p.create(dir)
	if err != nil {
		return err
	}
	defer h.Close()
	work, err := callsOf(h)
	if err != nil {
		return err
	}
	for _, w := range work {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c := call{name: w.name, provider: name, logins: w.logins}
		if c.wall, c.cpu, err = callCost(w.do); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		b.calls = append(b.calls, c)
	}
	return nil
}

// create makes the HSM in this process.
func (p provider) create(dir string) (hal.HAL, error) {
	for _, variable := range p.env {
		name, value, _ := strings.Cut(variable, "=")
		if err := os.Setenv(name, value); err != nil {
			return nil, err
		}
	}
	switch p.name {
	case pkcs11.Kind:
		module, err := softHSM()
		if err != nil {
			return nil, err
		}
		return pkcs11.Create(pkcs11.Config{Module: module, Token: tokenLabel, PIN: pkcs11.PINEnv(pinVariable)})
	case tpm.Kind:
		folder := filepath.Join(dir, "hsm")
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return nil, err
		}
		return tpm.Create(folder, tpm.Options{Path: p.socket})
	}
	return soft.Create(dir, []byte(pin), soft.Cheap)
}

type work struct {
	name   string
	logins string
	do     func() error
}

// callsOf are the calls of a vault's life, the logins' first.
func callsOf(h hal.HAL) ([]work, error) {
	wrapped, point, err := h.MakeOPRFKey(hal.P256)
	if err != nil {
		return nil, err
	}
	if _, err := h.MakeKey("load", hal.P256); err != nil {
		return nil, err
	}
	place, plain := []byte("place"), make([]byte, sealedBytes)
	sealed, err := h.Seal(place, plain)
	if err != nil {
		return nil, err
	}
	return []work{
		{"MultiplyWrapped (OPRF)", "1", func() error { _, err := h.MultiplyWrapped(hal.P256, wrapped, point); return err }},
		{"Multiply (AKE)", "1", func() error { _, err := h.Multiply("load", point); return err }},
		{"MultiplyX (channel)", "1", func() error { _, err := h.MultiplyX("load", point); return err }},
		{"WriteMemory (anchor)", "at most 2", func() error { return h.WriteMemory(make([]byte, memoryBytes)) }},
		{"MakeOPRFKey", "", func() error { _, _, err := h.MakeOPRFKey(hal.P256); return err }},
		{"Seal, 600 bytes", "", func() error { _, err := h.Seal(place, plain); return err }},
		{"Open, 600 bytes", "", func() error { _, err := h.Open(place, sealed); return err }},
		{"Random, 32 bytes", "", func() error { return h.Random(make([]byte, 32)) }},
	}, nil
}

func callCost(do func() error) (wall, cpu float64, err error) {
	var walls, cpus []float64
	for range callTakes {
		before := usage(unix.RUSAGE_SELF)
		start, n := time.Now(), 0
		for n < callTimes || time.Since(start) < callFor {
			if err := do(); err != nil {
				return 0, 0, err
			}
			n++
		}
		took, used := time.Since(start), usage(unix.RUSAGE_SELF)-before
		walls = append(walls, float64(took.Nanoseconds())/1e3/float64(n))
		cpus = append(cpus, float64(used.Nanoseconds())/1e3/float64(n))
	}
	slices.Sort(walls)
	slices.Sort(cpus)
	return walls[callTakes/2], cpus[callTakes/2], nil
}
