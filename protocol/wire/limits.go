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

	MarksMax   = 16 // devices whose freshness marks a record keeps
	HistoryMax = 16 // events, or runs of them, that a record keeps

	WatchersMax    = 64     // Watches that a box holds at a time
	WatchMillisMax = 15_000 // how long a box holds one: less than any relay waits for an answer

	AlertsMax     = 16      // alerts in one message to the operator
	AlertBytesMax = 8 << 10 // that message, sealed

	alertBytesMax    = 192 // one alert, encoded, and to spare
	alertsFixedBytes = 16  // of what is around them
	codeBytesMax     = 32
	sessionSealBytes = 16 // what channel.SealUnderSession adds
)

// Limits of the pipe between a box and its node.
const (
	FrameBytesMax    = 8 << 20 // one frame's payload
	FrameItemsMax    = 1024    // requests, entries or replies in one frame
	EntryBytesMax    = 1 << 20 // one entry of the log
	KeyBytesMax      = 64      // the key of a page
	PageBytesMax     = 256 << 10
	ReadKeysMax      = 128      // keys of one Read
	DocumentBytesMax = 64 << 10 // a fleet's document
	IslandBytesMax   = 64 << 10 // an island's sealed keys
	PlaceBytesMax    = 4 << 10  // where an HSM is: PATH_MAX
	SecretBytesMax   = 4 << 10  // an HSM's passphrase or PIN
	WallsMax         = 16       // mechanisms that keep a box in
	WallBytesMax     = 200      // one of them, in words
	FaultBytesMax    = 4 << 10  // why a box stopped, in words

	groupBytesMax = 4 << 20 // at which a sender begins the next frame
	providerMax   = 32      // bytes of an HSM provider's name
	workersMax    = 1024
)

// Limits of an island of several boxes.
const (
	TickMillis    = 50      // of the Raft clock
	TicksMax      = 4       // of them at a time: who stood still has no time to make up
	BoxesMax      = 7       // boxes of an island
	PeerBytesMax  = 1 << 20 // one message between boxes
	OrderBytesMax = 8 << 10 // an order for a cold start

	ReplacementsMax     = 64      // certificates that an island ever takes
	ReplacementBytesMax = 4 << 10 // one of them

	peerKeyBytesMax = 2 << 10 // an HPKE key or enc between boxes
)

// Fixed lengths, in bytes.
const (
	GenerationBytes = 16
	FleetIDBytes    = 16
	BoxIDBytes      = 16
	ChallengeBytes  = 32
	DeviceBytes     = 16
	OwnerKeyBytes   = 32 // Ed25519 public key, RFC 8032
	SignatureBytes  = 64 // Ed25519 signature, RFC 8032; ECDSA P-256, r and s
	StatusKeyBytes  = 33 // ECDSA P-256 public key, SEC1 compressed
	BoxKeyBytes     = 33 // the same, a box's identity
)
