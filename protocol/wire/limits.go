package wire

// Limits of what is accepted. All sizes are in bytes.
const (
	RequestBytesMax   = 16 << 10 // one sealed request, as the relay sees it
	AnswerBytesMax    = 16 << 10 // one sealed answer
	AccountBytesMax   = 128      // an account's name, UTF-8
	TokenBytesMax     = 4 << 10  // one account token (a compact JWS)
	TicketBytesMax    = 4 << 10  // a box's sealed ticket
	SealedKeyBytesMax = 2 << 10  // the client's sealed key with its payload
	OpaqueBytesMax    = 512      // any one OPAQUE message or record
	WrappedBytesMax   = 512      // an OPRF key as an HSM wraps it

	codeBytesMax     = 32
	sessionSealBytes = 16 // what channel.SealUnderSession adds
)

// Fixed lengths, in bytes.
const (
	GenerationBytes = 16
	FleetIDBytes    = 16
	ChallengeBytes  = 32
	OwnerKeyBytes   = 32 // Ed25519 public key, RFC 8032
	SignatureBytes  = 64 // Ed25519 signature, RFC 8032
)
