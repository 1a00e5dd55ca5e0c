package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"strongroom/cmd/internal/terminal"
	"strongroom/store"
	"strongroom/store/contract"
)

// tidyTimeMax bounds the cleaning after a check that was cancelled.
const tidyTimeMax = time.Minute

type storeCmd struct {
	Check storeCheckCmd `cmd:"" help:"Run the contract of a storage on yours: puts, reads, lists and deletes in a fresh folder there, then cleans up."`
}

type storeCheckCmd struct {
	URL  string `arg:"" help:"The storage, as for --repo."`
	Full bool   `help:"As long as our own tests: 2,100 objects in one listing, longer races. Minutes on a cloud."`
}

// storeCheck is one run of the contract on a person's own storage.
type storeCheck struct {
	*session
	url    string // of the fresh folder
	scale  contract.Scale
	traits store.Traits
	table  terminal.Table
	passed int
	failed []string // what failed, a line each
}

func (c *storeCheckCmd) Run(s *session) (err error) {
	url, err := repositoryURL(c.URL)
	if err != nil {
		return err
	}
	k := &storeCheck{session: s, scale: contract.Short, url: strings.TrimSuffix(url, "/") + "/strongroom-check-" + strings.ToLower(rand.Text()[:12])}
	if strings.HasSuffix(url, ":") { // the top of a remote
		k.url = url + k.url[strings.LastIndexByte(k.url, '/')+1:]
	}
	if c.Full {
		k.scale = contract.Whole
	}
	if err := k.reach(); err != nil {
		return err
	}
	for _, check := range contract.Checks {
		if err := k.run(check); err != nil {
			return errors.Join(err, k.clean(k.url))
		}
	}
	if err := k.clean(k.url); err != nil {
		k.failed = append(k.failed, err.Error())
	}
	return k.tell(url)
}

// reach says at once what would make every check fail.
func (k *storeCheck) reach() error {
	s, err := k.openStore(k.url)
	if err != nil {
		return err
	}
	k.term.Note("Trying %s", k.url)
	err = s.Put(k.ctx, "reach", []byte("strongroom store check"))
	if err == nil {
		k.traits, err = store.TraitsOf(k.ctx, s)
	}
	if err != nil {
		_ = k.clean(k.url) // says nothing new
		return &storageError{err}
	}
	return nil
}

func (k *storeCheck) run(check contract.Check) error {
	url, begun := k.url+"/"+strings.ToLower(check.Name), time.Now()
	failures := check.Run(k.ctx, k.scale, func() (store.Store, error) { return k.openStore(url) })
	if err := k.ctx.Err(); err != nil {
		return err
	}
	took := time.Since(begun)
	if err := k.clean(url); err != nil {
		failures = append(failures, "cleaning up: "+err.Error())
	}
	result := "ok"
	if len(failures) > 0 {
		result = "FAILED"
	} else {
		k.passed++
	}
	k.table.Row(result, check.Name, terminal.Duration(took), check.Promise)
	for _, f := range failures {
		k.failed = append(k.failed, check.Name+": "+f)
	}
	k.term.Note("  %-6s  %s", result, check.Promise)
	return k.term.Event("contract", map[string]any{"check": check.Name, "promise": check.Promise, "passed": len(failures) == 0, "failures": failures, "seconds": took.Seconds()})
}

// clean takes away what a check left, even if the check was cancelled.
func (k *storeCheck) clean(url string) error {
	s, err := k.openStore(url)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(k.ctx), tidyTimeMax)
	defer cancel()
	for info, err := range s.List(ctx, "") {
		if err != nil {
			return fmt.Errorf("what is left lies in %s: %w", url, err)
		}
		if err := s.Delete(ctx, info.Name); err != nil {
			return fmt.Errorf("what is left lies in %s: %w", url, err)
		}
	}
	return store.Sweep(ctx, s)
}

func (k *storeCheck) tell(url string) error {
	k.term.Say("%s", k.table.String())
	for _, f := range k.failed {
		k.term.Say("  FAILED  %s", terminal.Line(f))
	}
	for _, line := range k.means() {
		k.term.Para("  ", line)
	}
	if err := k.term.Event("storeCheck", map[string]any{
		"storage": url, "passed": k.passed, "checks": len(contract.Checks), "failures": k.failed, "conditionalWrites": k.traits.Conditional,
		"versions": k.traits.Versions, "objectLock": k.traits.Locked}); err != nil {
		return err
	}
	if len(k.failed) > 0 {
		return &storyError{story{exitFailure, "contract", fmt.Sprintf("%s does not keep what a backup needs: see what FAILED above.", url),
			"nothing: only a fresh folder was written, and it was taken away.", "choose another storage, or ask whoever runs this one.", nil}}
	}
	k.term.Say("%s keeps the whole contract: a backup is safe there.", url)
	return nil
}

// means says what the storage's traits mean for a backup.
func (k *storeCheck) means() []string {
	out := []string{"Conditional writes: yes. Of two devices that write one name at once the storage itself stops one."}
	if !k.traits.Conditional {
		out[0] = "Conditional writes: no. Two devices at once are safe nevertheless: packs, lists and manifests have random names, each device writes " +
			"its own chain of heads, and a new repository is read back before it is used. Only a copied data folder, used on two machines in the same moment, is stopped by the storage's help alone."
	}
	switch {
	case k.traits.Locked:
		out = append(out, "Object lock: yes. Nobody can destroy your backup before its time, you included: what forget and prune delete takes room until the lock ends and a lifecycle rule removes it.")
	case k.traits.Versions:
		out = append(out, "Old versions: kept. What is deleted goes on taking room until a lifecycle rule, or the trash, removes it.")
	}
	return out
}
