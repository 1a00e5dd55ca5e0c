package main

import (
	"context"
	"fmt"
	"time"

	"strongroom/cmd/internal/folder"
	"strongroom/cmd/internal/terminal"
	"strongroom/protocol/wire"
)

type statusCmd struct {
	Watch  bool   `help:"Go on, and tell what happens to the account as it happens." xor:"mode"`
	Save   string `help:"Have the vault sign its status and write that to a new file, to show to others." placeholder:"FILE" type:"path" xor:"mode"`
	Verify string `help:"Check a file of --save against the pin, without the vault, and tell what it says." placeholder:"FILE" type:"existingfile" xor:"mode"`
	Pin    string `help:"With --verify, where no vault is set up: the pin that its fleet must have." placeholder:"PIN"`
}

// Help is shown by status --help.
func (*statusCmd) Help() string {
	return `Asking is free of charge. A file of --save holds no secret: it tells the account's name, what the vault counted and when, under a signature of the vault's HSM.

Examples:

  strongroom status
  strongroom status --watch
  strongroom status --save status-november.json
  strongroom status --verify status-november.json --pin ABCDE1-...`
}

// statusEvent is the status for programs.
type statusEvent struct {
	Stage      folder.Stage      `json:"stage"`
	Way        folder.Way        `json:"way"`
	Repository folder.Repository `json:"repository"`
	Paths      []string          `json:"paths"`
	Newest     map[string]any    `json:"newest,omitempty"`
	Backups    int               `json:"backups"`
	Storage    string            `json:"storageError,omitempty"`
	Vault      *vaultEvent       `json:"vault,omitempty"`
	Warning    string            `json:"warning,omitempty"`
	LastRun    *folder.LastRun   `json:"lastRun,omitempty"`
}

type vaultEvent struct {
	URL       string  `json:"url"`
	Account   string  `json:"account"`
	Error     string  `json:"error,omitempty"`
	State     string  `json:"state,omitempty"`
	Left      *uint8  `json:"attemptsLeft,omitempty"` // these four: nil while there is no word from it
	Limit     *uint8  `json:"attemptsLimit,omitempty"`
	Wrong     *uint32 `json:"wrongSinceSuccess,omitempty"`
	Before    *uint32 `json:"wrongBeforeSuccess,omitempty"`
	HSM       string  `json:"hsm,omitempty"`
	Isolation string  `json:"isolation,omitempty"`
	Rollback  string  `json:"rollback,omitempty"`
	Wait      string  `json:"waitUntil,omitempty"` // RFC 3339
	Ever      uint32  `json:"wrongInAll"`
	EverLimit uint32  `json:"wrongInAllLimit,omitempty"`
	Pending   string  `json:"pendingUntil,omitempty"` // RFC 3339
	Kind      string  `json:"pendingKind,omitempty"`  // registration or deletion
	Ours      bool    `json:"pendingOurs,omitempty"`  // this machine asked for it
	Resets    uint32  `json:"resets"`

	History []historyEvent `json:"history,omitempty"`
	Saved   string         `json:"saved,omitempty"` // file with the signed status

	status wire.StatusReport // to be told in words
}

// Run tells what it can: a part that does not answer is named and costs the
// exit code, not the rest.
func (c *statusCmd) Run(s *session) error {
	if c.Verify != "" {
		return c.verify(s)
	}
	settings, err := s.folder.Settings()
	if err != nil {
		return err
	}
	e := statusEvent{Stage: settings.Stage, Way: settings.Way, Repository: settings.Repository, Paths: append([]string{}, settings.Paths...), LastRun: s.folder.LastRun()}
	if settings.Way != folder.ByPassword && (c.Watch || c.Save != "") {
		return &usageError{"no vault keeps your key: there is nothing to watch or to sign"}
	}
	var vaultErr, storageErr error
	if settings.Way == folder.ByPassword {
		e.Vault, e.Warning, vaultErr = s.vaultStatus(&settings, c.Save)
	}
	if settings.Stage == folder.Enabled {
		storageErr = s.newest(&settings, &e)
	}
	s.tellStatus(&settings, &e)
	if err := s.term.Event("status", e); err != nil {
		return err
	}
	if c.Watch && vaultErr == nil {
		v, err := vaultAt(settings.Vault)
		if err != nil {
			return err
		}
		return s.watch(v, e.Vault.status, settings.Generation)
	}
	switch {
	case storageErr != nil:
		return storageErr
	case vaultErr != nil:
		return vaultErr
	case e.Warning != "":
		return &storyError{story{Code: exitWarnings, Kind: "warnings", Happened: "read the warning above."}}
	}
	return nil
}

func (s *session) vaultStatus(settings *folder.Settings, save string) (*vaultEvent, string, error) {
	e := &vaultEvent{URL: settings.Vault.URL, Account: settings.Vault.Account}
	v, err := vaultAt(settings.Vault)
	if err != nil {
		e.Error = err.Error()
		return e, "", err
	}
	ask := v.Status
	if save != "" {
		ask = func(context.Context) (wire.StatusReport, error) { return s.saveEvidence(v, save) }
	}
	st, err := ask(s.ctx)
	if err != nil {
		e.Error = err.Error()
		return e, "", err
	}
	settings.Generation = followed(s.ctx, v, settings.Generation, st)
	e.status, e.History, e.Saved = st, historyOf(st), save
	if fleet, err := v.Fleet(s.ctx); err == nil {
		e.HSM, e.Isolation, e.Rollback = fleet.HSM, fleet.Isolation, fleet.Rollback
	}
	e.State, e.Left, e.Limit, e.Wrong, e.Before = stateName(st.State), &st.Left, &st.Limit, &st.Wrong, &st.WrongBefore
	e.Ever, e.EverLimit = st.WrongEver, st.LifetimeLimit
	e.Resets = st.Resets
	if p := st.Pending; p != nil {
		e.Pending, e.Kind, e.Ours = time.UnixMilli(int64(p.AtMillis)).Format(time.RFC3339), "deletion", ours(p, settings.Generation)
		if p.Generation != nil {
			e.Kind = "registration"
		}
	}
	if until := waitUntil(st); !until.IsZero() {
		e.Wait = until.Format(time.RFC3339)
	}
	if settings.Stage == folder.Pending {
		return e, "", nil
	}
	return e, alarm(st, settings.Generation), nil
}

func stateName(st wire.State) string {
	names := map[wire.State]string{wire.StateNone: "none", wire.StateLive: "live", wire.StateExhausted: "exhausted",
		wire.StateDestroyed: "destroyed", wire.StateDeleted: "deleted", wire.StateDeparted: "departed", wire.StateArriving: "arriving"}
	return names[st]
}

func (s *session) newest(settings *folder.Settings, e *statusEvent) error {
	key, err := s.folder.Key()
	if err != nil {
		return err
	}
	repo, err := s.openRepository(settings, &key)
	if err != nil {
		e.Storage = err.Error()
		return err
	}
	snapshots, _, err := repo.Snapshots(s.ctx)
	if err != nil {
		e.Storage = err.Error()
		return storageTrouble(err)
	}
	e.Backups = len(snapshots)
	if len(snapshots) > 0 {
		newest := snapshots[0]
		for _, sn := range snapshots {
			if sn.Time.After(newest.Time) {
				newest = sn
			}
		}
		e.Newest = snapshotEvent(newest)
	}
	return nil
}

func (s *session) tellStatus(settings *folder.Settings, e *statusEvent) {
	t := terminal.Table{}
	if e.Stage == folder.Pending {
		t.Row("Setup", "interrupted: run strongroom enable again")
	}
	if e.Way == folder.ByPassword {
		t.Row("Way back", "password, from the vault")
	} else {
		t.Row("Way back", "64-digit key on paper")
	}
	t.Row("Key", "on this machine, "+s.folder.KeyFile())
	t.Row("Backup", e.Repository.URL)
	switch {
	case e.Storage != "":
		t.Row("", "does not answer: "+e.Storage)
	case e.Newest != nil:
		t.Row("", fmt.Sprintf("%s, the newest %v of %v", terminal.Count(e.Backups, "backup"), e.Newest["id"], e.Newest["time"]))
	default:
		t.Row("", "no backup yet")
	}
	tellLastRun(&t, e.LastRun)
	if v := e.Vault; v != nil {
		t.Row("Vault", v.URL+", account "+v.Account)
		if v.Error != "" {
			t.Row("", "no word from it: "+v.Error)
		} else {
			t.Row("", fmt.Sprintf("record %s, attempts left: %d of %d", v.State, *v.Left, *v.Limit))
			t.Row("", fmt.Sprintf("wrong attempts: %d since the last right password, %d before it", *v.Wrong, *v.Before))
			if until, err := time.Parse(time.RFC3339, v.Wait); err == nil {
				t.Row("", "the next attempt must wait until "+clock(until))
			}
			if v.EverLimit > 0 {
				t.Row("", fmt.Sprintf("wrong attempts in all: %d of %d; a change of the password sets them back", v.Ever, v.EverLimit))
			}
			if until, err := time.Parse(time.RFC3339, v.Pending); err == nil {
				whose := "asked for without password and key; strongroom cancel stops it"
				if v.Ours {
					whose = "yours"
				}
				t.Row("", fmt.Sprintf("a %s waits until %s: %s", v.Kind, clock(until), whose))
			}
			t.Row("", fmt.Sprintf("its HSM: %s; isolation from its host: %s; rollback: %s", v.HSM, v.Isolation, v.Rollback))
			if v.Rollback == "file" {
				t.Row("", "(whoever puts an older copy of the vault's whole folder back gets used attempts back)")
			}
			tellHistory(&t, v.status)
			if v.Saved != "" {
				t.Row("Signed", "by the vault, in "+v.Saved+"; strongroom status --verify checks it")
			}
		}
	}
	s.term.Say("%s", t.String())
	if e.Warning != "" {
		s.term.Note("WARNING  %s", e.Warning)
	}
}
