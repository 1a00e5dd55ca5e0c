package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// oldest sets OLDEST to the first backup that stdout names in JSON.
func (r *rig) oldest(ts *testscript.TestScript, _ []string) error {
	var e struct{ Event, ID string }
	for line := range strings.Lines(ts.ReadFile("stdout")) {
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			return err
		}
		if e.Event == "snapshot" {
			ts.Setenv("OLDEST", e.ID)
			return nil
		}
	}
	return fmt.Errorf("no backup on stdout")
}

// loseLargest deletes the largest file under a folder.
func (r *rig) loseLargest(ts *testscript.TestScript, args []string) error {
	largest, err := largestIn(ts.MkAbs(args[0]))
	if err != nil {
		return err
	}
	return os.Remove(largest)
}
