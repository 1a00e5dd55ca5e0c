package ceremony

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"strongroom/cmd/internal/serve"
	"strongroom/hsm/soft"
	"strongroom/hsm/tpm"
)

// ErrPlan: the plan can not be carried out; nothing was made.
var ErrPlan = errors.New("the ceremony's plan")

// planned is an ErrPlan with what is wrong with it.
func planned(format string, a ...any) error {
	return fmt.Errorf("%w: %w", ErrPlan, fmt.Errorf(format, a...))
}

// Plan says what a ceremony makes. It is JSON; paths in it are relative to its
// own folder.
type Plan struct {
	Boxes      []PlanBox `json:"boxes"`               // 3, 5 or 7; the keys are made in the first one's HSM
	Rules      Rules     `json:"rules"`               // of the fleet; all may be left out
	Custodians []string  `json:"custodians"`          // files with cards
	Quorum     int       `json:"quorum"`              // how many of them must agree
	Box        string    `json:"box,omitempty"`       // "process" promises clients that each box runs in a process of its own
	AlertKey   string    `json:"alert_key,omitempty"` // file with the operator's public alert key (strongroomd alert-key); none: no alerts

	// Founder is the file with the document of the fleet's first island
	// (vault/fleet.cbor of any of its boxes), which this one joins: rules and
	// alert key are the founder's then. none: a new fleet.
	Founder string `json:"founder,omitempty"`
}

// PlanBox is one box.
type PlanBox struct {
	Name    string `json:"name"`           // for people
	Data    string `json:"data,omitempty"` // its data folder; "" is Name
	Address string `json:"address"`        // HOST:PORT at which its node listens for the others
	Listen  string `json:"listen,omitempty"`

	HSM            string `json:"hsm,omitempty"`             // "soft" (unless given) or "pkcs11"
	PassphraseFile string `json:"passphrase_file,omitempty"` // of soft; none: one is made in the data folder
	PKCS11Module   string `json:"pkcs11_module,omitempty"`
	PKCS11Token    string `json:"pkcs11_token,omitempty"`
	PINFile        string `json:"pin_file,omitempty"`
}

// Rules are those of strongroomd serve, by the same names.
type Rules struct {
	Attempts         int      `json:"attempts,omitempty"`
	LifetimeAttempts int      `json:"lifetime_attempts,omitempty"`
	Waits            string   `json:"waits,omitempty"`
	TicketLifetime   string   `json:"ticket_lifetime,omitempty"`
	ResetDelay       string   `json:"reset_delay,omitempty"`
	Epoch            string   `json:"epoch,omitempty"`
	Suite            string   `json:"suite,omitempty"`
	IssuerKeys       []string `json:"issuer_keys,omitempty"` // files; none: a built-in issuer, its key in the first box's folder
}

// none: nothing was said.
func (r Rules) none() bool {
	return r.Attempts == 0 && r.LifetimeAttempts == 0 && len(r.IssuerKeys) == 0 &&
		r.Waits+r.TicketLifetime+r.ResetDelay+r.Epoch+r.Suite == ""
}

// ReadPlan reads and validates a plan. Its error is ErrPlan.
func ReadPlan(path string) (*Plan, []byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, planned("%w", err)
	}
	p := new(Plan)
	if err := decode(text, p); err != nil {
		return nil, nil, planned("%s: %w", path, err)
	}
	p.settle(filepath.Dir(path))
	return p, text, p.validate()
}

// settle fills in what was left out and makes paths whole.
func (p *Plan) settle(folder string) {
	whole := func(s *string) {
		if *s != "" && !filepath.IsAbs(*s) {
			*s = filepath.Join(folder, *s)
		}
	}
	for i := range p.Boxes {
		b := &p.Boxes[i]
		if b.Data == "" {
			b.Data = b.Name
		}
		if b.HSM == "" {
			b.HSM = soft.Kind
		}
		for _, path := range []*string{&b.Data, &b.PassphraseFile, &b.PINFile} {
			whole(path)
		}
	}
	for i := range p.Custodians {
		whole(&p.Custodians[i])
	}
	for i := range p.Rules.IssuerKeys {
		whole(&p.Rules.IssuerKeys[i])
	}
	if p.AlertKey != serve.AlertKeyNone {
		whole(&p.AlertKey)
	}
	whole(&p.Founder)
}

func (p *Plan) validate() error {
	if n := len(p.Boxes); n != 3 && n != 5 && n != 7 {
		return planned("an island of %d boxes, where 3, 5 or 7 are allowed. strongroomd serve makes an island of one", n)
	}
	if p.Founder != "" && (!p.Rules.none() || p.AlertKey != "") {
		return planned("an island that joins a founder has its rules and its alert key. Leave both out")
	}
	seen := map[string]string{}
	for _, b := range p.Boxes {
		if !nameable(b.Name) {
			return planned("a box has a name of 1 to %d printable bytes", nameBytesMax)
		}
		for _, once := range []string{"name " + b.Name, "data folder " + b.Data, "address " + b.Address} {
			if other, found := seen[once]; found {
				return planned("boxes %q and %q have the same %s", other, b.Name, once)
			}
			seen[once] = b.Name
		}
		if err := b.movable(p.Boxes[0]); err != nil {
			return err
		}
		if p.Rules.Suite == serve.SuiteRistretto255 && b.HSM != soft.Kind {
			return planned("box %q: an HSM of kind %s knows P-256 only. Leave the suite out", b.Name, b.HSM)
		}
	}
	if p.Quorum < 1 || p.Quorum > len(p.Custodians) {
		return planned("a quorum of %d of %d custodians. Custodians let an island of several boxes start, and replace a box: strongroomd custodian new makes one", p.Quorum, len(p.Custodians))
	}
	return nil
}

// movable refuses a box into whose HSM the first one's keys can not be moved.
func (b PlanBox) movable(first PlanBox) error {
	switch {
	case b.HSM == tpm.Kind:
		return planned("box %q: keys can not be moved into or out of a TPM: each of its keys is bound to that one chip. Use soft or pkcs11, or an island of one", b.Name)
	case b.HSM != first.HSM:
		return planned("box %q has an HSM of kind %s and %q of kind %s. The OPRF key of each record is wrapped inside one HSM and opens in the others only where they wrap alike, and keys of a token that pass through software are worth what the software is. Use one kind; tokens of several vendors are one kind", first.Name, first.HSM, b.Name, b.HSM)
	}
	return nil
}

// config is a box's part of the plan, as serve takes it.
func (p *Plan) config(b PlanBox) (serve.Config, error) {
	r := p.Rules
	c := serve.Config{
		Data: b.Data, HSM: b.HSM, PassphraseFile: b.PassphraseFile, Box: p.Box,
		Token:    serve.Token{Module: b.PKCS11Module, Label: b.PKCS11Token, PINFile: b.PINFile},
		Attempts: r.Attempts, Lifetime: r.LifetimeAttempts, Waits: r.Waits, Suite: r.Suite, IssuerKeys: r.IssuerKeys,
		Alerts: serve.Alerts{Key: p.AlertKey},
	}
	if c.Alerts.Key == "" {
		c.Alerts.Key = serve.AlertKeyNone
	}
	for _, d := range []struct {
		text string
		into *time.Duration
		name string
	}{{r.TicketLifetime, &c.TicketLifetime, "ticket_lifetime"}, {r.ResetDelay, &c.ResetDelay, "reset_delay"}, {r.Epoch, &c.Epoch, "epoch"}} {
		if d.text == "" {
			continue
		}
		var err error
		if *d.into, err = time.ParseDuration(d.text); err != nil {
			return c, planned("%s: %w", d.name, err)
		}
	}
	return c, nil
}
