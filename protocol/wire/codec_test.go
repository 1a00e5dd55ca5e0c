package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"
)

func TestByteArraysAreByteStrings(t *testing.T) {
	b, err := Encode(struct {
		A [3]byte `cbor:"1,keyasint"`
		B []byte  `cbor:"2,keyasint"`
	}{A: [3]byte{1, 2, 3}})
	if err != nil || hex.EncodeToString(b) != "a201430102030240" {
		t.Fatalf("%x, %v", b, err)
	}
}

func TestRoundTrip(t *testing.T) {
	f := First{Version: 1, Token: "t", Status: &StatusRequest{}}
	b, err := Encode(&f)
	if err != nil {
		t.Fatal(err)
	}
	g, err := DecodeFirst(b)
	if err != nil || g.Status == nil {
		t.Fatal(g, err)
	}
	c, err := Encode(*g)
	if err != nil || !bytes.Equal(b, c) {
		t.Fatal(err)
	}
	f.Version = 2
	if _, err := Encode(f); !errors.Is(err, ErrMalformed) {
		t.Fatal(err)
	}
}
