package folder

import (
	"encoding/json"
	"path/filepath"
	"time"
)

const lastRunName = "last-run.json"

// LastRun tells how the last backup ended: a file that other programs may
// read.
type LastRun struct {
	Started   time.Time `json:"started"`
	Ended     time.Time `json:"ended"`
	OK        bool      `json:"ok"`
	Code      int       `json:"code"` // exit code
	Kind      string    `json:"kind,omitempty"`
	Happened  string    `json:"happened,omitempty"`
	Do        string    `json:"next,omitempty"`
	Scheduled bool      `json:"scheduled"`
	// Good is when the last backup ended that was made, with warnings or
	// without; zero where none was.
	Good time.Time `json:"good,omitzero"`
	// Notified is when a person was last told of a failure on the desktop.
	Notified time.Time `json:"notified,omitzero"`
}

// LastRun reads it; nil where there is none, or none that parses.
func (f Folder) LastRun() *LastRun {
	b, err := readFile(filepath.Join(f.Path, lastRunName))
	if err != nil {
		return nil
	}
	r := &LastRun{}
	if json.Unmarshal(b, r) != nil {
		return nil
	}
	return r
}

// PutLastRun makes it durable.
func (f Folder) PutLastRun(r LastRun) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(f.Path, lastRunName), append(b, '\n'))
}
