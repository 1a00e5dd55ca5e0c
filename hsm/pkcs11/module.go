//go:build pkcs11 && cgo

package pkcs11

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"

	p11 "github.com/miekg/pkcs11"

	"strongroom/vault/hal"
)

// A library is started once a process, whatever number of tokens is open.
var (
	modulesLock sync.Mutex
	modules     = map[string]*module{} // by path, under modulesLock
)

type module struct {
	path string
	ctx  *p11.Ctx

	users int           // under modulesLock
	slots map[uint]bool // open in this process, under modulesLock
}

// loadModule starts the library, or takes the one that runs.
func loadModule(path string) (*module, error) {
	path = filepath.Clean(path)
	modulesLock.Lock()
	defer modulesLock.Unlock()
	if m := modules[path]; m != nil {
		m.users++
		return m, nil
	}
	ctx := p11.New(path)
	if ctx == nil {
		return nil, fmt.Errorf("%w: %q is no PKCS#11 library of this machine", ErrModule, path)
	}
	if err := answered("C_Initialize", ctx.Initialize()); err != nil {
		ctx.Destroy()
		return nil, fmt.Errorf("%w: %w", ErrModule, err)
	}
	m := &module{path: path, ctx: ctx, users: 1, slots: map[uint]bool{}}
	modules[path] = m
	return m, nil
}

// release stops the library after its last user.
func (m *module) release() error {
	modulesLock.Lock()
	defer modulesLock.Unlock()
	m.users--
	if m.users > 0 {
		return nil
	}
	delete(modules, m.path)
	err := m.ctx.Finalize()
	m.ctx.Destroy()
	return answered("C_Finalize", err)
}

// take reserves a slot for one HSM: login belongs to the whole process, and a
// second opening would be let in without its PIN being looked at.
func (m *module) take(slot uint) error {
	modulesLock.Lock()
	defer modulesLock.Unlock()
	if m.slots[slot] {
		return ErrInUse
	}
	m.slots[slot] = true
	return nil
}

func (m *module) give(slot uint) {
	modulesLock.Lock()
	defer modulesLock.Unlock()
	delete(m.slots, slot)
}

// find gives the slot of the token that a configuration names.
func (m *module) find(c Config) (uint, error) {
	slots, err := m.ctx.GetSlotList(true)
	if err != nil {
		return 0, answered("C_GetSlotList", err)
	}
	var found []uint
	var labels []string
	for _, slot := range slots {
		info, err := m.ctx.GetTokenInfo(slot)
		if err != nil || info.Flags&p11.CKF_TOKEN_INITIALIZED == 0 {
			continue
		}
		label := strings.TrimRight(info.Label, " \x00")
		labels = append(labels, fmt.Sprintf("%q", label))
		if (c.Slot == nil || *c.Slot == slot) && (c.Token == "" || c.Token == label) {
			found = append(found, slot)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return 0, fmt.Errorf("%w: %d tokens are labelled %q; give the slot too", ErrToken, len(found), c.Token)
	case len(labels) == 0:
		return 0, fmt.Errorf("%w: the module shows no initialised token; plug it in, or make one with the vendor's tool: %w", ErrToken, hal.ErrGone)
	}
	return 0, fmt.Errorf("%w: %s; the module shows %s: %w", ErrToken, c.asked(), strings.Join(labels, ", "), hal.ErrGone)
}

func (c Config) asked() string {
	if c.Slot == nil {
		return fmt.Sprintf("label %q", c.Token)
	}
	return fmt.Sprintf("slot %d, label %q", *c.Slot, c.Token)
}
