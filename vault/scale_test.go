package vault

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io/fs"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"strongroom/host/node"
	"strongroom/hsm/soft"
	"strongroom/protocol/bundle"
	"strongroom/protocol/opaque"
	"strongroom/protocol/wire"
	"strongroom/test/soak"
	"strongroom/vault/hal"
	"strongroom/vault/internal/record"
)

// Of a million records: what the box may have in memory above an empty one's,
// and a record on the disk. The first start after a crash is measured too.
const (
	scaleMemoryBytesMax = 64 << 20
	scaleRecordBytesMax = 1229 // 1.2 KiB
)

// scale is a box over a real store, whose records are made without clients:
// a million of their registrations would be ten minutes of curves.
type scale struct {
	testing.TB
	path             string
	hal              hal.HAL
	document, island []byte
	store            *node.Store
	vault            *Vault
	in               Input
}

func newScale(t testing.TB) *scale {
	t.Helper()
	h, err := soft.Create(t.TempDir(), []byte("passphrase"), soft.Cheap)
	ok(t, err)
	s := &scale{TB: t, hal: h, path: t.TempDir()}
	s.document, s.island, err = Make(h, Founding{
		Suite: opaque.P256SHA256, Policy: bundle.Policy{Attempts: 10, TicketMillis: 120_000},
		Issuers:   []bundle.Issuer{{ID: "test", Alg: "EdDSA", Key: make([]byte, 32)}},
		Isolation: "none", Rollback: "file",
	})
	ok(t, err)
	for _, name := range []string{"log", "records"} {
		ok(t, os.Mkdir(filepath.Join(s.path, name), 0o700))
	}
	s.open()
	return s
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (s *scale) open() {
	s.Helper()
	var err error
	s.store, err = node.OpenStore(filepath.Join(s.path, "log"), filepath.Join(s.path, "records"), nil)
	ok(s.TB, err)
	s.vault, err = Open(s.hal, rand.Reader, s.document, s.island, s.store)
	ok(s.TB, err)
	s.in = Input{In: wire.In{NowMillis: 1_700_000_000_000}}
}

// step calls Step and does what it asks for.
func (s *scale) step() (busy bool) {
	s.Helper()
	s.in.Durable = s.store.Last()
	o := s.vault.Step(s.in)
	return s.serve(o)
}

func (s *scale) serve(o Output) (busy bool) {
	s.Helper()
	ok(s.TB, o.Fatal)
	s.in = Input{In: wire.In{NowMillis: s.in.NowMillis, Kept: s.in.Kept}}
	ok(s.TB, s.store.Append(o.Append))
	for _, r := range o.Reads {
		values, err := s.store.Read(r.Keys)
		ok(s.TB, err)
		s.in.Found = append(s.in.Found, wire.Found{ID: r.ID, Values: values})
	}
	if o.Checkpoint != nil {
		ok(s.TB, s.store.Keep(o.Pages, *o.Checkpoint))
		s.in.Kept = o.Checkpoint.Serial
	}
	for _, j := range append(o.Jobs, o.Anchor) {
		if j != nil {
			s.in.Done = append(s.in.Done, j.Run(s.hal))
		}
	}
	return len(o.Append)+len(o.Reads)+len(s.in.Done) > 0 || o.Checkpoint != nil
}

func (s *scale) settle() {
	s.Helper()
	for s.step() {
	}
}

func accountOf(i int) string { return fmt.Sprintf("account %d", i) }

// register makes records of the size that a client's have.
func (s *scale) register(from, to int) {
	s.Helper()
	for i := from; i < to; i++ {
		g := record.Register{Keys: record.Keys{
			Wrapped: noise(110), Opaque: noise(129), SealedKey: noise(180), Stretch: wire.Stretch{Time: 3, MemoryKiB: 64 << 10, Threads: 4},
		}}
		binary.BigEndian.PutUint64(g.Generation[:], uint64(i)+1)
		rand.Read(g.Keys.Owner[:])
		rand.Read(g.Keys.Seed[:])
		s.vault.hold(accountOf(i), func(h *held) {
			s.vault.propose(h, record.Command{Register: &g}, nil)
			s.vault.unpin(h)
		})
	}
	s.serve(s.vault.out)
	s.settle()
}

func noise(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// visit looks at random accounts.
func (s *scale) visit(r *mathrand.Rand, records, times int) {
	s.Helper()
	for done := 0; done < times; {
		s.vault.out = Output{}
		for range 32 {
			s.vault.hold(accountOf(r.IntN(records)), func(h *held) {
				if h.record.State != wire.StateLive {
					s.Errorf("%s: state %d", h.account, h.record.State)
				}
				s.vault.unpin(h)
				done++
			})
		}
		s.serve(s.vault.out)
		s.settle()
	}
}

// debit charges the first accounts; debited checks that it was never forgotten.
func (s *scale) debit(accounts int) {
	s.Helper()
	s.vault.out = Output{}
	for i := range accounts {
		s.vault.hold(accountOf(i), func(h *held) {
			d := record.Debit{Generation: h.record.Generation, Slot: 1, KE1: [32]byte{1}, NowMillis: s.in.NowMillis}
			s.vault.propose(h, record.Command{Debit: &d}, nil)
			s.vault.unpin(h)
		})
	}
	s.serve(s.vault.out)
	s.settle()
}

func (s *scale) debited(accounts int) {
	s.Helper()
	s.vault.out = Output{}
	for i := range accounts {
		s.vault.hold(accountOf(i), func(h *held) {
			if h.record.Slot != 1 {
				s.Errorf("%s: %d debits", h.account, h.record.Slot)
			}
			s.vault.unpin(h)
		})
	}
	s.serve(s.vault.out)
	s.settle()
}

// TestManyRecords: memory, disk and start of a box with many records.
func TestManyRecords(t *testing.T) {
	records := soak.Size(20_000, 1_000_000)
	s := newScale(t)
	heap := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	empty := heap()
	const batch = 500
	for i := 0; i < records; i += batch {
		s.register(i, min(i+batch, records))
	}
	s.in.NowMillis += 61_000
	s.register(records, records+1) // and with it a checkpoint
	r := mathrand.New(mathrand.NewPCG(1, 2))
	s.debit(100)
	s.visit(r, records, max(records/20, 3*heldMax)) // and no checkpoint between
	memory := heap() - empty
	if nodes, held := s.vault.tree.Held(), len(s.vault.held); nodes > nodesMax+100 || held > heldMax+batch {
		t.Errorf("%d nodes and %d records held", nodes, held)
	}
	s.debited(100)
	ok(t, s.store.Close())
	disk := folderBytes(t, s.path)
	began := time.Now()
	s.open()
	took := time.Since(began)
	s.visit(r, records, 100)
	s.debited(100)
	ok(t, s.store.Close())
	t.Logf("%d records: %.1f MiB of memory above empty (the store's own among them), %d bytes of disk a record, start in %v", records, float64(memory)/(1<<20), disk/int64(records), took.Round(time.Millisecond))
	if memory > scaleMemoryBytesMax+(48<<20) { // the store's cache and tables are the host's
		t.Errorf("%d bytes of memory", memory)
	}
	if disk > int64(records)*scaleRecordBytesMax+(8<<20) {
		t.Errorf("%d bytes of disk for %d records", disk, records)
	}
	soak.Tried(t, "scale", "records in the tree of one box", records, soak.Size(20_000, 1_000_000))
}

func folderBytes(t testing.TB, path string) (bytes int64) {
	t.Helper()
	ok(t, filepath.WalkDir(path, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		bytes += info.Size()
		return err
	}))
	return bytes
}
