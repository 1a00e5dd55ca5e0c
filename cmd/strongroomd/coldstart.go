package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"strongroom/cmd/internal/ceremony"
	"strongroom/cmd/internal/serve"
	"strongroom/protocol/bundle"
)

// Limits of asking admin addresses.
const (
	adminBytesMax = 1 << 20
	adminWithin   = 10 * time.Second
	startsWithin  = 30 * time.Second // an island after its order
	startLook     = 200 * time.Millisecond
)

type coldStartCommand struct {
	Show showColdStartCommand `cmd:"" help:"Ask each box what it shows, and write an order for custodians to sign."`
	Send sendColdStartCommand `cmd:"" help:"Send a signed order to each box."`
}

type adminFlag struct {
	Admin []string `help:"Admin address of a box's node; give those of all boxes that are up." required:"" placeholder:"URL"`
}

type showColdStartCommand struct {
	adminFlag
	Out string `help:"Where the order goes." type:"path" default:"coldstart.json" placeholder:"FILE"`
	Pin string `help:"The fleet's pin as you know it." placeholder:"PIN"`
}

// Help is shown by coldstart show --help.
func (*showColdStartCommand) Help() string {
	return `An island that is new, or whose boxes were all down, starts when a quorum of its custodians says so. Start the boxes that there are, as many as can be: what only a box that stays away has is lost.

Example:

  strongroomd coldstart show --admin http://10.0.0.1:8641 --admin http://10.0.0.2:8641 --admin http://10.0.0.3:8641
  strongroomd custodian sign coldstart.json --key anna.key
  strongroomd custodian sign coldstart.json --key ben.key
  strongroomd coldstart send coldstart.json --admin http://10.0.0.1:8641 --admin http://10.0.0.2:8641 --admin http://10.0.0.3:8641`
}

func (c *showColdStartCommand) Run(s streams) error {
	var shown []serve.ColdStart
	for _, admin := range c.Admin {
		one, err := askColdStart(context.Background(), admin)
		if err != nil {
			return err
		}
		if one.Leader != "" {
			return fmt.Errorf("%w: %s says that box %s leads: the island serves, and needs no cold start", serve.ErrUsage, admin, one.Leader)
		}
		shown = append(shown, one)
	}
	order, _, err := ceremony.NewOrder(shown)
	if err != nil {
		return err
	}
	if c.Pin != "" {
		pin, err := bundle.ParsePin(c.Pin)
		if err != nil {
			return err
		}
		if _, err := pin.Check(order.Document); err != nil {
			return err
		}
	}
	text, err := order.Encode()
	if err != nil {
		return err
	}
	if err := writeNew(c.Out, text, 0o644); err != nil {
		return err
	}
	if err := showOrder(s, order); err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "\nThe boxes must not be restarted before it is sent. Next, each custodian:\n\n  strongroomd custodian sign %s --key FILE\n", c.Out)
	return err
}

// showOrder tells custodians what they would sign.
func showOrder(s streams, o *ceremony.Order) error {
	first, err := o.First()
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "A cold start of the fleet %s\n\n", o.Pin)
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "box\tname\tthis start\tlast entry\tof term\t\n")
	for _, b := range o.Boxes {
		mark := ""
		if b.Box == first.String() {
			mark = "starts; the others take its log"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%s\n", b.Box, b.Name, b.Boot, b.Last, b.Term, mark)
	}
	return w.Flush()
}

type sendColdStartCommand struct {
	adminFlag
	Order string `arg:"" help:"The order, signed." type:"existingfile"`
}

func (c *sendColdStartCommand) Run(s streams) error {
	text, err := os.ReadFile(c.Order)
	if err != nil {
		return err
	}
	order, _, err := ceremony.ParseOrder(text)
	if err != nil {
		return err
	}
	signed, err := order.Signed()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startsWithin)
	defer cancel()
	for _, admin := range c.Admin {
		if _, err := askAdmin(ctx, http.MethodPost, admin, serve.OrderPath, signed); err != nil {
			return err
		}
		fmt.Fprintf(s.out, "%s took the order\n", admin)
	}
	return c.waitForLeader(ctx, s)
}

// waitForLeader tells when the island serves.
func (c *sendColdStartCommand) waitForLeader(ctx context.Context, s streams) error {
	for {
		for _, admin := range c.Admin {
			if one, err := askColdStart(ctx, admin); err == nil && one.Leader != "" {
				_, err := fmt.Fprintf(s.out, "box %s leads: the island serves\n", one.Leader)
				return err
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no box leads %v after the order. The boxes took it, and nothing is lost: look at their logs, and whether their nodes reach one another", startsWithin)
		case <-time.After(startLook):
		}
	}
}

// askColdStart asks again while the box has just started.
func askColdStart(ctx context.Context, admin string) (c serve.ColdStart, err error) {
	ctx, cancel := context.WithTimeout(ctx, adminWithin)
	defer cancel()
	text, err := askAdmin(ctx, http.MethodGet, admin, serve.ColdStartPath, nil)
	for errors.Is(err, errStarting) && ctx.Err() == nil {
		time.Sleep(startLook)
		text, err = askAdmin(ctx, http.MethodGet, admin, serve.ColdStartPath, nil)
	}
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return c, fmt.Errorf("%s does not answer as an admin address does: %w", admin, err)
	}
	return c, nil
}

// errStarting: the box has shown nothing yet.
var errStarting = errors.New("it has just started")

func askAdmin(ctx context.Context, method, admin, path string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, adminWithin)
	defer cancel()
	if !strings.Contains(admin, "://") {
		admin = "http://" + admin
	}
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(admin, "/")+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%w: --admin %s: %w", serve.ErrUsage, admin, err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%s can not be asked: %w. Start that box, or leave it out if it is lost", admin, err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, adminBytesMax))
	if err != nil {
		return nil, err
	}
	switch answer.StatusCode {
	case http.StatusOK, http.StatusAccepted:
		return text, nil
	case http.StatusServiceUnavailable:
		return nil, fmt.Errorf("%s: %w: %s", admin, errStarting, strings.TrimSpace(string(text)))
	case http.StatusNotFound:
		return nil, fmt.Errorf("%w: %s is not the admin address of one of several boxes", serve.ErrUsage, admin)
	}
	return nil, errors.New(admin + ": " + strings.TrimSpace(string(text)))
}
