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
// On the server every operation on a secret is constant-time by the design of
// its library: points by filippo.io/nistec, P-256 scalars by
// filippo.io/bigmod, ristretto255 by gtank/ristretto255 on
// filippo.io/edwards25519, comparisons by crypto/subtle and crypto/hmac.
// Parsing a public message is not secret and may branch.
//
// On the client one step is not: hash-to-curve on P-256 comes from
// cloudflare/circl, which computes with math/big, so its time depends a
// little on the password. Who could measure that is already running beside
// the client, once for each time that the person types; the server does not
// see it, since the blind and Argon2id's pass over it lie between. Suite
// Ristretto255SHA512 does not have this step.
package opaque
