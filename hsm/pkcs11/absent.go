//go:build !pkcs11 || !cgo

package pkcs11

import "strongroom/vault/hal"

// Create answers ErrNotBuilt.
func Create(Config) (hal.HAL, error) { return nil, ErrNotBuilt }

// Open answers ErrNotBuilt.
func Open(Config) (hal.HAL, error) { return nil, ErrNotBuilt }
