// Package client is the person's side of the Backup Key Vault: it checks that
// the fleet is the pinned one, seals every request to it, and registers,
// recovers, replaces and deletes a record. The password and the backup key
// never leave it in a form that the vault, the relay or the line can read.
//
// Trusted with: the password while it is typed, and the backup key. A thief
// of a running client gains that one user's backup, nothing else.
package client

// Labels of the keys that this package derives by HKDF-SHA256 (RFC 5869).
const (
	labelSealedKey = "strongroom/v1/sealed-key"
	labelOwner     = "strongroom/v1/owner"
)
