package vault_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"strongroom/hsm/hsmtest"
	"strongroom/hsm/soft"
	"strongroom/hsm/tpm"
	"strongroom/protocol/bundle"
	"strongroom/protocol/opaque"
	"strongroom/protocol/wire"
	"strongroom/test/disk"
	"strongroom/test/soak"
	"strongroom/vault"
	"strongroom/vault/hal"
	"strongroom/vault/internal/ledger"
)

const hour = 3600 * 1000

// newRigOver is a rig of epochs of an hour, over any HSM.
func newRigOver(t *testing.T, h hal.HAL) *rig {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	r := &rig{TB: t, hal: hsmtest.NewCounter(h), Disk: disk.New(), issuer: private, now: 1_700_000_000_000, serving: func() {}, served: func() {}}
	r.document, r.island, err = vault.Make(r.hal, vault.Founding{
		Suite: opaque.P256SHA256, Policy: bundle.Policy{Attempts: 10, TicketMillis: 120_000, EpochMillis: hour},
		Issuers:   []bundle.Issuer{{ID: "test", Alg: "EdDSA", Key: public}},
		Isolation: "none", Rollback: "file",
	})
	must(t, err)
	r.fleet, err = bundle.Decode(r.document)
	must(t, err)
	must(t, r.start())
	return r
}

// passes lets time go by in steps, so that the box does what it does by itself.
func (r *rig) passes(millis, step uint64) {
	r.Helper()
	for end := r.now + millis; r.now < end; {
		r.now = min(r.now+step, end)
		r.turn()
	}
}

// end is one way in which a record ends, and how its account then stands.
type end struct {
	name  string
	by    func(r *rig, account string, gen wire.Generation)
	state wire.State
}

var ends = []end{
	{"deleted", func(r *rig, account string, gen wire.Generation) {
		_, _, code := r.first(wire.First{Token: r.vaultToken(account), Delete: &wire.Delete{
			Generation: gen, Signature: ed25519.Sign(owner("K"), wire.DeleteStatement(r.fleet.ID, account, gen)),
		}})
		if code != "" {
			r.Fatalf("deletion: %q", code)
		}
	}, wire.StateDeleted},
	{"destroyed", func(r *rig, account string, _ wire.Generation) {
		for i := range 10 {
			r.recover(account, fmt.Sprintf("wrong password %d", i))
		}
	}, wire.StateDestroyed},
	{"replaced", func(r *rig, account string, gen wire.Generation) {
		g := r.prepare(account, "another password", "K", &gen)
		g.sign(r, account, "K")
		if _, code := r.finish(g); code != "" {
			r.Fatalf("replacement: %q", code)
		}
	}, wire.StateLive},
}

// gone goes through a day: records are made, yesterday's disk is copied, the
// records end, an epoch ends, and yesterday's disk stands beside today's HSM
// again. It tells how many records stayed gone.
func gone(t *testing.T, r *rig, accounts int, again func() hal.HAL) (n int) {
	t.Helper()
	gens := make([]wire.Generation, accounts)
	name := func(i int) string { return fmt.Sprintf("%d@example", i) }
	for i := range accounts {
		gens[i] = r.register(name(i), right, "K")
	}
	r.passes(3*60_000, 30_000) // a checkpoint is kept
	yesterday := r.Disk.Copy()
	if yesterday.Kept.Index == 0 || len(yesterday.Pages) < accounts {
		t.Fatalf("yesterday's disk has %d pages of %d records", len(yesterday.Pages), accounts)
	}
	old, err := r.hal.EpochKeys()
	must(t, err)
	for i := range accounts {
		ends[i%len(ends)].by(r, name(i), gens[i])
	}
	r.passes(5*60_000, 30_000) // the last attempts' tickets run out
	r.passes(2*hour, 60_000)
	now, err := r.hal.EpochKeys()
	must(t, err)
	for _, number := range old {
		if slices.Contains(now, number) {
			t.Fatalf("the key of epoch %d is still there", number)
		}
	}

	// 1. Yesterday's disk, whole.
	today := r.Disk
	r.hal.HAL = again()
	r.Disk = yesterday.Copy()
	if err := r.start(); !errors.Is(err, ledger.ErrShredded) {
		t.Fatalf("yesterday's disk: %v, want %v", err, ledger.ErrShredded)
	}
	// 2. Yesterday's checkpoint with today's log.
	r.Disk = yesterday.Copy()
	r.Written = today.Copy().Written
	if err := r.start(); !errors.Is(err, ledger.ErrShredded) {
		t.Fatalf("yesterday's checkpoint with today's log: %v", err)
	}
	// 3. A thief with the HSM itself asks it for yesterday's secrets.
	for _, number := range old {
		for _, page := range yesterday.Pages {
			list, err := ledger.ListEpochs(page)
			if err != nil {
				continue
			}
			for _, e := range list {
				if _, err := r.hal.OpenEpoch(e.Number, fmt.Appendf(nil, "strongroom/v1/epoch%s%s", r.fleet.ID[:], bigEndian(e.Number)), e.Sealed); err == nil {
					t.Fatalf("the HSM still opens the secret of epoch %d", number)
				}
			}
		}
	}
	// 4. Today's disk says what has happened, also after a start; so it does
	// with yesterday's log, which today's checkpoint has no use for.
	r.Disk = today.Copy()
	r.Written = yesterday.Copy().Written
	must(t, r.start())
	for i := range accounts {
		s := r.status(name(i))
		if want := ends[i%len(ends)]; s.State != want.state || (s.Generation == gens[i]) == (want.name == "replaced") {
			t.Fatalf("%s, %s: %+v", name(i), want.name, s)
		}
		// 5. Yesterday's pages under today's checkpoint: the box that looks at
		// one stops.
		mixed := *r
		mixed.Disk = today.Copy()
		for key, page := range yesterday.Pages {
			if _, err := ledger.ListEpochs(page); err != nil { // all but the checkpoint
				mixed.Pages[key] = page
			}
		}
		if err := stops(&mixed, name(i)); err == "" {
			t.Fatalf("%s: yesterday's pages under today's checkpoint are taken", name(i))
		}
		n++
	}
	return n
}

// stops asks for an account's status, and gives the reason for which the box
// stops, "" if it does not.
func stops(r *rig, account string) string {
	f := &failure{TB: r.TB}
	r.TB = f
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := r.start(); err != nil {
			f.reason = err.Error()
			return
		}
		r.status(account)
	}()
	<-ended
	return f.reason
}

// failure is a test that keeps the reason why it would end.
type failure struct {
	testing.TB
	reason string
}

func (f *failure) Fatal(a ...any) {
	f.reason = fmt.Sprint(a...)
	runtime.Goexit()
}

func bigEndian(n uint64) []byte {
	return []byte{byte(n >> 56), byte(n >> 48), byte(n >> 40), byte(n >> 32), byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
}

// TestDeletedMeansGone, with the soft HSM: as far as the disk really forgets,
// whoever copied the disk and later takes the HSM has nothing that was
// deleted, destroyed or replaced before the epoch.
func TestDeletedMeansGone(t *testing.T) {
	h, err := soft.Create(t.TempDir(), []byte("passphrase"), soft.Cheap)
	must(t, err)
	r := newRigOver(t, h)
	accounts := soak.Size(20, 1000)
	n := gone(t, r, accounts, func() hal.HAL { return h })
	soak.Tried(t, "P18", "records deleted, destroyed or replaced, and yesterday's disk put back", n, accounts)
}

// TestDeletedMeansGoneTPM: the same with keys in a TPM, and all that the TPM
// keeps in its folder put back too.
func TestDeletedMeansGoneTPM(t *testing.T) {
	folder, options := t.TempDir(), tpm.Options{Path: softwareTPM(t)}
	h, err := tpm.Create(folder, options)
	must(t, err)
	r := newRigOver(t, h)
	yesterday := t.TempDir()
	must(t, os.CopyFS(yesterday, os.DirFS(folder)))
	accounts := soak.Size(3, 30)
	n := gone(t, r, accounts, func() hal.HAL {
		must(t, h.Close())
		again, err := tpm.Open(yesterday, options)
		must(t, err)
		t.Cleanup(func() { _ = again.Close() })
		return again
	})
	soak.Tried(t, "P18", "the same under a TPM", n, accounts)
}

// softwareTPM starts swtpm, a real TPM 2.0 in software, and gives its socket.
func softwareTPM(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("swtpm")
	if err != nil {
		t.Fatal("this test needs a software TPM: apt-get install swtpm (.ci/tpm does it)")
	}
	dir := t.TempDir()
	socket := filepath.Join(dir, "tpm")
	p := exec.Command(program, "socket", "--tpm2", "--tpmstate", "dir="+dir,
		"--server", "type=unixio,path="+socket, "--flags", "not-need-init,startup-clear")
	p.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	must(t, p.Start())
	t.Cleanup(func() { _ = p.Process.Kill(); _ = p.Wait() })
	for range 1000 {
		if c, err := net.Dial("unix", socket); err == nil {
			_ = c.Close()
			return socket
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("swtpm does not open its socket")
	return ""
}
