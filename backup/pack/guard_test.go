package pack

import (
	"bytes"
	"errors"
	"testing"

	"strongroom/store/mem"
)

func FuzzClaim(f *testing.F) {
	f.Add(encode(Claim{Version: claimVersion, Host: "phone", Purpose: ClaimPrune, TimeNanos: -1}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := parseClaim(b); err == nil && !bytes.Equal(encode(c), b) {
			t.Fatal("two forms of one claim")
		}
	})
}

func FuzzCondemned(f *testing.F) {
	f.Add(encode(Condemned{Version: condemnedVersion, Packs: []Name{{1}, {2}}, Manifests: []Name{{3}}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := parseCondemned(b); err == nil && !bytes.Equal(encode(c), b) {
			t.Fatal("two forms of one condemned object")
		}
	})
}

// A claim stands whatever became of its bytes; a condemned object that does
// not open condemns nothing. Each opens only under its own name and kind.
func TestDamagedGuards(t *testing.T) {
	st, key := mem.New(), [32]byte{1}
	r, err := Create(t.Context(), st, &key)
	if err != nil {
		t.Fatal(err)
	}
	n := NewClaimName()
	if err := r.PutClaim(t.Context(), n, Claim{Host: "phone", Purpose: ClaimBackup}); err != nil {
		t.Fatal(err)
	}
	c, err := r.putCondemned(t.Context(), Condemned{Packs: []Name{{7}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, swap := range []struct{ from, to string }{
		{n.under(prefixClaim), c.name.under(prefixCondemned)}, {c.name.under(prefixCondemned), Name{9}.under(prefixCondemned)}, {c.name.under(prefixCondemned), Name{9}.under(prefixClaim)},
	} {
		b, err := st.Get(t.Context(), swap.from, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(st.Delete(t.Context(), swap.to), st.Put(t.Context(), swap.to, b)); err != nil {
			t.Fatal(err)
		}
		if all, damage, err := r.condemned(t.Context()); err != nil || swap.to[:2] == prefixCondemned && len(damage) == 0 {
			t.Errorf("%s taken for %s: %v %v", swap.from, swap.to, all, err)
		}
	}
	claims, err := r.Claims(t.Context())
	if err != nil || len(claims) != 2 {
		t.Fatal(claims, err)
	}
	for _, c := range claims {
		if c.Name == n && c.Host != "phone" || c.Name != n && c.Claim != (Claim{}) {
			t.Errorf("%+v", c)
		}
	}
	damage, err := r.CheckStructure(t.Context())
	if err != nil || len(damage) != 3 {
		t.Errorf("%v %v", damage, err)
	}
}
