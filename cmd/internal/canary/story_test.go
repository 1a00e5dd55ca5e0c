//go:build linux

package canary

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"strongroom/client"
	"strongroom/cmd/internal/serve"
	"strongroom/protocol/bundle"
	"strongroom/protocol/wire"
	"strongroom/test/soak"
)

// Accounts of a run, each with canariesEach.
const (
	accountsEveryday = 3
	accountsLong     = 112
	canariesEach     = 9
	canariesEveryday = 20
	canariesLong     = 1000
	resetDelay       = time.Second
	ticketLifetime   = 10 * time.Second // a reset also waits for the open ticket
)

// person is one account with all that it must keep from the host.
type person struct {
	account, right, wrong, next string
	first, second               client.Payload
	tokens                      serve.Tokens
}

// What may be where. All else may be nowhere.
const (
	names       = "account"     // the relay's token says it, and the relay reads that
	vaultTokens = "vault token" // inside the seal; the box checks it
	passphrase  = "passphrase"  // the box opens the HSM with it
)

// kindOf is the last part of a canary's name.
func kindOf(s *secret) string { return s.name[strings.IndexByte(s.name, '\'')+3:] }

// may says whether a canary may be found in a place.
func may(f finding) bool {
	switch kindOf(f.secret) {
	case names:
		return f.place == "wire" || f.place == "pipe" || strings.HasPrefix(f.place, "memory")
	case vaultTokens, passphrase:
		// Who reads the box's memory has the keys that the passphrase opens.
		return f.place == "memory of the box"
	}
	return false
}

func drawPerson(t *testing.T, n int, data string) (*person, []*secret) {
	t.Helper()
	p := &person{
		account: string(drawText()), right: string(drawText()), wrong: string(drawText()), next: string(drawText()),
		first: drawPayload(), second: drawPayload(),
	}
	var err error
	p.tokens, err = serve.IssueTokens(data, p.account, time.Hour, time.Now())
	must(t, err)
	who := fmt.Sprintf("person %d's ", n)
	secrets := []*secret{{names, []byte(p.account)}, {"right password", []byte(p.right)}, {"wrong password", []byte(p.wrong)}, {"next password", []byte(p.next)},
		{"K", p.first.Key[:]}, {"next K", p.second.Key[:]}, {"repository id", p.first.RepositoryID}, {"repository URL", []byte(p.first.RepositoryURL)},
		{vaultTokens, []byte(p.tokens.Vault[strings.LastIndexByte(p.tokens.Vault, '.')+1:])}}
	if len(secrets) != canariesEach {
		t.Fatalf("%d canaries each", len(secrets))
	}
	for _, s := range secrets {
		s.name = who + s.name
	}
	return p, secrets
}

func drawPayload() client.Payload {
	id := make([]byte, 16)
	rand.Read(id)
	return client.Payload{Key: client.NewKey(), RepositoryID: id, RepositoryURL: "file:/" + hex.EncodeToString(id[:8]) + string(drawText())}
}

func (p *person) client(url string, pin bundle.Pin) *client.Vault {
	return &client.Vault{
		URL: url, Pin: pin, Account: p.account, Tokens: client.Tokens(p.tokens),
		Stretch: wire.Stretch{Time: 1, MemoryKiB: 64, Threads: 1}, Backoff: time.Millisecond,
	}
}

// lives: registration, a wrong password, the right one, a reset that waits.
func (p *person) lives(t *testing.T, v *client.Vault) {
	t.Helper()
	_, err := v.Register(t.Context(), p.right, p.first)
	must(t, err)
	var wrong *client.ErrWrongPassword
	if _, _, err := v.Recover(t.Context(), p.wrong); !errors.As(err, &wrong) {
		t.Fatalf("the wrong password: %v", err)
	}
	got, _, err := v.Recover(t.Context(), p.right)
	if err != nil || got.Key != p.first.Key {
		t.Fatalf("the right password: %v", err)
	}
	if s, err := v.Reset(t.Context(), p.next, p.second); err != nil || s.Pending == nil {
		t.Fatalf("a reset: %+v, %v", s, err)
	}
}

// ends: the reset's password once it is due, and the end of the record.
func (p *person) ends(t *testing.T, v *client.Vault) {
	t.Helper()
	for until := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		s, err := v.Status(t.Context())
		if err == nil && s.Pending == nil {
			break
		}
		if time.Now().After(until) {
			t.Fatalf("the reset is never due: %+v, %v", s, err)
		}
	}
	got, _, err := v.Recover(t.Context(), p.next)
	if err != nil || got.Key != p.second.Key {
		t.Fatalf("the reset's password: %v", err)
	}
	if s, err := v.Delete(t.Context(), p.second.Key); err != nil || s.State != wire.StateDeleted {
		t.Fatalf("deletion: %+v, %v", s, err)
	}
}

// judge fails the test for each canary where it must not be, once for each
// kind, place and form.
func (h *hunt) judge(least map[string]int64) {
	h.t.Helper()
	told := map[string]bool{}
	for _, f := range h.findings {
		if key := kindOf(f.secret) + f.place + f.form; !may(f) && !told[key] {
			told[key] = true
			h.t.Errorf("found: %v", f)
		}
	}
	for place, n := range least {
		if h.bytes[place] < n {
			h.t.Errorf("only %d bytes of the %s were looked through", h.bytes[place], place)
		}
	}
	h.t.Logf("%d canaries; looked through %v", h.search.secrets, h.bytes)
}

// saw: the names of accounts must be found where they may be, or the search
// looked at something else than what the vault did.
func (h *hunt) saw(place, kind string) {
	h.t.Helper()
	if !slices.ContainsFunc(h.findings, func(f finding) bool { return f.place == place && kindOf(f.secret) == kind }) {
		h.t.Errorf("no %s was found in the %s, where each passes: the search saw nothing", kind, place)
	}
}

// TestHostNeverSeesSecret: strongroomd itself, its box behind the wall.
func TestHostNeverSeesSecret(t *testing.T) {
	t.Parallel()
	program := build(t)
	operators := &secret{"the operator's " + passphrase, drawText()}
	v := newVault(t, program, operators)
	v.serve() // makes the fleet: whoever makes the keys has had them
	v.stop()
	v.serve()
	wire := newTap(t, v.address)

	var people []*person
	secrets := []*secret{operators}
	for n := range soak.Size(accountsEveryday, accountsLong) {
		p, theirs := drawPerson(t, n, v.data)
		people, secrets = append(people, p), append(secrets, theirs...)
	}
	h := newHunt(t, secrets)
	for _, p := range people {
		p.lives(t, p.client(wire.url(), v.pin))
	}
	v.hunt(h) // with the records live
	for _, p := range people {
		p.ends(t, p.client(wire.url(), v.pin))
	}
	v.hunt(h)
	h.look("metrics", "/metrics", get(t, v.admin+"/metrics"))
	v.quit() // its last words are a trace of all goroutines
	h.look("logs", "its output", v.out.seen())
	h.look("logs", "its log", v.log.seen())
	awaitBytes(t, wire.seen)
	h.look("wire", "loopback", wire.seen())

	h.saw("wire", names)
	least := map[string]int64{"disk": 1 << 10, "logs": 1 << 10, "metrics": 1 << 10, "wire": int64(len(people)) << 16}
	if !underRace {
		h.saw("memory of the host", names)
		h.saw("memory of the box", vaultTokens)
		least["memory of the host"], least["memory of the box"] = 1<<20, 1<<20
	}
	h.judge(least)
	soak.Tried(t, "P10", "canaries, each in every form, nowhere but where they may be", len(secrets), soak.Size(canariesEveryday, canariesLong))
}

// TestPipeCarriesNoSecret: every byte between the host and the box's process.
func TestPipeCarriesNoSecret(t *testing.T) {
	t.Parallel()
	v := startTapped(t)
	var people []*person
	var secrets []*secret
	for n := range accountsEveryday {
		p, theirs := drawPerson(t, n, v.data)
		people, secrets = append(people, p), append(secrets, theirs...)
	}
	for _, p := range people {
		c := p.client(v.server.URL, v.server.Pin)
		p.lives(t, c)
		p.ends(t, c)
	}
	v.server.Stop()
	h := newHunt(t, secrets)
	h.look("pipe", "to the box", v.capture(t, "in"))
	h.look("pipe", "from the box", v.capture(t, "out"))
	h.judge(map[string]int64{"pipe": int64(len(people)) << 16})
}
