package vault

import (
	"bytes"
	"cmp"
	"slices"

	"strongroom/protocol/bundle"
	"strongroom/protocol/wire"
	"strongroom/vault/hal"
)

// settle says which boxes the island has: after the certificates that it agreed
// on, and after those that the host showed and it did not agree on yet.
func (g *group) settle(v *Vault, agreed [][]byte) error {
	shown := slices.DeleteFunc(slices.Clone(g.wanted), func(b []byte) bool { return among(agreed, b) })
	boxes, err := v.fleet.BoxesAfterEncoded(append(slices.Clone(agreed), shown...))
	if err != nil { // it agreed on another box for the same place
		shown = nil
		boxes, err = v.fleet.BoxesAfterEncoded(agreed)
	}
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(boxes, func(b bundle.Box) bool { return b.ID() == g.self }) {
		return ErrIdentity
	}
	g.boxes, g.replaced, g.wanted, g.unsettled = boxes, agreed, shown, false
	var peers []*peer
	for _, b := range boxes {
		id := b.ID()
		switch p := g.peerOf(id); {
		case id == g.self:
		case p != nil:
			peers = append(peers, p)
		default:
			peers = append(peers, &peer{box: id, key: b.Key})
		}
	}
	slices.SortFunc(peers, func(a, b *peer) int { return cmp.Compare(string(a.box[:]), string(b.box[:])) })
	g.peers = peers
	return nil
}

func among(list [][]byte, certificate []byte) bool {
	return slices.ContainsFunc(list, func(b []byte) bool { return bytes.Equal(b, certificate) })
}

// replacement takes a certificate that the host shows. Whichever box leads, now
// or later, has the island agree on it.
func (g *group) replacement(v *Vault, certificate []byte) {
	if shown := g.certificates(); !among(shown, certificate) && len(shown) < wire.ReplacementsMax {
		fleet, certificates := v.fleet, append(shown, certificate)
		v.out.Jobs = append(v.out.Jobs, task(func(hal.HAL) result {
			_, err := fleet.BoxesAfterEncoded(certificates)
			return func(v *Vault) { g.replacementChecked(v, certificate, err) }
		}))
	}
}

// certificates are those that the island agreed on, and then those that were
// shown.
func (g *group) certificates() [][]byte { return append(slices.Clone(g.replaced), g.wanted...) }

func (g *group) replacementChecked(v *Vault, certificate []byte, err error) {
	if err == nil && !among(g.certificates(), certificate) {
		g.wanted = append(g.wanted, bytes.Clone(certificate))
		g.unsettled = true
	}
}

// proposeReplacement has the island agree on what was shown, one after the other.
func (g *group) proposeReplacement(v *Vault) {
	g.changing = g.ticks + changeTicks
	g.must(v, g.raft.Propose(stamp{v.boot, 0, v.nowMillis, stampReplacement}.append(g.wanted[0])))
}

// replacedBy applies a certificate that the island agreed on. One that came too
// late, after another for the same place, changes nothing. The lost box's voter
// stays until the new box has caught up, and counts as the new box's.
func (g *group) replacedBy(v *Vault, certificate []byte) {
	r, err := bundle.DecodeReplacement(certificate)
	if err != nil {
		return
	}
	certificates := g.replaced
	if !among(certificates, certificate) { // a box that begins another run reads it again
		certificates = append(slices.Clone(g.replaced), bytes.Clone(certificate))
	}
	if _, err := v.fleet.BoxesAfterEncoded(certificates); err != nil {
		return
	}
	g.changing = 0
	for m, b := range g.members {
		if b == r.Old {
			g.members[m] = r.New.ID()
		}
	}
	if err := g.settle(v, certificates); err != nil {
		v.fail(err) // it is this box's place that was taken
	}
}
