package wire

// What a key signs: a statement with a name of its own, so that a
// signature for one thing is never one for another, bound to fleet, account
// and generation, so that it is good in one place and once.

const (
	replaceContext = "strongroom/v1/replace"
	deleteContext  = "strongroom/v1/delete"
	markContext    = "strongroom/v1/mark"
	cancelContext  = "strongroom/v1/cancel"
	statusContext  = "strongroom/v1/status"
)

type statement struct {
	Context    string          `cbor:"1,keyasint"`
	Fleet      FleetID         `cbor:"2,keyasint"`
	Account    string          `cbor:"3,keyasint"`
	Generation Generation      `cbor:"4,keyasint"`
	Finish     *RegisterFinish `cbor:"5,keyasint,omitempty"` // without its signature
	Mark       *Mark           `cbor:"6,keyasint,omitempty"` // without its signature
	Cancel     *Cancel         `cbor:"7,keyasint,omitempty"` // without its signature
}

// Statement is what the owner of the live generation signs to have it
// replaced by g: everything of the RegisterFinish but the signature.
//
// Receipts are left out: they are islands' words, not the owner's, and name g.
func (f *RegisterFinish) Statement(fleet FleetID, account string, g Generation) []byte {
	unsigned := *f
	unsigned.Signature, unsigned.Receipts = nil, nil
	return must(Encode(statement{replaceContext, fleet, account, g, &unsigned, nil, nil}))
}

// DeleteStatement is what the owner of generation g signs to have it deleted.
func DeleteStatement(fleet FleetID, account string, g Generation) []byte {
	return must(Encode(statement{deleteContext, fleet, account, g, nil, nil, nil}))
}

// Statement is what the owner of the live generation signs to leave the mark.
func (m *Mark) Statement(fleet FleetID, account string) []byte {
	unsigned := *m
	unsigned.Signature = nil
	return must(Encode(statement{markContext, fleet, account, m.Generation, nil, &unsigned, nil}))
}

// Statement is what the owner of the live generation signs to stop the change
// that waits for AtMillis, and no later one.
func (c *Cancel) Statement(fleet FleetID, account string) []byte {
	unsigned := *c
	unsigned.Signature = nil
	return must(Encode(statement{cancelContext, fleet, account, c.Generation, nil, nil, &unsigned}))
}

// StatusStatement is what the island's HSM signs of an account's status.
type StatusStatement struct {
	Context  string       `cbor:"1,keyasint"`
	Fleet    FleetID      `cbor:"2,keyasint"`
	Account  string       `cbor:"3,keyasint"`
	AtMillis uint64       `cbor:"4,keyasint"`
	Report   StatusReport `cbor:"5,keyasint"`
}

// Statement is what a signature under the report signs: the report of this
// account of this fleet, at this time.
func (r *StatusReport) Statement(fleet FleetID, account string, atMillis uint64) ([]byte, error) {
	return Encode(StatusStatement{statusContext, fleet, account, atMillis, *r})
}

// DecodeStatusStatement reads a statement that was kept, its signature checked.
func DecodeStatusStatement(b []byte) (*StatusStatement, error) { return decode[StatusStatement](b) }

// Validate checks a statement; its error is a *Malformed.
func (s StatusStatement) Validate() error {
	c := check{}
	c.value("context", s.Context == statusContext)
	c.length("account", len(s.Account), 1, AccountBytesMax)
	c.value("time", s.AtMillis > 0)
	c.status(&s.Report)
	return c.result()
}
