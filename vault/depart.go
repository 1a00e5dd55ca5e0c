package vault

import (
	"crypto/sha256"
	"slices"

	"strongroom/protocol/bundle"
	"strongroom/protocol/wire"
	"strongroom/vault/hal"
	"strongroom/vault/internal/record"
)

// depart closes the account here, and answers with the receipt.
func (v *Vault) depart(r *request) {
	d, p := r.first.Depart, v.policyOf(r.account)
	command := record.Depart{To: d.To, Layout: d.Layout, Generation: d.Generation, NowMillis: v.nowMillis}
	by := r.record.record.Departer(p, v.nowMillis)
	if by == nil || len(d.Signature) == 0 {
		v.departs(r, command)
		return
	}
	statement := d.Statement(v.fleet.ID, r.account, by.Live)
	v.out.Jobs = append(v.out.Jobs, ownerJob(by.Owner, statement, d.Signature, func(v *Vault, ok bool) {
		if ok {
			command.Live = by.Live
		}
		v.departs(r, command)
	}))
}

func (v *Vault) departs(r *request, command record.Depart) {
	now := r.record.record
	after, refused := command.Apply(now, v.policyOf(r.account))
	switch {
	case refused != "":
		v.refuse(r, refused)
	case after.Changes == now.Changes: // a retry of what was committed
		v.receipt(r)
	default:
		v.propose(r.record, record.Command{Depart: &command}, func(o record.Outcome) {
			if o.Refused != "" {
				v.refuse(r, o.Refused)
				return
			}
			v.receipt(r)
		})
	}
}

// receipt has the HSM sign that the account is closed: only what was
// committed, and as every answer it leaves only when a majority has confirmed.
func (v *Vault) receipt(r *request) {
	receipt := r.record.record.Receipt(v.policyOf(r.account).Place)
	d := r.first.Depart
	receipt.From = v.layouts.pin
	statement := receipt.Statement(wire.Passage{
		Fleet: v.fleet.ID, Account: r.account, To: d.To, Generation: d.Generation, Digest: v.layouts.homes.Digest(receipt.Layout),
	})
	digest := sha256.Sum256(statement)
	v.out.Jobs = append(v.out.Jobs, task(func(h hal.HAL) result {
		signature, err := h.Sign(keyStatus, digest)
		receipt.Signature = signature
		return func(v *Vault) {
			if err != nil {
				v.refuse(r, wire.CodeUnavailable)
				return
			}
			v.answer(r, wire.Answer{Depart: &wire.DepartAnswer{Receipt: *receipt}})
		}
	}))
}

// crossing is the receipts of an arrival, to be checked.
type crossing struct {
	wire.Passage // but for the digest
	homes        *bundle.Homes
	older        []bundle.Pin
	receipts     []wire.Receipt
}

// crossingOf gives the receipts for an arrival in a layout, and what they say
// if they are good.
func (v *Vault) crossingOf(account string, g wire.Generation, layout uint64, receipts []wire.Receipt) (crossing, record.Arrive) {
	l := &v.layouts
	a := record.Arrive{Generation: g, Layout: layout, Least: wire.LayoutsMax + 1, NowMillis: v.nowMillis}
	for _, r := range receipts {
		a.Least = min(a.Least, r.Layout)
	}
	if i := wire.Newest(receipts); i >= 0 {
		a.Last = receipts[i]
		a.Last.Signature = nil
	}
	return crossing{
		Passage: wire.Passage{Fleet: v.fleet.ID, Account: account, To: l.pin, Generation: g},
		homes:   l.homes, older: l.homes.OlderHomes(layout, account), receipts: receipts,
	}, a
}

// holds tells whether there is one receipt of each older home, all of them
// for this registration, and the long part of the one that counts.
func (p crossing) holds() bool {
	if len(p.receipts) != len(p.older) || len(p.older) == 0 {
		return false
	}
	for _, from := range p.older {
		if !p.signed(from) {
			return false
		}
	}
	last := p.receipts[wire.Newest(p.receipts)]
	return last.Past != nil && last.Past.Hash() == last.PastHash
}

func (p crossing) signed(from bundle.Pin) bool {
	newest := p.homes.Newest()
	i := slices.IndexFunc(p.receipts, func(r wire.Receipt) bool { return r.From == from && r.Layout <= newest })
	if i < 0 {
		return false
	}
	r := p.receipts[i]
	p.Digest = p.homes.Digest(r.Layout)
	return bundle.SignedBy(p.homes.StatusKey(from), sha256.Sum256(r.Statement(p.Passage)), r.Signature)
}

// cross opens the account for the registration that waits.
func (v *Vault) cross(r *request) {
	crossing, command := v.crossingOf(r.account, r.first.Arrive.Generation, v.layouts.homes.Latest(r.account, v.layouts.pin), r.first.Arrive.Receipts)
	v.out.Jobs = append(v.out.Jobs, task(func(hal.HAL) result {
		holds := crossing.holds()
		return func(v *Vault) {
			now := r.record.record
			after, refused := command.Apply(now, v.policyOf(r.account))
			switch {
			case refused != "" || after.Changes == now.Changes: // that, or a retry
				v.refuse(r, refused)
			case !holds:
				v.refuse(r, wire.CodeReceipt)
			default:
				v.carry(r, record.Command{Arrive: &command})
			}
		}
	}))
}
