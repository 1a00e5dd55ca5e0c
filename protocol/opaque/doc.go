// Package opaque is OPAQUE-3DH of RFC 9807, client and server: a password
// opens what the server keeps, and the server never learns the password.
//
// The client's files are client.go, registration.go, login.go and
// envelope.go; the server's are server.go and fake.go. They share the
// messages (message.go), the schedule of keys (schedule.go), the OPRF of
// RFC 9497 (oprf.go) and the groups, and nothing else.
//
// The server's two long-lived secrets, the OPRF key of a record and its own
// AKE key, are only ever asked to multiply (Multiplier), so that they can
// live in an HSM.
//
// # Side channels
//
// Every operation on a secret, on both sides, is constant-time by the design
// of its library: P-256 points by filippo.io/nistec, numbers modulo its primes
// by filippo.io/bigmod (field.go, and hash-to-curve on it in sswu.go, since
// the libraries that offer that branch on the password's hash), ristretto255
// by gtank/ristretto255, comparisons by crypto/hmac. What remains: the
// password's length shows in the time to hash it; Argon2id reads memory at
// places that depend on its input, in its later passes, by its design; Go may
// leave copies of secrets in memory; a processor's own channels. Public
// messages are parsed with branches.
package opaque
