package client_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"strongroom/client"
	"strongroom/protocol/bundle"
	"strongroom/protocol/wire"
)

// A signed status can be shown to others, who need the pin and nothing else;
// whatever is changed in it is found.
func TestEvidence(t *testing.T) {
	r := newRig(t)
	ctx := within(t)
	v := r.vault(t, nil)
	_, err := v.Register(ctx, right, payload())
	must(t, err)
	for range 2 {
		if _, _, err := r.vault(t, nil).Recover(ctx, another); err == nil {
			t.Fatal("a wrong password recovers")
		}
	}
	evidence, status, err := v.SignedStatus(ctx)
	must(t, err)
	text, err := evidence.Encode()
	must(t, err)
	s, fleet, err := client.CheckEvidence(r.pin, text)
	must(t, err)
	if s.Account != account || s.Report.Wrong != 2 || status.Wrong != 2 || fleet.ID != r.fleet.ID || s.Report.History[1].Count != 2 {
		t.Fatalf("%+v", s)
	}
	if at := time.UnixMilli(int64(s.AtMillis)); time.Since(at).Abs() > time.Hour {
		t.Fatalf("signed at %v", at)
	}

	if _, _, err := client.CheckEvidence(bundle.PinOf([]byte("another fleet")), text); !errors.Is(err, client.ErrEvidence) || !errors.Is(err, bundle.ErrPin) {
		t.Errorf("under another pin: %v", err)
	}
	for i := 0; i < len(evidence.Statement); i++ {
		bad := evidence
		bad.Statement = append([]byte{}, evidence.Statement...)
		bad.Statement[i] ^= 1
		refusedEvidence(t, r, "statement", bad)
	}
	for i := range evidence.Signature {
		bad := evidence
		bad.Signature = append([]byte{}, evidence.Signature...)
		bad.Signature[i] ^= 1
		refusedEvidence(t, r, "signature", bad)
	}
	for name, change := range map[string]func(*client.Evidence){
		"kind":               func(e *client.Evidence) { e.Kind = "another" },
		"document":           func(e *client.Evidence) { e.Document = append([]byte{}, e.Document[1:]...) },
		"no signature":       func(e *client.Evidence) { e.Signature = nil },
		"zeros":              func(e *client.Evidence) { e.Signature = make([]byte, wire.SignatureBytes) },
		"a longer signature": func(e *client.Evidence) { e.Signature = append([]byte{0}, e.Signature...) },
		"no statement":       func(e *client.Evidence) { e.Statement = nil },
	} {
		bad := evidence
		change(&bad)
		refusedEvidence(t, r, name, bad)
	}
	for _, text := range []string{"", "{}", "null", "[]", string(make([]byte, client.EvidenceBytesMax+1))} {
		if _, _, err := client.CheckEvidence(r.pin, []byte(text)); !errors.Is(err, client.ErrEvidence) {
			t.Errorf("%.10q: %v", text, err)
		}
	}
}

func refusedEvidence(t *testing.T, r *rig, name string, e client.Evidence) {
	t.Helper()
	text, err := json.Marshal(e)
	must(t, err)
	if _, _, err := client.CheckEvidence(r.pin, text); !errors.Is(err, client.ErrEvidence) {
		t.Fatalf("%s: %v", name, err)
	}
}

// A watch hears of an attempt as it happens, and costs none.
func TestWatchHears(t *testing.T) {
	r := newRig(t)
	ctx := within(t)
	v := r.vault(t, nil)
	_, err := v.Register(ctx, right, payload())
	must(t, err)
	st, err := v.Watch(ctx, 0)
	must(t, err)
	if st.Newest() != 1 {
		t.Fatalf("%+v", st)
	}
	heard := make(chan wire.StatusReport, 1)
	failed := make(chan error, 1)
	go func() {
		st, err := v.Watch(ctx, st.Newest())
		if err != nil {
			failed <- err
			return
		}
		heard <- st
	}()
	before := r.counter.Evaluations()
	if _, _, err := r.vault(t, nil).Recover(ctx, another); err == nil {
		t.Fatal("a wrong password recovers")
	}
	select {
	case st = <-heard:
	case err := <-failed:
		t.Fatal(err)
	}
	if st.Newest() != 2 || st.Wrong != 1 || r.counter.Evaluations() != before+1 {
		t.Fatalf("%+v", st)
	}
}
