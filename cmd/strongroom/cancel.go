package main

import (
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"strongroom/cmd/internal/folder"
	"strongroom/protocol/wire"
)

type cancelCmd struct{}

// Run stops what somebody asked the vault for without password and key.
func (c *cancelCmd) Run(s *session) (err error) {
	unlock, err := s.folder.Lock()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	settings, key, err := s.enabledFolder()
	if err != nil {
		return err
	}
	if settings.Way != folder.ByPassword {
		return &usageError{"no vault keeps this backup's key: there is nothing to stop"}
	}
	v, err := vaultAt(settings.Vault)
	if err != nil {
		return err
	}
	was, err := v.Status(s.ctx)
	if err != nil {
		return err
	}
	if was.Pending != nil {
		if _, err := v.Cancel(s.ctx, key); err != nil {
			return err
		}
		s.term.Say("Stopped. The vault's record stays yours. Whoever asked has your account's token: tell your service.")
	} else {
		s.term.Say("Nothing waits: nobody asked the vault to replace or delete your record.")
	}
	return s.term.Event("cancelled", map[string]any{"waited": was.Pending != nil})
}

const askedAlarm = "Somebody without your password and key asked the vault to "

// pendingAlarm says what waits in the vault, empty when nothing does or this
// machine asked for it.
func pendingAlarm(st wire.StatusReport, generation string) string {
	p := st.Pending
	if p == nil || ours(p, generation) {
		return ""
	}
	what := "delete its copy of your key"
	if p.Generation != nil {
		what = "take another key in the place of yours"
	}
	return askedAlarm + what + ". It happens after " + clock(time.UnixMilli(int64(p.AtMillis))) + ". If that was not you, run strongroom cancel: this machine's key stops it."
}

// ours tells whether what waits is this machine's own registration.
func ours(p *wire.Pending, generation string) bool {
	return p.Generation != nil && hex.EncodeToString(p.Generation[:]) == generation
}

// afterMark is the alarm once this backup's mark, a proof of the key, is in
// the vault: it stops what waits.
func afterMark(alarm string, after *wire.StatusReport) string {
	if after == nil || after.Pending != nil || !strings.HasPrefix(alarm, askedAlarm) {
		return alarm
	}
	return "Somebody without your password and key asked the vault to replace or delete your record. This backup, signed by your key, stopped that. Whoever asked has your account's token: tell your service."
}
