package client_test

import (
	"errors"
	"fmt"
	"testing"

	"strongroom/client"
)

// Somebody drops every last answer. Each new run with the right password would
// be a guess that is never paid back: the eleventh would find the record
// destroyed. With the proof of the first run it is one guess for all of them.
func TestProofOutlivesTheRun(t *testing.T) {
	r, ctx := newRig(t), within(t)
	p := payload()
	_, err := r.vault(t, nil).Register(ctx, right, p)
	must(t, err)
	before := r.counter.Evaluations()

	guess, err := r.vault(t, &line{drop: func(post int) bool { return post > 2 }}).Begin(right)
	must(t, err)
	if _, _, err = guess.Run(ctx); !errors.Is(err, client.ErrOutcomeUnknown) || guess.Proof() == nil {
		t.Fatalf("%v, proof %v", err, guess.Proof())
	}
	kept, err := guess.Proof().Encode()
	must(t, err)
	for range 12 { // new runs, the same thief on the line
		proof, err := client.ParseProof(kept)
		must(t, err)
		if _, _, err = r.vault(t, &line{drop: func(post int) bool { return post > 1 }}).Resume(ctx, proof); !errors.Is(err, client.ErrOutcomeUnknown) {
			t.Fatal(err)
		}
	}
	proof, err := client.ParseProof(kept)
	must(t, err)
	got, status, err := r.vault(t, nil).Resume(ctx, proof)
	must(t, err)
	if !same(got, p) || status.Left != 10 {
		t.Fatalf("another payload, or %d left", status.Left)
	}
	if n := r.counter.Evaluations() - before; n != 1 {
		t.Fatalf("%d guesses evaluated", n)
	}
}

func TestProofGoesStale(t *testing.T) {
	r, ctx := newRig(t), within(t)
	_, err := r.vault(t, nil).Register(ctx, right, payload())
	must(t, err)
	guess, err := r.vault(t, &line{drop: func(post int) bool { return post > 2 }}).Begin(right)
	must(t, err)
	_, _, err = guess.Run(ctx)
	proof := guess.Proof()
	if proof == nil {
		t.Fatal(err)
	}
	_, _, err = r.vault(t, nil).Recover(ctx, "another guess, by another device")
	if _, _, err = r.vault(t, nil).Resume(ctx, proof); !errors.Is(err, client.ErrProofStale) {
		t.Fatalf("after another guess: %v", err)
	}
	other := *proof
	other.Account = "somebody else"
	if _, _, err = r.vault(t, nil).Resume(ctx, &other); !errors.Is(err, client.ErrProofStale) {
		t.Fatalf("another account: %v", err)
	}
	if _, _, err = r.vault(t, &line{drop: func(int) bool { return true }}).Resume(ctx, proof); errors.Is(err, client.ErrProofStale) {
		t.Fatalf("a broken line is no reason to throw a proof away: %v", err)
	}
	wrong, err := r.vault(t, nil).Begin("not the password")
	must(t, err)
	if _, _, err = wrong.Run(ctx); wrong.Proof() != nil {
		t.Fatalf("a wrong password has a proof, %v", err)
	}
	if s := fmt.Sprintf("%v %+v %x", proof, proof, proof); len(s) > 40 {
		t.Fatalf("a proof prints: %s", s)
	}
}

func FuzzParseProof(f *testing.F) {
	good, err := (&client.Proof{KE1: []byte{1}, KE3: []byte{2}, SessionKey: []byte{3}, ExportKey: []byte{4}}).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := client.ParseProof(b)
		if err != nil {
			return
		}
		again, err := p.Encode()
		if err != nil || string(again) != string(b) {
			t.Fatalf("%x encodes to %x, %v", b, again, err)
		}
	})
}
