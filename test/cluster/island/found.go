//go:build linux

package island

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

const custodianPassphrase = "one custodian of a test"

// plan is the ceremony's (strongroomd ceremony --help).
type plan struct {
	Boxes      []planBox      `json:"boxes"`
	Rules      map[string]any `json:"rules"`
	Custodians []string       `json:"custodians"`
	Quorum     int            `json:"quorum"`
	Founder    string         `json:"founder,omitempty"`
}

type planBox struct {
	Name           string `json:"name"`
	Data           string `json:"data"`
	Address        string `json:"address"`
	PassphraseFile string `json:"passphrase_file"`
}

// found makes the data folder of every box: by the ceremony. An island of one
// makes its own at its first start.
func (i *Island) found() error {
	if i.Boxes == 1 {
		b := i.Box[0]
		if err := b.Start(); err != nil {
			return err
		}
		return b.Shut()
	}
	if err := i.makeCustodian(); err != nil {
		return err
	}
	p := plan{Custodians: []string{i.path("test.card.json")}, Quorum: 1, Rules: map[string]any{"issuer_keys": []string{i.path("issuer.pem")}}}
	for name, value := range i.Rules {
		p.Rules[name] = value
	}
	if i.Founder != nil {
		p.Founder, p.Rules = i.Founder.documentFile(), nil
	}
	for _, b := range i.Box {
		p.Boxes = append(p.Boxes, planBox{fmt.Sprint("box", b.Number), b.Data, b.at(PeerPort), i.path("passphrase")})
	}
	if err := writeJSON(i.path("plan.json"), p); err != nil {
		return err
	}
	if err := i.strongroomd("ceremony", i.path("plan.json")); err != nil {
		return err
	}
	for _, b := range i.Box {
		if err := b.tellAddresses(); err != nil {
			return err
		}
	}
	return nil
}

// makeCustodian makes one whose signing key is the test's own.
func (i *Island) makeCustodian() error {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	i.custodian = private
	if err := os.WriteFile(i.path("custodian.passphrase"), []byte(custodianPassphrase), 0o600); err != nil {
		return err
	}
	if err := i.strongroomd("custodian", "new", "test", "--out", i.Dir, "--passphrase-file", i.path("custodian.passphrase")); err != nil {
		return err
	}
	return change(i.path("test.card.json"), func(card map[string]any) { card["sign"] = hex.EncodeToString(public) })
}

// tellAddresses has the box reach each other one over the line between them.
func (b *Box) tellAddresses() error {
	return change(filepath.Join(b.Data, "vault", "island.json"), func(file map[string]any) {
		file["listen"] = b.at(PeerPort)
		for number, box := range file["boxes"].([]any) {
			if number != b.Number {
				box.(map[string]any)["address"] = b.island.Network.Address(b.Number, number)
			}
		}
	})
}

func (i *Island) strongroomd(args ...string) error {
	if out, err := exec.Command(i.Program, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("strongroomd %v: %w: %s", args, err, out)
	}
	return nil
}

// change edits a JSON file.
func change(path string, edit func(map[string]any)) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var file map[string]any
	if err := json.Unmarshal(text, &file); err != nil {
		return err
	}
	edit(file)
	return writeJSON(path, file)
}

func writeJSON(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}
