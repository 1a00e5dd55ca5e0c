//go:build !pkcs11 || !cgo

package serve_test

import (
	"errors"
	"testing"

	"strongroom/cmd/internal/serve"
	"strongroom/hsm/pkcs11"
)

// A program without the provider says how to build one with it, and leaves
// nothing that stands in the way of a vault.
func TestTokenIsNotBuiltIn(t *testing.T) {
	c := config(t.TempDir())
	c.HSM, c.Token = "pkcs11", serve.Token{Module: "lib.so", Label: "vault", PINFile: "pin"}
	if _, err := serve.Start(t.Context(), c); !errors.Is(err, pkcs11.ErrNotBuilt) {
		t.Fatalf("%v", err)
	}
	c.HSM = ""
	start(t, c)
}
