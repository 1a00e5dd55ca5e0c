package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"strongroom/cmd/internal/serve"
	"strongroom/cmd/internal/terminal"
)

// Limits of status.
const (
	statusWithin   = 10 * time.Second
	statusBytesMax = 1 << 20
)

var (
	errAdmin   = errors.New("the vault does not answer at its admin address")
	errTrouble = errors.New("the vault does not serve")
)

type statusCommand struct {
	Admin string `help:"Admin address of a box's strongroomd." env:"STRONGROOM_ADMIN" default:"${admin}" placeholder:"URL"`
	JSON  bool   `name:"json" help:"For programs."`
}

// Help is shown by status --help.
func (*statusCommand) Help() string {
	return `Shows the island as one of its boxes sees it: which boxes there are, which one leads, how far the others are behind, their roots, HSMs and epochs, and the lines between the nodes. The same stands at the admin address as a page (/) and as JSON (/status).

It ends with exit code 1 where requests are not served, and says why.

Examples:

  strongroomd status
  strongroomd status --admin http://10.0.0.1:8641 --json`
}

func (c *statusCommand) Run(s streams) error {
	status, text, err := c.ask()
	if err != nil {
		return err
	}
	if c.JSON {
		_, err = s.out.Write(text)
	} else {
		_, err = io.WriteString(s.out, statusText(status))
	}
	if err == nil && status.Trouble != "" {
		err = fmt.Errorf("%w: %s", errTrouble, status.Trouble)
	}
	return err
}

func (c *statusCommand) ask() (status serve.Status, text []byte, err error) {
	at := c.Admin
	if !strings.Contains(at, "://") {
		at = "http://" + at
	}
	r, err := (&http.Client{Timeout: statusWithin}).Get(strings.TrimRight(at, "/") + "/status")
	if err != nil {
		return status, nil, fmt.Errorf("%w: %w. See whether strongroomd serve runs there, and what its --admin is", errAdmin, err)
	}
	defer r.Body.Close()
	if text, err = io.ReadAll(io.LimitReader(r.Body, statusBytesMax)); err != nil {
		return status, nil, fmt.Errorf("%w: %w", errAdmin, err)
	}
	if err := json.Unmarshal(text, &status); err != nil || r.StatusCode != http.StatusOK {
		return status, nil, fmt.Errorf("%w: %s answers with HTTP status %d and no status of a vault. Give the admin address, not the public one", errAdmin, at, r.StatusCode)
	}
	return status, text, nil
}

// statusText is the island for a person.
func statusText(s serve.Status) string {
	var b strings.Builder
	state := "serving"
	if s.Trouble != "" {
		state = "NOT SERVING: " + s.Trouble
	}
	fmt.Fprintf(&b, "%s\n", terminal.Line(state))
	if s.Warning != "" {
		fmt.Fprintf(&b, "LOOK: %s\n", terminal.Line(s.Warning))
	}
	fmt.Fprintf(&b, "\n  fleet      %s, pin %s\n", terminal.Line(s.Fleet), terminal.Line(s.Pin))
	if s.Box != "" {
		fmt.Fprintf(&b, "  seen from  %s (%s)\n", terminal.Line(nameOf(s, s.Box)), terminal.Line(s.Box))
		fmt.Fprintf(&b, "  raft       term %d, committed %d, applied here %d\n", s.Term, s.Commit, s.Applied)
	}
	fmt.Fprintf(&b, "  here       %d requests in flight, log %d bytes, records %d bytes\n\n", s.InFlight, s.LogBytes, s.RecordsBytes)
	fmt.Fprintln(&b, boxTable(s))
	if len(s.Islands) > 0 {
		fmt.Fprintf(&b, "The fleet's islands, by layout %d:\n\n%s\n", s.Layout, islandTable(s))
	}
	return b.String()
}

func boxTable(s serve.Status) string {
	t := terminal.Table{Right: []bool{false, false, true, true, false, true, false, false, true, false}}
	t.Row("BOX", "ROLE", "BEHIND", "APPLIED", "ROOT", "EPOCH", "HSM", "HEARD", "ROUND TRIP", "LINE")
	for _, box := range s.Boxes {
		name := nameOf(s, box.Box)
		if box.Self && box.Box != "" {
			name += " *"
		}
		line, trip := "", ""
		if l := box.Line; l != nil {
			line = "up"
			if !l.Connected {
				line = "down: " + l.Failure
			}
			if l.RoundTripMillis > 0 {
				trip = fmt.Sprintf("%.1f ms", l.RoundTripMillis)
			}
		}
		t.Row(name, box.Role, lagText(box.Lag), numberText(box.Applied), rootText(box), numberText(box.Epoch), box.HSM, heardText(box.Heard), trip, line)
	}
	return t.String()
}

func islandTable(s serve.Status) string {
	t := terminal.Table{Right: []bool{false, false, true, false, false}}
	t.Row("ISLAND", "ACCOUNTS", "BOXES", "HSM", "")
	for _, i := range s.Islands {
		name, accounts, what := i.Name, "at home here", ""
		if i.Self {
			name += " *"
		}
		if !i.Home {
			accounts = "none is at home here"
		}
		if i.Founder {
			what = "founder"
		}
		t.Row(name, accounts, fmt.Sprint(i.Boxes), i.HSM, what)
	}
	return t.String()
}

func nameOf(s serve.Status, id string) string {
	for _, b := range s.Boxes {
		if b.Box == id && b.Name != "" {
			return b.Name
		}
	}
	if id == "" {
		return "this box"
	}
	return id[:min(len(id), 8)]
}

func lagText(lag *uint64) string {
	if lag == nil {
		return "-"
	}
	return fmt.Sprint(*lag)
}

func numberText(n uint64) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

func rootText(b serve.StatusBox) string {
	if b.Root == "" {
		return "-"
	}
	return fmt.Sprintf("%s at %d", b.Root[:min(len(b.Root), 8)], b.RootAt)
}

func heardText(heard bool) string {
	if heard {
		return "yes"
	}
	return "NO"
}
