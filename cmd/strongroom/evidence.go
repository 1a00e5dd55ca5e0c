package main

import (
	"errors"
	"io"
	"os"
	"time"

	"strongroom/client"
	"strongroom/cmd/internal/folder"
	"strongroom/cmd/internal/terminal"
	"strongroom/protocol/bundle"
	"strongroom/protocol/wire"
)

// evidenceEvent is a signed status for programs.
type evidenceEvent struct {
	File    string         `json:"file"`
	Fleet   string         `json:"fleetPin"`
	Account string         `json:"account"`
	At      string         `json:"at"` // RFC 3339, by the vault's clock
	State   string         `json:"state"`
	Left    uint8          `json:"attemptsLeft"`
	Limit   uint8          `json:"attemptsLimit"`
	Wrong   uint32         `json:"wrongSinceSuccess"`
	Ever    uint32         `json:"wrongInAll"`
	History []historyEvent `json:"history"`
}

// saveEvidence writes a status that the vault signed into a file that was not
// there.
func (s *session) saveEvidence(v *client.Vault, path string) (wire.StatusReport, error) {
	e, st, err := v.SignedStatus(s.ctx)
	if err != nil {
		return st, err
	}
	b, err := e.Encode()
	if err != nil {
		return st, err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return st, &usageError{path + " exists; name another file for --save"}
	}
	if err != nil {
		return st, err
	}
	_, err = file.Write(b)
	return st, errors.Join(err, file.Sync(), file.Close())
}

// verify checks a saved status against the pin, without the vault.
func (c *statusCmd) verify(s *session) error {
	pin, err := c.pin(s)
	if err != nil {
		return err
	}
	file, err := os.Open(c.Verify)
	if err != nil {
		return err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, client.EvidenceBytesMax+1))
	if err != nil {
		return err
	}
	statement, fleet, err := client.CheckEvidence(pin, text)
	if err != nil {
		return err
	}
	s.tellEvidence(pin, fleet, statement)
	st := statement.Report
	return s.term.Event("verified", evidenceEvent{
		File: c.Verify, Fleet: pin.String(), Account: statement.Account, At: at(statement.AtMillis).Format(time.RFC3339),
		State: stateName(st.State), Left: st.Left, Limit: st.Limit, Wrong: st.Wrong, Ever: st.WrongEver, History: historyOf(st),
	})
}

// pin is the given one, or that of this machine's vault.
func (c *statusCmd) pin(s *session) (bundle.Pin, error) {
	text := c.Pin
	if text == "" {
		settings, err := s.folder.Settings()
		if errors.Is(err, folder.ErrEmpty) || err == nil && settings.Vault == nil {
			return bundle.Pin{}, &usageError{"no vault is set up here, so give the pin that the vault's fleet must have: --pin"}
		}
		if err != nil {
			return bundle.Pin{}, err
		}
		text = settings.Vault.Pin
	}
	pin, err := bundle.ParsePin(text)
	if err != nil {
		return pin, &usageError{"the vault's pin is mistyped: " + err.Error()}
	}
	return pin, nil
}

func (s *session) tellEvidence(pin bundle.Pin, fleet *bundle.Fleet, e *wire.StatusStatement) {
	t := terminal.Table{}
	t.Row("Signed", "by the vault of the pin "+pin.String())
	t.Row("", "its HSM: "+fleet.HSM)
	t.Row("At", at(e.AtMillis).Format("2 January 2006, 15:04:05 MST")+", by the vault's clock")
	t.Row("Account", e.Account)
	tellRecord(&t, e.Report)
	s.term.Say("%s", t.String())
}

// tellRecord adds what a report says of a record, and its history.
func tellRecord(t *terminal.Table, st wire.StatusReport) {
	t.Row("Record", stateName(st.State)+", attempts left: "+terminal.Number(int(st.Left))+" of "+terminal.Number(int(st.Limit)))
	tellHistory(t, st)
}

func tellHistory(t *terminal.Table, st wire.StatusReport) {
	head := "History"
	for _, e := range st.History {
		t.Row(head, told(e))
		head = ""
	}
}
