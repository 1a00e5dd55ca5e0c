package mem_test

import (
	"testing"

	"strongroom/store"
	"strongroom/store/mem"
	"strongroom/store/storetest"
)

func TestContract(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return mem.New() })
}
