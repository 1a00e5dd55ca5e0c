package serve_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"strongroom/client"
	"strongroom/cmd/internal/ceremony"
	"strongroom/cmd/internal/serve"
	"strongroom/host/node"
	"strongroom/hsm/soft"
	"strongroom/protocol/bundle"
	"strongroom/protocol/wire"
)

// isle is an island of several boxes in this process: real boxes, nodes and
// lines, made by a real ceremony.
type isle struct {
	t          *testing.T
	plan       *ceremony.Plan
	fleet      *bundle.Fleet
	custodians []ed25519.PrivateKey
	boxes      []*serve.Server // nil: down
	patience   time.Duration   // of the relays; 0 is theirs
}

var passphraseOfIsle = []byte("a passphrase of a test")

// holdCeremony makes the folders of n boxes at free ports.
func holdCeremony(t *testing.T, n int) *isle { return holdCeremonyOf(t, n, "") }

// holdCeremonyOf has the island join a founder, whose document's file it names.
func holdCeremonyOf(t *testing.T, n int, founder string) *isle {
	t.Helper()
	at := t.TempDir()
	i := &isle{t: t, boxes: make([]*serve.Server, n)}
	plan := ceremony.Plan{Quorum: 2, Founder: founder}
	if founder == "" {
		plan.Rules = ceremony.Rules{Attempts: 10, Waits: serve.WaitsNone}
	}
	for k := range n {
		plan.Boxes = append(plan.Boxes, ceremony.PlanBox{Name: fmt.Sprint("site ", k+1), Data: filepath.Join(at, fmt.Sprint(k)), Address: freeAddress(t)})
	}
	for k := range 2 {
		public, private, err := ed25519.GenerateKey(rand.Reader)
		must(t, err)
		c, _, err := ceremony.NewCustodian(fmt.Sprint("custodian ", k), passphraseOfIsle, 2)
		must(t, err)
		c.Card.Sign = hex.EncodeToString(public)
		i.custodians = append(i.custodians, private)
		plan.Custodians = append(plan.Custodians, writeJSON(t, filepath.Join(at, c.Card.Name+".json"), c.Card))
	}
	p, text, err := ceremony.ReadPlan(writeJSON(t, filepath.Join(at, "plan.json"), plan))
	must(t, err)
	r, err := ceremony.Hold(p, text, ceremony.Options{
		Out: filepath.Join(at, "out"), Passphrase: passphraseOfIsle, Stretch: soft.Cheap,
		Program: func() (ceremony.Program, error) { return ceremony.Program{Version: "test"}, nil },
	})
	must(t, err)
	i.plan, i.fleet = p, r.Fleet
	t.Cleanup(func() {
		var stopping sync.WaitGroup
		for k := range i.boxes {
			stopping.Go(func() { i.stop(k) })
		}
		stopping.Wait()
	})
	return i
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func writeJSON(t *testing.T, path string, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	must(t, err)
	must(t, os.WriteFile(path, text, 0o600))
	return path
}

// freeAddress is a loopback address that nothing listens at. Another process
// may take its port before the box does: so it is of a range of addresses that
// only this test uses.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", fmt.Sprintf("127.%d.%d.%d:0", 77, os.Getpid()>>8&255, os.Getpid()&255|1))
	must(t, err)
	defer l.Close()
	return l.Addr().String()
}

func (i *isle) config(k int) serve.Config {
	c := config(i.plan.Boxes[k].Data)
	c.Passphrase, c.Workers = bytes.Clone(passphraseOfIsle), 1
	c.AccountRate.PerSecond, c.AccountRate.Burst = 1e5, 1e5
	c.AddressRate, c.AnswerWithin = c.AccountRate, i.patience
	return c
}

func (i *isle) start(k int) {
	i.t.Helper()
	s, err := serve.Start(context.Background(), i.config(k))
	must(i.t, err)
	i.boxes[k] = s
}

func (i *isle) stop(k int) {
	if s := i.boxes[k]; s != nil {
		i.boxes[k] = nil
		s.Stop()
	}
}

func until(t *testing.T, what string, true func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !true(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// order has the custodians start the island from what its boxes show.
func (i *isle) order() {
	i.t.Helper()
	o := bundle.Order{Fleet: i.fleet.ID}
	for _, s := range i.boxes {
		until(i.t, "the box shows itself", func() bool { return s.Node().Island() != nil })
		o.Shown = append(o.Shown, s.Node().Island().Shown)
	}
	statement, err := o.Statement()
	must(i.t, err)
	for k, private := range i.custodians {
		o.Signatures = append(o.Signatures, bundle.OrderSignature{Custodian: uint8(k), Signature: ed25519.Sign(private, statement)})
	}
	text, err := o.Encode()
	must(i.t, err)
	for _, s := range i.boxes {
		s.Node().Order(text)
	}
}

// isleOf is an island of n boxes that serves.
func isleOf(t *testing.T, n int) *isle {
	t.Helper()
	i := holdCeremony(t, n)
	i.begin()
	return i
}

func (i *isle) begin() {
	i.t.Helper()
	for k := range i.boxes {
		i.start(k)
	}
	i.order()
	i.whole()
}

// whole waits until each box that is up votes, and knows who leads.
func (i *isle) whole() {
	i.t.Helper()
	for _, s := range i.boxes {
		if s == nil {
			continue
		}
		until(i.t, "every box that is up takes part", func() bool {
			r := s.Node().Island()
			return r != nil && r.Leader != (wire.BoxID{}) && (r.Role == wire.RoleLeader || r.Role == wire.RoleFollower)
		})
	}
}

// leader is the place of the box that leads.
func (i *isle) leader() int {
	for k, s := range i.boxes {
		if s == nil {
			continue
		}
		if r := s.Node().Island(); r != nil && r.Role == wire.RoleLeader && r.Leader == r.Box {
			return k
		}
	}
	return -1
}

// client is an account's, at the relay of a box.
func (i *isle) client(k int, account string) *client.Vault {
	i.t.Helper()
	tokens, err := serve.IssueTokens(i.plan.Boxes[0].Data, account, time.Hour, time.Now())
	must(i.t, err)
	s := i.boxes[k]
	return &client.Vault{
		URL: s.URL, Pin: s.Pin, Account: account, Tokens: client.Tokens(tokens),
		Stretch: wire.Stretch{Time: 1, MemoryKiB: 64, Threads: 1}, Backoff: 10 * time.Millisecond,
	}
}

// Any box takes a request; the one that leads stops, and requests go on, with
// what was charged before; it comes back and takes part again.
func TestIslandServesOnWithoutItsLeader(t *testing.T) {
	i := isleOf(t, 3)
	payload := client.Payload{Key: client.NewKey(), RepositoryID: []byte("0123456789abcdef"), RepositoryURL: "file:/srv/backup"}
	if _, err := i.client(0, "anna").Register(t.Context(), right, payload); err != nil {
		t.Fatal(err)
	}
	for k := range i.boxes {
		wrong := &client.ErrWrongPassword{}
		if _, _, err := i.client(k, "anna").Recover(t.Context(), "a wrong password"); !errors.As(err, &wrong) || wrong.AttemptsLeft != 9-k {
			t.Fatalf("at box %d: %v", k, err)
		}
	}
	led := i.leader()
	i.stop(led)
	left := (led + 1) % 3
	if p, _, err := i.client(left, "anna").Recover(t.Context(), right); err != nil || p.Key != payload.Key {
		t.Fatalf("without the box that led: %v", err)
	}
	i.start(led)
	i.whole()
	status, err := i.client(led, "anna").Status(t.Context())
	if err != nil || status.Left != 10 {
		t.Fatalf("at the box that came back: %+v, %v", status, err)
	}
}

// With one box of three a request is answered when its patience ends: nothing
// was done, and the admin address says why. A cold start brings all back.
func TestNoMajority(t *testing.T) {
	i := holdCeremony(t, 3)
	i.patience = time.Second
	i.begin()
	payload := client.Payload{Key: client.NewKey(), RepositoryID: []byte("0123456789abcdef"), RepositoryURL: "file:/srv/backup"}
	_, err := i.client(0, "anna").Register(t.Context(), right, payload)
	must(t, err)
	i.stop(1)
	i.stop(2)
	s := i.boxes[0]
	until(t, "/healthz says why", func() bool {
		status, body := get(t, s.AdminURL+"/healthz") // one may have handed it the lead before it went
		return status == 503 && strings.Contains(string(body), "reaches 0 of 2 others") && !strings.Contains(string(body), "about to lead")
	})
	if status, _ := get(t, s.URL+"/healthz"); status != 503 {
		t.Fatalf("the public address says %d", status)
	}
	_, page := get(t, s.AdminURL+"/")
	if !bytes.Contains(page, []byte("Not serving.")) {
		t.Fatalf("%s", page)
	}
	tokens, err := serve.IssueTokens(i.plan.Boxes[0].Data, "ben", time.Hour, time.Now())
	must(t, err)
	if status, body := post(t, s.URL, tokens.Relay, bytes.Repeat([]byte{1}, 3000)); status != 503 || code(t, body) != wire.CodeUnavailable {
		t.Fatalf("%d %s", status, body)
	}
	// A majority started anew: nobody can let anybody in, but the custodians.
	i.stop(0)
	i.begin()
	if status, err := i.client(0, "anna").Status(t.Context()); err != nil || status.State != wire.StateLive {
		t.Fatalf("after a cold start: %+v, %v", status, err)
	}
}

// What does not belong together is refused before a box is opened, and the
// words say what to do.
func TestIslandRefused(t *testing.T) {
	i := holdCeremony(t, 3)
	file, nodeKey := filepath.Join(i.plan.Boxes[0].Data, "vault", serve.IslandFileName), filepath.Join(i.plan.Boxes[0].Data, "vault", serve.NodeKeyName)
	good, err := os.ReadFile(file)
	must(t, err)
	key, err := os.ReadFile(nodeKey)
	must(t, err)
	refused := func(want error, words string) {
		t.Helper()
		s, err := serve.Start(t.Context(), i.config(0))
		if err == nil {
			s.Stop()
		}
		if !errors.Is(err, want) || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v", words, err)
		}
	}
	must(t, os.WriteFile(file, good[:len(good)/2], 0o600))
	refused(serve.ErrIslandFile, "does not parse")
	must(t, os.WriteFile(file, bytes.Replace(good, fmt.Appendf(nil, "%x", i.fleet.ID), bytes.Repeat([]byte("0"), 32), 1), 0o600))
	refused(serve.ErrIslandFile, "it is of the fleet 0000")
	must(t, os.Remove(file))
	refused(serve.ErrIslandFile, "it is not there")
	must(t, os.WriteFile(file, good, 0o600))

	must(t, os.Remove(nodeKey))
	refused(serve.ErrNodeKey, "was made now, and has the pin")
	refused(serve.ErrNodeKey, "has the pin")
	must(t, os.WriteFile(nodeKey, []byte("no key"), 0o600))
	refused(serve.ErrNodeKey, "does not parse")
	must(t, os.WriteFile(nodeKey, key, 0o600))

	// Another box's HSM under this one's name: the box says who it is.
	at := filepath.Join(i.plan.Boxes[0].Data, "vault", "hsm")
	must(t, os.Rename(at, at+".away"))
	must(t, os.CopyFS(at, os.DirFS(filepath.Join(i.plan.Boxes[1].Data, "vault", "hsm"))))
	if s, err := serve.Start(t.Context(), i.config(0)); err == nil {
		<-s.Done()
		if err := s.Stop(); !errors.Is(err, node.ErrOtherBox) {
			t.Errorf("another box's HSM: %v", err)
		}
	} else if !errors.Is(err, serve.ErrDamaged) {
		t.Errorf("another box's HSM: %v", err)
	}
	must(t, os.RemoveAll(at))
	must(t, os.Rename(at+".away", at))

	l, err := net.Listen("tcp", i.plan.Boxes[0].Address)
	must(t, err)
	defer l.Close()
	refused(syscall.EADDRINUSE, "Give another --peer-listen")

	alone := config(t.TempDir())
	alone.PeerListen = "127.0.0.1:1"
	if _, err := serve.Start(t.Context(), alone); !errors.Is(err, serve.ErrNoVault) || !strings.Contains(err.Error(), "ceremony") {
		t.Errorf("an empty folder: %v", err)
	}
	alone.PeerListen = ""
	start(t, alone).Stop()
	alone.PeerListen = "127.0.0.1:1"
	if _, err := serve.Start(t.Context(), alone); !errors.Is(err, serve.ErrUsage) {
		t.Errorf("an island of one: %v", err)
	}
}
