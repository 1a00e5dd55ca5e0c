package pack

import (
	"context"
	"iter"
	"slices"
	"strings"
	"testing"

	"strongroom/store"
	"strongroom/store/mem"
)

// meanwhile is a storage in which something happens in the middle of a look.
type meanwhile struct {
	store.Store
	get  func() // before the next read below c/ or d/, once
	list func() // while the next listing shows nothing below c/ or d/, once
}

func (m *meanwhile) Get(ctx context.Context, name string, offset, length int64) ([]byte, error) {
	if do := m.get; do != nil && (strings.HasPrefix(name, prefixClaim) || strings.HasPrefix(name, prefixCondemned)) {
		m.get = nil
		do()
	}
	return m.Store.Get(ctx, name, offset, length)
}

func (m *meanwhile) List(ctx context.Context, prefix string) iter.Seq2[store.Info, error] {
	if do := m.list; do != nil && (prefix == prefixClaim || prefix == prefixCondemned) {
		m.list = nil
		do()
		return func(func(store.Info, error) bool) {}
	}
	return m.Store.List(ctx, prefix)
}

// A backup that renews its claim while a prune looks for claims is seen by it.
func TestRenewedClaimIsSeen(t *testing.T) {
	for _, where := range []string{"between the listing and the reading", "in the middle of the listing"} {
		t.Run(where, func(t *testing.T) {
			m := &meanwhile{Store: mem.New()}
			r, err := Create(t.Context(), m, &[32]byte{1})
			if err != nil {
				t.Fatal(err)
			}
			must := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			before, after := NewClaimName(), NewClaimName()
			must(r.PutClaim(t.Context(), before, Claim{Purpose: ClaimBackup}))
			renew := func() {
				must(r.PutClaim(t.Context(), after, Claim{Purpose: ClaimBackup}))
				must(r.DropClaim(t.Context(), before))
			}
			if where == "in the middle of the listing" {
				m.list = renew
			} else {
				m.get = renew
			}
			if claims, err := r.Claims(t.Context()); err != nil || len(claims) == 0 {
				t.Errorf("a prune saw no claim where one stood all the time: %v", err)
			}
		})
	}
}

// What a prune still condemns is seen by who looks while it works its lists
// off.
func TestReplacedListIsSeen(t *testing.T) {
	m := &meanwhile{Store: mem.New()}
	r, err := Create(t.Context(), m, &[32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	gone, stays := newName(), newName()
	old, err := r.putCondemned(t.Context(), Condemned{Packs: []Name{gone, stays}})
	if err != nil {
		t.Fatal(err)
	}
	m.get = func() {
		if err := (&Prune{r: r}).replace(t.Context(), old, Condemned{Packs: []Name{stays}}); err != nil {
			t.Error(err)
		}
	}
	all, damage, err := r.condemned(t.Context())
	if err != nil || len(damage) > 0 || len(all) != 1 || !slices.Equal(all[0].Packs, []Name{stays}) {
		t.Errorf("%+v %v %v", all, damage, err)
	}
}
