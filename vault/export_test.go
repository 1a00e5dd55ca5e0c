package vault

import "strongroom/vault/internal/record"

// Command puts a command to the box that leads as a request would that was
// opened, checked and found good; then hears the outcome when it is committed
// and applied. Channel and OPAQUE are left out.
func (v *Vault) Command(account string, c record.Command, then func(record.Outcome)) {
	v.hold(account, func(h *held) {
		v.propose(h, c, then)
		v.unpin(h)
	})
}
