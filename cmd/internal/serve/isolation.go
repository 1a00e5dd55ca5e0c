package serve

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"

	"strongroom/box"
	"strongroom/box/wall"
	"strongroom/cmd/internal/cell"
	"strongroom/host/node"
	"strongroom/hsm/pkcs11"
	"strongroom/hsm/soft"
	"strongroom/hsm/tpm"
	"strongroom/protocol/bundle"
	"strongroom/protocol/wire"
	"strongroom/vault/hal"
)

// Where the box runs.
const (
	BoxInside  = "inside"  // in this process
	BoxProcess = "process" // in one of its own, behind box/wall
)

// The words of a fleet's document for it.
const (
	isolationNone    = "none"
	isolationProcess = "process"
)

// running is a box, wherever it runs.
type running interface {
	node.Box
	Close()
}

// isolation is what the document of a new fleet says. It says "process" only
// where the box will never run otherwise.
func (c *Config) isolation() (string, error) {
	if c.Box != BoxProcess {
		return isolationNone, nil
	}
	if c.HSM == pkcs11.Kind {
		return "", errProcessToken
	}
	if err := wall.Available(); err != nil {
		return "", fmt.Errorf("%w: --box=%s: %w", ErrUsage, BoxProcess, err)
	}
	return isolationProcess, nil
}

// errProcessToken: a vendor's library asks the kernel for what no list of ours
// knows (spec/wall.md), so the wall is not opened for it.
var errProcessToken = fmt.Errorf("%w: --box=%s runs with --hsm %s or %s, not with %s: the wall would stop the vendor's library. Leave --box out", ErrUsage, BoxProcess, soft.Kind, tpm.Kind, pkcs11.Kind)

// boxOf decides where the box of a fleet runs. A document that promises a
// process is not served by less; one that promises nothing stays as it is,
// also over a box in a process.
func (c *Config) boxOf(f *bundle.Fleet, hsm string) (string, error) {
	switch {
	case c.Box == BoxInside && f.Isolation == isolationProcess:
		return "", fmt.Errorf("%w: --box=%s, this fleet's document promises its clients a box in a process of its own. Leave the flag out", ErrPolicy, BoxInside)
	case c.Box == BoxProcess && hsm == pkcs11.Kind:
		return "", errProcessToken
	case c.Box == BoxProcess && c.WrapHAL != nil:
		return "", fmt.Errorf("%w: an HSM of this process with a box in another", ErrUsage)
	case c.Box != "":
		return c.Box, nil
	case f.Isolation == isolationProcess:
		return BoxProcess, nil
	}
	return BoxInside, nil
}

// fatal ends the program: a write of the records failed, so what is on the
// disk is not known until the next start. What was acknowledged is in the log.
func (c *Config) fatal(err error) {
	c.Log.Error("the vault stops at once; nothing that was acknowledged is lost. See to the disk and start again", "error", err)
	os.Exit(1)
}

// openBox opens log and records through the box, which refuses what was
// changed, cut or put back.
func (s *Server) openBox(c *Config, document []byte) error {
	island, err := os.ReadFile(s.folder.vault(islandName))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	where, err := c.boxOf(s.Fleet, s.kind())
	if err != nil {
		return err
	}
	if err := os.Mkdir(s.folder.vault(recordsName), 0o700); err != nil && !errors.Is(err, os.ErrExist) { // First light had none
		return err
	}
	if s.disk, err = node.OpenStore(s.folder.vault(logName), s.folder.vault(recordsName), c.fatal); err != nil {
		return err
	}
	s.disk.OnSync(s.metrics.observeSync)
	if where == BoxProcess {
		return s.openProcess(c, wire.Start{Document: document, Island: island, Workers: uint16(c.Workers), Replacements: s.replacements()})
	}
	return s.openInside(c, document, island)
}

func (s *Server) openInside(c *Config, document, island []byte) (err error) {
	if s.hal, s.Beside, err = s.folder.openHSM(c, s.kind()); err != nil {
		return err
	}
	b, err := box.Open(box.Config{
		HAL: s.hal, Rand: rand.Reader, Document: document, Island: island,
		Disk: s.disk, Workers: c.Workers, Replacements: s.replacements(),
	})
	if err != nil {
		return refused(err)
	}
	s.box = b
	return nil
}

// openProcess starts the box's process. The passphrase goes over its pipe,
// and this process forgets its copy.
func (s *Server) openProcess(c *Config, start wire.Start) (err error) {
	if start.HSM, s.Beside, err = s.folder.namedHSM(c, s.kind()); err != nil {
		return err
	}
	command := c.BoxCommand
	if command == nil {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		command = []string{self, cell.Command}
	}
	b, err := node.StartProcess(command, start, s.disk)
	var fault *node.BoxFault
	if errors.As(err, &fault) {
		return named(fault, s.kind())
	}
	if err != nil {
		return err
	}
	s.box, s.Walls, s.BoxPID = b, b.Walls(), b.PID()
	s.log.Info("the box runs in a process of its own", "process", s.BoxPID, "walls", s.Walls, "isolation", s.Fleet.Isolation)
	return nil
}

// named gives a fault the name and the way out that it has in one process.
func named(fault *node.BoxFault, kind string) error {
	switch fault.Fault {
	case wire.FaultSecret:
		if kind == tpm.Kind {
			return tpmFault(fmt.Errorf("%w: %w", hal.ErrSecret, fault))
		}
		return wrongPassphrase(fault)
	case wire.FaultLog:
		return refused(fault)
	case wire.FaultHSM:
		return fmt.Errorf("%w: %w", ErrDamaged, fault)
	case wire.FaultWall:
		return fmt.Errorf("%w: --box=%s: %w", ErrUsage, BoxProcess, fault)
	}
	return fault
}

func refused(err error) error {
	return fmt.Errorf("%w: %w. Nothing was changed; put the whole folder back as it last served, or find who changed it", ErrDamaged, err)
}

func wrongPassphrase(err error) error {
	return fmt.Errorf("%w is wrong. Nothing was changed; give the one that this vault was made with (STRONGROOM_PASSPHRASE or --passphrase-file): %w", ErrPassphrase, err)
}
