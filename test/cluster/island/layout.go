//go:build linux

package island

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"strongroom/protocol/bundle"
)

// documentFile is the island's, as an operator passes it on.
func (i *Island) documentFile() string {
	return filepath.Join(i.Box[0].Data, "vault", "fleet.cbor")
}

// Relay is a public front for several islands.
type Relay struct {
	URL   string
	cmd   *exec.Cmd
	ended chan struct{}
}

// StartRelay starts one, on loopback, for the founder and others.
func StartRelay(founder *Island, others ...*Island) (*Relay, error) {
	args := []string{"relay", "--fleet", founder.documentFile(), "--listen", "127.0.0.1:0", "--admin", "off", "--log-format", "json",
		"--address-per-second", noLimit, "--address-burst", noLimit, "--account-per-second", noLimit, "--account-burst", noLimit}
	for _, b := range founder.Box {
		args = append(args, "--box-url", b.URL())
	}
	for _, i := range others {
		for _, b := range i.Box {
			args = append(args, "--box-url", i.Pin.IslandName()+"="+b.URL())
		}
	}
	r := &Relay{cmd: exec.Command(founder.Program, args...), ended: make(chan struct{})}
	said, err := r.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := start(r.cmd); err != nil {
		return nil, err
	}
	serving := make(chan string, 1)
	go func() {
		defer close(r.ended)
		for lines := bufio.NewScanner(said); lines.Scan(); {
			var line struct{ Msg, URL string }
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "serving" {
				serving <- line.URL
			}
		}
		r.cmd.Wait()
	}()
	select {
	case r.URL = <-serving:
		return r, nil
	case <-r.ended:
		return nil, fmt.Errorf("the relay ended before it served")
	case <-time.After(startWithin):
		r.Stop()
		return nil, fmt.Errorf("the relay did not serve within %v", startWithin)
	}
}

// Stop ends it.
func (r *Relay) Stop() {
	_ = r.cmd.Process.Signal(syscall.SIGKILL)
	<-r.ended
}

// AddIsland has the founder's custodian sign the fleet's next layout, with one
// island more, and gives the file; AddLayout then takes it to a box.
func (i *Island) AddIsland(more *Island) (layout string, err error) {
	layout = i.path("layout.json")
	if err := i.strongroomd("layout", "new", "--data", i.Box[0].Data, "--out", layout, "--add", more.documentFile()); err != nil {
		return "", err
	}
	return layout, change(layout, func(file map[string]any) {
		next := bundle.Layout{Fleet: i.Fleet.ID, Number: 1, Before: i.Pin}
		for _, text := range file["next"].([]any) {
			pin, _ := bundle.ParsePin(text.(string))
			next.Islands = append(next.Islands, pin)
		}
		statement, _ := next.Statement()
		signature := map[string]any{"custodian": 1, "signature": hex.EncodeToString(ed25519.Sign(i.custodian, statement))}
		file["custodian_signatures"] = []any{signature}
	})
}

// AddLayout puts a signed layout into the box's folder.
func (b *Box) AddLayout(layout string) error {
	return b.island.strongroomd("layout", "add", layout, "--data", b.Data)
}

// KnowsLayout tells whether the box's process has taken a layout of a number.
func (b *Box) KnowsLayout(number uint64) bool {
	ctx, cancel := context.WithTimeout(context.Background(), lookWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.Admin()+"/status", nil)
	if err != nil {
		return false
	}
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer r.Body.Close()
	var status struct{ Layout uint64 }
	return json.NewDecoder(r.Body).Decode(&status) == nil && status.Layout >= number
}
