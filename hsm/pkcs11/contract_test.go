//go:build pkcs11 && cgo

package pkcs11

import (
	"testing"

	"strongroom/hsm/hsmtest"
)

func TestContract(t *testing.T) {
	store(t)
	hsmtest.Run(t, &maker{})
}
