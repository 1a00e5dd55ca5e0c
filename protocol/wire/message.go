package wire

// Generation names one registration of an account: 128 random bits that the
// box draws at RegisterStart, never predictable (a predictable one would make
// registration an oracle for a dictionary).
type Generation [GenerationBytes]byte

// FleetID names a fleet: 128 random bits drawn when it is made. Its
// hexadecimal form is the audience of the vault's account tokens.
type FleetID [FleetIDBytes]byte

// First is the plaintext of a first trip: sealed by HPKE to the island's
// channel key. Exactly one of the requests is set.
type First struct {
	Version uint8  `cbor:"1,keyasint"`
	Token   string `cbor:"2,keyasint"` // account token whose audience is the fleet's id

	Status        *StatusRequest `cbor:"3,keyasint,omitempty"`
	RegisterStart *RegisterStart `cbor:"4,keyasint,omitempty"`
	RecoverStart  *RecoverStart  `cbor:"5,keyasint,omitempty"`
	Delete        *Delete        `cbor:"6,keyasint,omitempty"`
	Mark          *Mark          `cbor:"7,keyasint,omitempty"`
	Cancel        *Cancel        `cbor:"8,keyasint,omitempty"`
	Watch         *Watch         `cbor:"9,keyasint,omitempty"`
	Depart        *Depart        `cbor:"10,keyasint,omitempty"`
	Arrive        *Arrive        `cbor:"11,keyasint,omitempty"`
}

// Second is the plaintext of a second trip: sealed under the secret that the
// first trip's channel exported, beside the ticket that the box gave out.
// Exactly one of the requests is set.
type Second struct {
	Version        uint8           `cbor:"1,keyasint"`
	RegisterFinish *RegisterFinish `cbor:"2,keyasint,omitempty"`
	RecoverFinish  *RecoverFinish  `cbor:"3,keyasint,omitempty"`
}

// Answer is the plaintext of every answer. Refused is empty when the request
// was carried out, and then the answer of that request is set. Status is set
// whenever the account could be told.
type Answer struct {
	Version uint8         `cbor:"1,keyasint"`
	Refused Code          `cbor:"2,keyasint,omitempty"`
	Status  *StatusReport `cbor:"3,keyasint,omitempty"`

	RegisterStart *RegisterStartAnswer `cbor:"4,keyasint,omitempty"`
	RecoverStart  *RecoverStartAnswer  `cbor:"5,keyasint,omitempty"`
	RecoverFinish *RecoverFinishAnswer `cbor:"6,keyasint,omitempty"`
	Attestation   *Attestation         `cbor:"7,keyasint,omitempty"` // of a StatusRequest that asks for it
	Depart        *DepartAnswer        `cbor:"8,keyasint,omitempty"`
}

// StatusRequest asks for the account's status. Free of charge.
type StatusRequest struct {
	Sign bool `cbor:"1,keyasint,omitempty"` // with an Attestation, if the fleet has a key for it
}

// Watch asks for the account's status as soon as its newest event is another
// one than After, and at the latest after WatchMillisMax. The box holds
// WatchersMax of them and one an account: it answers at once what is too much,
// and the older of an account when a newer one comes. Free of charge.
type Watch struct {
	After uint64 `cbor:"1,keyasint"` // Event.Number of the newest that is known, 0 for none
}

// Attestation is the HSM's signature under the StatusReport that it stands
// beside, good for showing to others (see StatusStatement).
type Attestation struct {
	AtMillis  uint64 `cbor:"1,keyasint"` // when the report was true: Unix time by the vault's clock
	Signature []byte `cbor:"2,keyasint"` // ECDSA P-256 over SHA-256 (FIPS 186-5 §6), r and s of 32 bytes each
}

// Stretch holds the Argon2id parameters (RFC 9106) under which a record was
// registered; the client chose them and refuses any above its own limits.
type Stretch struct {
	Time      uint32 `cbor:"1,keyasint"` // passes
	MemoryKiB uint32 `cbor:"2,keyasint"`
	Threads   uint8  `cbor:"3,keyasint"`
}

// RegisterStart carries OPAQUE's RegistrationRequest (RFC 9807 §5.1).
type RegisterStart struct {
	Request []byte `cbor:"1,keyasint"`
}

// RegisterStartAnswer carries OPAQUE's RegistrationResponse, the generation
// that the box drew, and the ticket for RegisterFinish.
type RegisterStartAnswer struct {
	Response   []byte               `cbor:"1,keyasint"`
	Generation Generation           `cbor:"2,keyasint"`
	Challenge  [ChallengeBytes]byte `cbor:"3,keyasint"`
	Ticket     []byte               `cbor:"4,keyasint"`
}

// RegisterFinish registers the generation of its ticket. Over a live record
// it needs Signature: the present owner key's over Statement. Where nothing is
// live it may carry that of the account's root owner, which sets the lifetime
// count of wrong attempts back.
type RegisterFinish struct {
	Transcript [32]byte            `cbor:"1,keyasint"` // SHA-256(RegistrationRequest, RegistrationResponse, challenge)
	Record     []byte              `cbor:"2,keyasint"` // OPAQUE RegistrationRecord
	SealedKey  []byte              `cbor:"3,keyasint"` // AEAD(export_key, K...), opaque to the vault
	Owner      [OwnerKeyBytes]byte `cbor:"4,keyasint"` // Ed25519 public key, derived from K
	Stretch    Stretch             `cbor:"5,keyasint"`
	Replaces   *Generation         `cbor:"6,keyasint,omitempty"` // compare and swap: the live generation, nil for none
	Signature  []byte              `cbor:"7,keyasint,omitempty"` // SignatureBytes, or empty for a first registration
	Reset      bool                `cbor:"8,keyasint,omitempty"` // without a proof: let it wait, while the live generation stays usable
	Receipts   []Receipt           `cbor:"9,keyasint,omitempty"` // as Arrive's, where the account has older homes
}

// RecoverStart names the generation and the slot that it wants debited, and
// carries OPAQUE's KE1. Slot is the account's last slot plus one for a new
// attempt, or the last slot itself, with the same KE1, for a retry.
type RecoverStart struct {
	Generation Generation `cbor:"1,keyasint"`
	Slot       uint64     `cbor:"2,keyasint"`
	KE1        []byte     `cbor:"3,keyasint"`
}

// RecoverStartAnswer carries OPAQUE's KE2 and the ticket for RecoverFinish.
type RecoverStartAnswer struct {
	KE2     []byte  `cbor:"1,keyasint"`
	Stretch Stretch `cbor:"2,keyasint"`
	Ticket  []byte  `cbor:"3,keyasint"`
}

// RecoverFinish carries OPAQUE's KE3, the proof of the password.
type RecoverFinish struct {
	KE3 []byte `cbor:"1,keyasint"`
}

// RecoverFinishAnswer carries the sealed key, sealed once more under the
// OPAQUE session key (see channel.SealUnderSession).
type RecoverFinishAnswer struct {
	SealedKey []byte `cbor:"1,keyasint"`
}

// Delete deletes the named generation: at once, under the owner's signature
// over DeleteStatement, or, with Later and without one, after the reset's wait.
type Delete struct {
	Generation Generation `cbor:"1,keyasint"`
	Signature  []byte     `cbor:"2,keyasint"`
	Later      bool       `cbor:"3,keyasint,omitempty"`
}

// Cancel stops the reset or deletion that waits for AtMillis, under the
// owner's signature over Statement.
type Cancel struct {
	Generation Generation `cbor:"1,keyasint"` // the live one
	AtMillis   uint64     `cbor:"2,keyasint"` // Pending.AtMillis
	Signature  []byte     `cbor:"3,keyasint"`
}

// Pending is a change that nobody has proven a right to: it waits, and any
// proof of the backup key or the password stops it.
type Pending struct {
	AtMillis   uint64      `cbor:"1,keyasint"`           // it happens after this: Unix time by the vault's clock
	Generation *Generation `cbor:"2,keyasint,omitempty"` // of the registration that waits; nil for a deletion
}

// Mark leaves word, under the owner's signature over Statement, of the newest
// head that a device wrote into its storage: so that whoever restores finds
// out when the storage shows an older one.
type Mark struct {
	Generation Generation        `cbor:"1,keyasint"` // the live one
	Device     [DeviceBytes]byte `cbor:"2,keyasint"`
	Sequence   uint64            `cbor:"3,keyasint"` // of the head, from 1; never goes back
	Head       [32]byte          `cbor:"4,keyasint"` // SHA-256 of the sealed head
	Signature  []byte            `cbor:"5,keyasint"`
}

// MarkReport is a mark as the vault gives it back.
type MarkReport struct {
	Device   [DeviceBytes]byte `cbor:"1,keyasint"`
	Sequence uint64            `cbor:"2,keyasint"`
	Head     [32]byte          `cbor:"3,keyasint"`
}

// State says what the vault keeps for an account.
type State uint8

const (
	StateNone      State = 1 // nothing was ever registered
	StateLive      State = 2 // a record, attempts are left
	StateExhausted State = 3 // no attempt left; destroyed at DestroyAtMillis unless the last one, still open, succeeds
	StateDestroyed State = 4 // the attempts were used up: the record is gone for ever
	StateDeleted   State = 5 // its owner deleted it
	StateDeparted  State = 6 // it left for another island, see StatusReport.Departed; closed here
	StateArriving  State = 7 // a registration waits for receipts of the islands where the account was; no attempt is taken
)

// StatusReport is what the vault says of an account.
type StatusReport struct {
	State           State        `cbor:"1,keyasint"`
	Generation      Generation   `cbor:"2,keyasint"` // zero when StateNone
	Slot            uint64       `cbor:"3,keyasint"` // the last slot debited; never goes back
	Left            uint8        `cbor:"4,keyasint"` // attempts left
	Limit           uint8        `cbor:"5,keyasint"` // attempts a generation
	Wrong           uint32       `cbor:"6,keyasint"` // attempts since the last success without a proof
	WrongBefore     uint32       `cbor:"7,keyasint"` // of the last success: attempts it forgave beside its own
	DestroyAtMillis uint64       `cbor:"8,keyasint,omitempty"`
	WaitUntilMillis uint64       `cbor:"9,keyasint,omitempty"`  // until then a new attempt is refused: Unix time by the vault's clock; zero for no wait
	WrongEver       uint32       `cbor:"10,keyasint,omitempty"` // wrong attempts in the lifetime of the account, since its root owner last registered
	LifetimeLimit   uint32       `cbor:"11,keyasint,omitempty"` // of WrongEver; zero for none
	Marks           []MarkReport `cbor:"12,keyasint,omitempty"` // at most MarksMax, one a device
	Pending         *Pending     `cbor:"13,keyasint,omitempty"`
	Resets          uint32       `cbor:"14,keyasint,omitempty"` // resets and unproven deletions ever asked for
	History         []Event      `cbor:"15,keyasint,omitempty"` // at most HistoryMax, the oldest first

	// Of a fleet of several islands.
	Layout             uint64    `cbor:"16,keyasint,omitempty"` // the newest that the island knows
	Departed           *Departed `cbor:"17,keyasint,omitempty"` // of StateDeparted
	GuardedUntilMillis uint64    `cbor:"18,keyasint,omitempty"` // of StateArriving and StateDeparted: until then only an owner's signature changes to whom the account goes
}
