package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"strongroom/cmd/internal/feed"
	"strongroom/cmd/internal/serve"
)

// followEvery is how often --follow looks for new alerts.
const followEvery = 500 * time.Millisecond

type alertsCommand struct {
	dataFlag
	AlertPrivateKey string `help:"File with the private half of the alert key, if it is not in the data folder." env:"STRONGROOM_ALERT_PRIVATE_KEY" placeholder:"FILE"`
	After           uint64 `help:"Only messages after this number (the field message of the last line that you have)." placeholder:"NUMBER"`
	Follow          bool   `help:"Go on as alerts come."`
}

// Help is shown by alerts --help.
func (*alertsCommand) Help() string {
	return `Prints one JSON object a line: every attempt, recovery, registration, reset, deletion and destruction, with the account, the vault's time and the attempts left. The data folder keeps the newest of them; serve --alert-webhook brings them to you. Events of one message have one message number.

Examples:

  strongroomd alerts --follow
  strongroomd alerts --after 1041 | jq 'select(.event == "destroyed")'`
}

// alertLine is an event with where to go on.
type alertLine struct {
	Message uint64 `json:"message"`
	feed.Event
}

func (c *alertsCommand) Run(s streams) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	source, err := serve.AlertSource(c.Data, c.AlertPrivateKey, c.After)
	if err != nil {
		return err
	}
	defer source.Close()
	missed := source.Missed()
	lines := json.NewEncoder(s.out)
	for ctx.Err() == nil {
		events, number, found, err := source.Next()
		if err != nil {
			return err
		}
		if now := source.Missed() + source.Unread(); now > missed {
			fmt.Fprintf(s.err, "strongroomd: %d messages are not there any more, or do not open\n", now-missed)
			missed = now
		}
		for _, e := range events {
			if err := lines.Encode(alertLine{number, e}); err != nil {
				return err
			}
		}
		if found {
			continue
		}
		if !c.Follow {
			return nil
		}
		select {
		case <-time.After(followEvery):
		case <-ctx.Done():
		}
	}
	return nil
}

type alertKeyCommand struct {
	File string `arg:"" help:"Where the private half goes; the public half goes to FILE.pub." type:"path"`
}

// Help is shown by alert-key --help.
func (*alertKeyCommand) Help() string {
	return `A vault seals its alerts to the public half before its host sees them. Keep the private half where you read alerts.

Example:

  strongroomd alert-key alert.key
  strongroomd serve --alert-key alert.key.pub`
}

func (c *alertKeyCommand) Run(s streams) error {
	private, public, err := feed.MakeKey()
	if err != nil {
		return err
	}
	if err := writeNew(c.File, private, 0o600); err != nil {
		return err
	}
	if err := writeNew(c.File+".pub", public, 0o644); err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "%s holds the private half, %s.pub the public one.\n", c.File, c.File)
	return err
}

// writeNew replaces nothing.
func writeNew(path string, b []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}
