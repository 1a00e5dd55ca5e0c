// Package channel is the sealed pipe between a client and a box, through a
// relay and a node that may lie. It is pure: no I/O, no clock.
//
// First trip, frame kind 1: HPKE base mode (RFC 9180 §5.1.1) to the island's
// channel key. KEM MLKEM768-P256 or MLKEM768-X25519 (draft-ietf-hpke-pq, as
// crypto/hpke has them), KDF HKDF-SHA256, AEAD AES-256-GCM. The info string is
// "strongroom/v1/channel" and the fleet's id: a frame for another fleet does
// not open.
//
//	version(1) kind(1)=1 enc ciphertext
//
// Second trip, frame kind 2: AES-256-GCM under a key from a secret that the
// first trip's HPKE context exported (RFC 9180 §5.3) and a fresh salt; the
// client repeats the ticket in which the box sealed the same secret to itself.
// So it costs no second KEM.
//
//	version(1) kind(1)=2 ticketLength(2) ticket salt(32) ciphertext
//
// Answers, frame kind 3: the construction of RFC 9458 §4.4, with our labels.
//
//	version(1) kind(1)=3 responseNonce(32) ciphertext
//
// Alerts, frame kind 4, go one way, from a box to the operator: a box sets up
// HPKE (base mode, the same algorithms, the info string "strongroom/v1/alert"
// and the fleet's id) to the fleet's alert key once, exports a secret, and seals
// each message as a second trip is sealed, under a fresh salt. So an alert costs
// no KEM and can be opened by itself. What stands before the salt is
// authenticated beside it.
//
//	version(1) kind(1)=4 enc salt(32) ciphertext
//
// All requests have one length, all answers have one length: who counts bytes
// learns no outcome and no operation. A plaintext is preceded by its length
// (2 bytes, big-endian) and followed by zeros. Numbers are big-endian.
package channel
