// Package caller is clients of an island under test: they log in, guess wrong,
// register, replace, delete, ask again what was asked before, and show old
// proofs again, through any box, and note each request in the account's
// history. They are written from spec/vault.md and share only the protocol's
// rooms with the client that people have, which does not show its single
// requests.
package caller
