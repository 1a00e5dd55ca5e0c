package backup

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"strongroom/store"
	"strongroom/store/mem"
)

// counted counts what is asked of a storage: packs, and everything else.
type counted struct {
	store.Store
	packs, others atomic.Int64
}

func (c *counted) Get(ctx context.Context, name string, offset, length int64) ([]byte, error) {
	if strings.HasPrefix(name, "p/") {
		c.packs.Add(1)
	} else {
		c.others.Add(1)
	}
	return c.Store.Get(ctx, name, offset, length)
}

// A restore asks for each pack about once, and for little else, however many
// backups there were: storages charge for requests, and lines are slow.
func TestRestoreAsksForEachPackOnce(t *testing.T) {
	const files, fileBytes, days = 400, 160 << 10, 10
	root, state := t.TempDir(), t.TempDir()
	chacha := rand.NewChaCha8([32]byte{7})
	buf := make([]byte, fileBytes)
	add := func(name string) {
		chacha.Read(buf)
		if err := os.WriteFile(filepath.Join(root, name), buf, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i := range files {
		add(fmt.Sprint(i))
	}
	st := &counted{Store: mem.New()}
	r := mustCreate(t, st)
	for day := range days {
		add(fmt.Sprint("day", day))
		mustBackup(t, r, state, root)
	}
	packs := int64(0)
	for _, err := range st.List(t.Context(), "p/") {
		if err != nil {
			t.Fatal(err)
		}
		packs++
	}
	st.packs.Store(0)
	st.others.Store(0)
	mustRestore(t, r, "latest", "")
	t.Logf("%d packs: asked %d times for packs, %d times for others", packs, st.packs.Load(), st.others.Load())
	if packs < days || st.packs.Load()*10 > packs*12 {
		t.Errorf("%d requests for %d packs", st.packs.Load(), packs)
	}
	const heads, indexes, manifest = 8, days, 1
	if got := st.others.Load(); got > heads+indexes+manifest {
		t.Errorf("%d requests for what is no pack", got)
	}
}
