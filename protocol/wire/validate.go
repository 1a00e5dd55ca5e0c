package wire

// Validate checks a message against every limit; its error is a *Malformed.
func (f First) Validate() error {
	c := check{}
	c.version(f.Version)
	c.length("token", len(f.Token), 1, TokenBytesMax)
	c.one(f.Status != nil, f.RegisterStart != nil, f.RecoverStart != nil, f.Delete != nil, f.Mark != nil, f.Cancel != nil, f.Watch != nil, f.Depart != nil, f.Arrive != nil)
	if r := f.RegisterStart; r != nil {
		c.length("request", len(r.Request), 1, OpaqueBytesMax)
	}
	if r := f.RecoverStart; r != nil {
		c.length("ke1", len(r.KE1), 1, OpaqueBytesMax)
	}
	if r := f.Delete; r != nil {
		c.signature(r.Signature, r.Later)
	}
	if r := f.Cancel; r != nil {
		c.signature(r.Signature, false)
	}
	if r := f.Depart; r != nil {
		c.value("layout", r.Layout > 0 && r.Layout <= LayoutsMax)
		c.signature(r.Signature, len(r.Signature) == 0)
	}
	if r := f.Arrive; r != nil {
		c.receipts(r.Receipts, 1)
	}
	if r := f.Mark; r != nil {
		c.value("sequence", r.Sequence > 0)
		c.length("signature", len(r.Signature), SignatureBytes, SignatureBytes)
	}
	return c.result()
}

// Validate checks a message against every limit; its error is a *Malformed.
func (s Second) Validate() error {
	c := check{}
	c.version(s.Version)
	c.one(s.RegisterFinish != nil, s.RecoverFinish != nil)
	if r := s.RegisterFinish; r != nil {
		c.length("record", len(r.Record), 1, OpaqueBytesMax)
		c.length("sealed key", len(r.SealedKey), 1, SealedKeyBytesMax)
		c.stretch(r.Stretch)
		c.receipts(r.Receipts, 0)
		if len(r.Signature) > 0 { // none: a first registration
			c.length("signature", len(r.Signature), SignatureBytes, SignatureBytes)
		}
	}
	if r := s.RecoverFinish; r != nil {
		c.length("ke3", len(r.KE3), 1, OpaqueBytesMax)
	}
	return c.result()
}

// Validate checks a message against every limit; its error is a *Malformed.
func (a Answer) Validate() error {
	c := check{}
	c.version(a.Version)
	c.code(a.Refused)
	c.answers(&a)
	if r := a.Status; r != nil {
		c.status(r)
	}
	if r := a.Attestation; r != nil {
		c.value("attestation", r.AtMillis > 0)
		c.length("signature", len(r.Signature), SignatureBytes, SignatureBytes)
	}
	if r := a.RegisterStart; r != nil {
		c.length("response", len(r.Response), 1, OpaqueBytesMax)
		c.length("ticket", len(r.Ticket), 1, TicketBytesMax)
	}
	if r := a.Depart; r != nil {
		c.receipt(&r.Receipt)
	}
	if r := a.RecoverStart; r != nil {
		c.length("ke2", len(r.KE2), 1, OpaqueBytesMax)
		c.stretch(r.Stretch)
		c.length("ticket", len(r.Ticket), 1, TicketBytesMax)
	}
	if r := a.RecoverFinish; r != nil {
		c.length("sealed key", len(r.SealedKey), 1+sessionSealBytes, SealedKeyBytesMax+sessionSealBytes)
	}
	return c.result()
}

// check keeps the first thing that was wrong.
type check struct{ err *Malformed }

func (c *check) result() error {
	if c.err == nil {
		return nil
	}
	return c.err
}

func (c *check) fail(r Reason, where string) {
	if c.err == nil {
		c.err = &Malformed{r, where}
	}
}

func (c *check) version(v uint8) {
	if v != Version {
		c.fail(ReasonVersion, "")
	}
}

func (c *check) length(where string, n, least, most int) {
	if n < least || n > most {
		c.fail(ReasonLength, where)
	}
}

func (c *check) value(where string, ok bool) {
	if !ok {
		c.fail(ReasonValue, where)
	}
}

func (c *check) one(set ...bool) {
	if count(set...) != 1 {
		c.fail(ReasonOne, "request")
	}
}

// signature: one, or none where there must be none.
func (c *check) signature(s []byte, none bool) {
	want := SignatureBytes
	if none {
		want = 0
	}
	c.length("signature", len(s), want, want)
}

func (c *check) status(r *StatusReport) {
	c.value("state", r.State >= StateNone && r.State <= StateArriving)
	c.value("left", r.Left <= r.Limit)
	c.length("marks", len(r.Marks), 0, MarksMax)
	c.history(r.History)
	c.value("layout", r.Layout <= LayoutsMax)
	c.value("departed", (r.Departed != nil) == (r.State == StateDeparted))
}

// stretch checks the lower bounds of RFC 9106 §3.1.
func (c *check) stretch(s Stretch) {
	c.value("stretch", s.Time >= 1 && s.Threads >= 1 && s.MemoryKiB >= 8*uint32(s.Threads))
}

func (c *check) code(code Code) {
	c.length("refused", len(code), 0, codeBytesMax)
	for _, r := range code {
		c.value("refused", r == '-' || r >= 'a' && r <= 'z')
	}
}

// answers: a refusal carries a status at most; otherwise there is something,
// and at most one answer beside the status.
func (c *check) answers(a *Answer) {
	n := count(a.RegisterStart != nil, a.RecoverStart != nil, a.RecoverFinish != nil, a.Depart != nil)
	if n > 1 || n > 0 && a.Refused != "" || n == 0 && a.Refused == "" && a.Status == nil {
		c.fail(ReasonOne, "answer")
	}
	if a.Attestation != nil && (n > 0 || a.Refused != "" || a.Status == nil) {
		c.fail(ReasonOne, "attestation") // it signs a status, and nothing beside it
	}
}

func count(set ...bool) int {
	n := 0
	for _, s := range set {
		if s {
			n++
		}
	}
	return n
}
