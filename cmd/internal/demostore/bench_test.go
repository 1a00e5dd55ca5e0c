package demostore_test

import (
	"os"
	"path/filepath"
	"testing"

	"strongroom/backup"
	"strongroom/cmd/internal/demostore"
	"strongroom/store/dir"
)

// storeBytes is the demo's own size.
const storeBytes = 80 << 20

// phone is a store as the demo makes it, with the cloud that it goes to.
type phone struct {
	*testing.B
	store demostore.Store
	repo  *backup.Repository
	state string
	day   uint64
}

func newPhone(b *testing.B) *phone {
	b.Helper()
	p := &phone{B: b, store: demostore.Store{Dir: filepath.Join(b.TempDir(), "phone"), Seed: 1}}
	p.must(p.store.Make(b.Context(), storeBytes, nil))
	p.SetBytes(p.size())
	p.forget()
	return p
}

// forget starts over with an empty cloud.
func (p *phone) forget() {
	p.Helper()
	cloud, err := dir.Open(p.TempDir())
	p.must(err)
	p.repo, err = backup.Create(p.Context(), cloud, backup.Key{1})
	p.must(err)
	p.state = p.TempDir()
}

func (p *phone) must(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}

func (p *phone) size() (bytes int64) {
	p.must(filepath.WalkDir(p.store.Dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			bytes += info.Size()
		}
		return err
	}))
	return bytes
}

func (p *phone) backup() int64 {
	p.Helper()
	report, err := p.repo.Backup(p.Context(), []string{p.store.Dir}, backup.BackupOptions{StateDir: p.state, Host: "bench"})
	p.must(err)
	return report.BytesSent
}

// BenchmarkDemoData measures the engine on the demo's data: MB/s of the whole
// store, and what was sent.
func BenchmarkDemoData(b *testing.B) {
	b.Run("first backup", func(b *testing.B) {
		p, sent := newPhone(b), int64(0)
		for b.Loop() {
			b.StopTimer()
			p.forget()
			b.StartTimer()
			sent += p.backup()
		}
		b.ReportMetric(float64(sent)/1e6/float64(b.N), "MB-sent")
	})
	b.Run("a day later", func(b *testing.B) {
		p, sent := newPhone(b), int64(0)
		p.backup()
		for b.Loop() {
			b.StopTimer()
			p.day++
			p.must(p.store.AddDay(b.Context(), p.day))
			b.StartTimer()
			sent += p.backup()
		}
		b.ReportMetric(float64(sent)/1e6/float64(b.N), "MB-sent")
	})
	b.Run("restore", func(b *testing.B) {
		p := newPhone(b)
		p.backup()
		for b.Loop() {
			_, err := p.repo.Restore(b.Context(), "latest", b.TempDir(), backup.RestoreOptions{StateDir: b.TempDir()})
			p.must(err)
		}
	})
}
