package serve

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"strongroom/cmd/internal/feed"
	"strongroom/host/alert"
	"strongroom/protocol/bundle"
)

// In the vault's folder (folder.go).
const (
	alertKeyName = "alert.key"
	alertsName   = "alerts"
)

// AlertKeyNone makes a fleet whose vault tells the operator of no account.
const AlertKeyNone = "none"

// Alerts says where the alerts of accounts go.
type Alerts struct {
	Key        string // when the fleet is made: file with the operator's public key; "" makes a pair, AlertKeyNone no alerts
	PrivateKey string // file; "" is the one in the data folder
	Webhook    string // address; "" for none
	TokenFile  string // file with the webhook's bearer token
}

// check refuses what would tell nobody, before anything is made.
func (a *Alerts) check() error {
	if a.Webhook == "" {
		return nil
	}
	if a.Key == AlertKeyNone {
		return fmt.Errorf("%w: --alert-webhook with --alert-key %s: %w", ErrUsage, AlertKeyNone, feed.ErrNone)
	}
	if err := feed.CheckURL(a.Webhook); err != nil {
		return fmt.Errorf("%w: --alert-webhook: %w", ErrUsage, err)
	}
	_, err := a.token()
	return err
}

// alerts keeps the alerts of the server's box, and tells them.
type alerts struct {
	spool   *alert.Spool
	webhook *feed.Webhook // nil for none
	stop    context.CancelFunc
	running sync.WaitGroup
}

// found gives the public half for a new fleet's document.
func (a *Alerts) found(at string) ([]byte, error) {
	switch a.Key {
	case AlertKeyNone:
		return nil, nil
	case "":
		private, public, err := feed.MakeKey()
		if err != nil {
			return nil, err
		}
		if err := WriteDurable(filepath.Join(at, alertKeyName), private); err != nil {
			return nil, err
		}
		return feed.ReadPublic(public)
	}
	return a.given()
}

func (a *Alerts) given() ([]byte, error) {
	text, err := os.ReadFile(a.Key)
	if err != nil {
		return nil, fmt.Errorf("%w: --alert-key: %w", ErrUsage, err)
	}
	public, err := feed.ReadPublic(text)
	if err != nil {
		return nil, fmt.Errorf("%w: --alert-key %s: %w. strongroomd alert-key makes one", ErrUsage, a.Key, err)
	}
	return public, nil
}

// sameFleet refuses another key than the fleet's.
func (a *Alerts) sameFleet(f *bundle.Fleet) error {
	if a.Key == "" {
		return nil
	}
	var asked []byte
	if a.Key != AlertKeyNone {
		var err error
		if asked, err = a.given(); err != nil {
			return err
		}
	}
	if string(asked) != string(f.Alert) {
		return fmt.Errorf("%w: --alert-key gives another key than this fleet was made with. Leave the flag out, or make a new fleet in another data folder", ErrPolicy)
	}
	return nil
}

// openAlerts opens the spool of a fleet with an alert key, and the webhook.
func (s *Server) openAlerts(c *Config) error {
	if len(s.Fleet.Alert) == 0 {
		if c.Alerts.Webhook != "" {
			return fmt.Errorf("%w: --alert-webhook: %w. A new fleet has one", ErrUsage, feed.ErrNone)
		}
		return nil
	}
	dir := s.folder.vault(alertsName)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	spool, err := alert.Open(alert.Config{Dir: dir, Log: s.log})
	if err != nil {
		return err
	}
	s.alerts = &alerts{spool: spool, stop: func() {}}
	s.metrics.watchSpool(spool)
	if c.Alerts.Webhook == "" {
		return nil
	}
	return s.openWebhook(c, dir)
}

func (s *Server) openWebhook(c *Config, dir string) error {
	token, err := c.Alerts.token()
	if err != nil {
		return err
	}
	if _, err := AlertSource(s.Data, c.Alerts.PrivateKey, 0); err != nil {
		return err
	}
	s.alerts.webhook, err = feed.NewWebhook(feed.WebhookConfig{
		URL: c.Alerts.Webhook, Token: token, Dir: dir, Spool: s.alerts.spool, Log: s.log,
		Source: func(after uint64) *feed.Source {
			source, err := AlertSource(s.Data, c.Alerts.PrivateKey, after)
			if err != nil {
				panic(err) // it opened a moment ago
			}
			return source
		},
	})
	if err != nil {
		return fmt.Errorf("%w: --alert-webhook: %w", ErrUsage, err)
	}
	s.metrics.watchWebhook(s.alerts.webhook)
	var ctx context.Context
	ctx, s.alerts.stop = context.WithCancel(context.Background())
	s.alerts.running.Go(func() { s.alerts.webhook.Run(ctx) })
	return nil
}

func (a *Alerts) token() (string, error) {
	if a.TokenFile == "" {
		return "", nil
	}
	text, err := os.ReadFile(a.TokenFile)
	if err != nil {
		return "", fmt.Errorf("%w: --alert-token-file: %w", ErrUsage, err)
	}
	return strings.TrimSpace(string(text)), nil
}

// close ends the webhook, then the spool: what it holds is told at the next
// start.
func (a *alerts) close() {
	a.stop()
	a.running.Wait()
	a.spool.Close()
}

// AlertSource opens the alerts of a data folder, also while serve runs: those
// after a message's number. Key is the private key's file, "" the folder's.
func AlertSource(data, key string, after uint64) (*feed.Source, error) {
	_, fleet, err := ReadFleet(data)
	if err != nil {
		return nil, err
	}
	if key == "" {
		key = inVault(data, alertKeyName)
	}
	reader, err := feed.OpenKey(key, fleet)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: the alert key's private half is not in %s. Give its file (--alert-private-key)", ErrUsage, key)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	return feed.NewSource(inVault(data, alertsName), after, reader, fleet.ID), nil
}
