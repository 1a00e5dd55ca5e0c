package wire

// Code names why a request was refused. Codes are part of the protocol: a
// client shows the sentence that belongs to it, never the code alone.
type Code string

// Refusals by the box, inside the sealed answer.
const (
	CodeMalformed   Code = "malformed"   // the message does not parse, or breaks a limit
	CodeToken       Code = "token"       // the vault token was refused
	CodeNoRecord    Code = "no-record"   // nothing is registered for this account
	CodeGeneration  Code = "generation"  // another generation is registered than the one named
	CodeSlot        Code = "slot"        // the slot is neither the next one nor a retry of the last
	CodeExhausted   Code = "exhausted"   // no attempt left, the last one is still open
	CodeWait        Code = "wait"        // the next attempt comes too early, see StatusReport.WaitUntilMillis; nothing was debited
	CodeDestroyed   Code = "destroyed"   // the record was destroyed
	CodeDeleted     Code = "deleted"     // the record was deleted by its owner
	CodeTicket      Code = "ticket"      // the ticket is not ours, expired, or for something else
	CodeProof       Code = "proof"       // KE3 is not the proof
	CodeOwner       Code = "owner"       // the owner's signature is missing or wrong
	CodeReplaces    Code = "replaces"    // compare-and-swap failed: another generation is live
	CodeLifetime    Code = "lifetime"    // the account made all the wrong attempts of its lifetime: only a registration signed by its root owner helps
	CodeTranscript  Code = "transcript"  // the registration's transcript does not match its ticket
	CodePending     Code = "pending"     // a reset or a deletion without proof waits already
	CodeStale       Code = "stale"       // the vault holds a newer mark of this device, or another one of the same number
	CodeMarks       Code = "marks"       // the record holds the marks of as many devices as it takes
	CodeLayout      Code = "layout"      // not this island: another one is the account's home in the newest layout it knows, or it knows another newest one than was named
	CodeDeparted    Code = "departed"    // the account left for another island, see StatusReport.Departed
	CodeArriving    Code = "arriving"    // a registration waits here for receipts; another one takes its place only by its owner's signature, or after GuardedUntilMillis
	CodeReceipt     Code = "receipt"     // a receipt is missing, or is not good for this
	CodeUnavailable Code = "unavailable" // the box can not serve now; nothing was debited
	CodeUnknown     Code = "unknown"     // the outcome is not known: retry with the same slot and KE1
)

// Refusals before the box could open the message, or by the relay; they
// travel in clear.
const (
	CodeSealing     Code = "sealing"      // the sealed message does not open
	CodeRelayToken  Code = "relay-token"  // the relay token was refused
	CodeTooLarge    Code = "too-large"    // over RequestBytesMax
	CodeRateLimited Code = "rate-limited" // over the limits of the account or the address
	CodeIsland      Code = "island"       // the relay knows no way to the island that the request names

	// CodeElsewhere is between boxes and nodes: another box leads, this one did
	// nothing. No client sees it.
	CodeElsewhere Code = "elsewhere"
)
