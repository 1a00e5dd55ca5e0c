package opaque

import (
	"bytes"
	"testing"
)

// The vectors of RFC 9497 appendix A, mode OPRF (0), of our two suites.
const (
	rfc9497File   = "../../spec/vectors/rfc9497.json"
	rfc9497Inputs = 4 // two of each suite
)

type rfc9497Suite struct {
	Identifier, GroupDST, Seed, KeyInfo, SkSm string

	Mode    int
	Vectors []struct{ Blind, BlindedElement, EvaluationElement, Input, Output string }
}

func TestRFC9497(t *testing.T) {
	var vectors []rfc9497Suite
	loadJSON(t, rfc9497File, &vectors)
	ran := 0
	for _, v := range vectors {
		for _, s := range bothSuites {
			if v.Identifier == s.String() && v.Mode == 0 {
				v.run(t, s)
				ran += len(v.Vectors)
			}
		}
	}
	if ran != rfc9497Inputs {
		t.Errorf("ran %d inputs", ran)
	}
}

func (v rfc9497Suite) run(t *testing.T, s *Suite) {
	key, err := s.deriveKey(unhex(t, v.Seed), string(unhex(t, v.KeyInfo)))
	must0(t, err)
	same(t, "skSm", key, v.SkSm)
	same(t, "DST", []byte("HashToGroup-"+s.contextString()), v.GroupDST)
	for _, c := range v.Vectors {
		k, err := s.group.decodeScalar(unhex(t, c.Blind))
		must0(t, err)
		blinded, err := s.blind(unhex(t, c.Input), k)
		must0(t, err)
		same(t, "BlindedElement", blinded.bytes(), c.BlindedElement)
		b, err := soft(t, s, key).Multiply(blinded.bytes())
		must0(t, err)
		same(t, "EvaluationElement", b, c.EvaluationElement)
		evaluated, err := s.group.decode(b)
		must0(t, err)
		same(t, "Output", s.finalize(unhex(t, c.Input), k, evaluated), c.Output)
	}
}

func same(t *testing.T, name string, got []byte, want string) {
	t.Helper()
	if !bytes.Equal(got, unhex(t, want)) {
		t.Errorf("%s:\n got %x\nwant %s", name, got, want)
	}
}
