package backup

import "fmt"

// Key is the backup key K. It refuses to print.
type Key [32]byte

const redacted = "backup.Key(redacted)"

// String does not print the key.
func (Key) String() string { return redacted }

// GoString does not print the key.
func (Key) GoString() string { return redacted }

// Format does not print the key, whatever the verb.
func (Key) Format(f fmt.State, _ rune) { fmt.Fprint(f, redacted) }

// MarshalText refuses, so that no encoder writes the key either.
func (Key) MarshalText() ([]byte, error) { return []byte(redacted), nil }
