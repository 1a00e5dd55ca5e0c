//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"strongroom/hsm/pkcs11"
	"strongroom/hsm/soft"
	"strongroom/hsm/tpm"
)

const (
	tokenLabel  = "load"
	pin         = "1234-load"
	pinVariable = "STRONGROOM_PIN"
	officerPIN  = "5678-load"
)

func procsMax() int { return runtime.NumCPU() }

// provider is an HSM for a vault, and what strongroomd is told of it.
type provider struct {
	name    string
	program string
	flags   []string
	env     []string
	socket  string // of a TPM
	close   func()
}

// logins is how many a round has: what is slow gets fewer.
func (p provider) logins(asked int) int {
	switch p.name {
	case tpm.Kind:
		return max(1, asked/10)
	case pkcs11.Kind:
		return max(1, asked/4)
	}
	return asked
}

func newProvider(name, dir string, o options) (provider, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return provider{}, err
	}
	p := provider{name: name, program: o.strongroomd, close: func() {}}
	switch name {
	case soft.Kind:
		return p, nil
	case pkcs11.Kind:
		p.program = o.tokens
		return p, p.initToken(dir)
	case tpm.Kind:
		return p, p.startTPM(dir)
	}
	return p, errors.New("no such provider: soft, pkcs11 or tpm")
}

// initToken makes a SoftHSM2 token as an operator does.
func (p *provider) initToken(dir string) error {
	tokens, settings := filepath.Join(dir, "tokens"), filepath.Join(dir, "softhsm2.conf")
	if err := os.MkdirAll(tokens, 0o700); err != nil {
		return err
	}
	text := fmt.Sprintf("directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n", tokens)
	if err := os.WriteFile(settings, []byte(text), 0o600); err != nil {
		return err
	}
	p.env = []string{"SOFTHSM2_CONF=" + settings, pinVariable + "=" + pin}
	cmd := exec.Command("softhsm2-util", "--init-token", "--free", "--label", tokenLabel, "--pin", pin, "--so-pin", officerPIN)
	cmd.Env = append(os.Environ(), p.env...)
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("softhsm2-util: %w: %s (.ci/hsm installs it)", err, bytes.TrimSpace(said))
	}
	module, err := softHSM()
	p.flags = []string{"--hsm", pkcs11.Kind, "--pkcs11-module", module, "--pkcs11-token", tokenLabel}
	return err
}

func softHSM() (string, error) {
	for _, path := range []string{"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so", "/usr/local/lib/softhsm/libsofthsm2.so"} {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", errors.New("SoftHSM2 is not installed: run .ci/hsm")
}

// startTPM starts an empty TPM in software.
func (p *provider) startTPM(dir string) error {
	state, socket := filepath.Join(dir, "state"), filepath.Join(dir, "tpm")
	if err := os.MkdirAll(state, 0o700); err != nil {
		return err
	}
	cmd := exec.Command("swtpm", "socket", "--tpm2", "--tpmstate", "dir="+state, "--server", "type=unixio,path="+socket, "--flags", "not-need-init,startup-clear")
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%w (.ci/tpm installs swtpm)", err)
	}
	p.close = func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
	p.socket, p.flags = socket, []string{"--hsm", tpm.Kind, "--tpm-path", socket}
	for range 1000 {
		if c, err := net.Dial("unix", socket); err == nil {
			return c.Close()
		}
		time.Sleep(10 * time.Millisecond)
	}
	p.close()
	return errors.New("swtpm does not open its socket")
}
