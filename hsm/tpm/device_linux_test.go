package tpm

import (
	"errors"
	"testing"
)

// TestDeviceLock: one holder of a memory on a device, others of others. Any
// device keeps locks; what is behind it does not matter.
func TestDeviceLock(t *testing.T) {
	open := func() *link {
		l, err := dial("/dev/null", commandWaitDefault, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.conn.Close() })
		return l
	}
	older, later := open(), open()
	for range 2 {
		if err := older.lock(indexFirst); err != nil {
			t.Fatal(err)
		}
	}
	if err := later.lock(indexFirst); !errors.Is(err, ErrLocked) {
		t.Fatalf("a second holder: %v", err)
	}
	if err := later.lock(indexFirst + 2); err != nil {
		t.Fatalf("another vault: %v", err)
	}
	_ = older.conn.Close()
	if err := open().lock(indexFirst); err != nil {
		t.Fatalf("the holder is gone: %v", err)
	}
}
