// Package storetest runs the contract of store.Store in Go's tests. Every
// provider does, the fakes and the wrappers too, so that a client tested on
// one works on all.
package storetest

import (
	"math/rand/v2"
	"testing"

	"strongroom/store"
	"strongroom/store/contract"
)

// Open gives a handle on an empty store of the test's own.
type Open func(t *testing.T) store.Store

// Run runs the whole contract; each handle that it asks for is of a store of
// its own, so races are run on one handle.
func Run(t *testing.T, open Open) {
	RunShared(t, contract.Whole, func(t *testing.T) contract.Open {
		s := open(t)
		return func() (store.Store, error) { return s, nil }
	})
}

// RunShared runs the contract with several handles on each storage.
func RunShared(t *testing.T, scale contract.Scale, open func(*testing.T) contract.Open) {
	if len(contract.Checks) == 0 {
		t.Fatal("the contract is empty")
	}
	for _, c := range contract.Checks {
		t.Run(c.Name, func(t *testing.T) {
			for _, failure := range c.Run(t.Context(), scale, open(t)) {
				t.Error(failure)
			}
		})
	}
}

// Bytes gives n bytes that depend on seed and repeat nowhere near.
func Bytes(seed uint64, n int) []byte {
	data := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24), 1})
	_, _ = r.Read(data)
	return data
}
