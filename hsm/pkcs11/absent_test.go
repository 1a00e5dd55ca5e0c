//go:build !pkcs11 || !cgo

package pkcs11

import (
	"errors"
	"testing"
)

func TestWithoutTheTag(t *testing.T) {
	for _, call := range []func() error{
		func() error { _, err := Create(Config{}); return err },
		func() error { _, err := Open(Config{}); return err },
	} {
		if err := call(); !errors.Is(err, ErrNotBuilt) {
			t.Errorf("%v", err)
		}
	}
}
