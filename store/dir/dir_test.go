package dir_test

import (
	"testing"

	"strongroom/store"
	"strongroom/store/dir"
	"strongroom/store/storetest"
)

func open(t *testing.T) store.Store {
	s, err := dir.Open(t.TempDir() + "/made/later")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestContract(t *testing.T) { storetest.Run(t, open) }
