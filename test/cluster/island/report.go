//go:build linux

package island

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"strongroom/protocol/bundle"
	"strongroom/protocol/wire"
)

const (
	lookWithin = time.Second
	lookEvery  = 20 * time.Millisecond
)

// Report is what a box says of its island (GET /island at its admin address).
type Report struct {
	Box    string
	Role   string
	Leader string
	Term   uint64
	Commit uint64
	Root   string
	Shown  struct {
		Boot       string
		Term, Last uint64
	}
	Boxes []struct {
		Box    string
		Member string
		Role   string
		Match  uint64
		Heard  bool
	}
}

// Report asks the box.
func (b *Box) Report() (r Report, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), lookWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.Admin()+"/island", nil)
	if err != nil {
		return r, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return r, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return r, fmt.Errorf("HTTP %s", res.Status)
	}
	return r, json.NewDecoder(res.Body).Decode(&r)
}

// Leader is the box that says that it leads, in the newest term; nil: none.
func (i *Island) Leader() (leader *Box) {
	term := uint64(0)
	for _, b := range i.Box {
		if !b.Runs() {
			continue
		}
		if r, err := b.Report(); err == nil && r.Role == "leader" && r.Term >= term {
			leader, term = b, r.Term
		}
	}
	return leader
}

// Settled: a leader sees every box of the island as a voter that is close
// behind, and so does each box itself: one that has just started may still be
// taken for the voter that it was before.
func (i *Island) Settled() bool {
	leader := i.Leader()
	if leader == nil {
		return false
	}
	r, err := leader.Report()
	if err != nil {
		return false
	}
	voters := 0
	for _, b := range r.Boxes {
		if b.Member != "0" && (b.Role == "follower" || b.Role == "leader") && (b.Box == r.Box || b.Heard && b.Match+settledBehind >= r.Commit) {
			voters++
		}
	}
	for _, b := range i.Box {
		own, err := b.Report()
		if err != nil || own.Role != "follower" && own.Role != "leader" {
			return false
		}
	}
	return voters == len(i.Box)
}

const settledBehind = 512 // entries

// Await waits until ready, or says what was waited for.
func (i *Island) Await(what string, within time.Duration, ready func() bool) error {
	for end := time.Now().Add(within); !ready(); time.Sleep(lookEvery) {
		if time.Now().After(end) {
			said := ""
			for _, b := range i.Box {
				r, err := b.Report()
				said += fmt.Sprintf("box %d: %+v %v\n", b.Number, r, err)
			}
			return fmt.Errorf("%s did not come within %v:\n%s", what, within, said)
		}
	}
	return nil
}

// Order has the custodian order a start from what the boxes show that run.
func (i *Island) Order() error {
	order := bundle.Order{Fleet: i.Fleet.ID}
	for _, b := range i.Box {
		if !b.Runs() {
			continue
		}
		var r Report
		var err error
		if err := i.Await(fmt.Sprintf("a word of box %d", b.Number), startWithin, func() bool { r, err = b.Report(); return err == nil }); err != nil {
			return err
		}
		s := wire.Shown{Term: r.Shown.Term, Last: r.Shown.Last}
		if err := errors.Join(fromHex(s.Box[:], r.Box), fromHex(s.Boot[:], r.Shown.Boot)); err != nil {
			return err
		}
		order.Shown = append(order.Shown, s)
	}
	statement, err := order.Statement()
	if err != nil {
		return err
	}
	order.Signatures = []bundle.OrderSignature{{Custodian: 0, Signature: ed25519.Sign(i.custodian, statement)}}
	text, err := order.Encode()
	if err != nil {
		return err
	}
	for _, b := range i.Box {
		if b.Runs() {
			if err := b.post("/order", text); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *Box) post(path string, body []byte) error {
	res, err := http.Post(b.Admin()+path, "application/octet-stream", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10))
	if res.StatusCode != http.StatusAccepted {
		return fmt.Errorf("box %d: HTTP %s: %s", b.Number, res.Status, said)
	}
	return nil
}

func fromHex(to []byte, text string) error {
	b, err := hex.DecodeString(text)
	if err == nil && len(b) != len(to) {
		err = fmt.Errorf("%q has not %d bytes", text, len(to))
	}
	copy(to, b)
	return err
}
