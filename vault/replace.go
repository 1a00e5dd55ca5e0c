package vault

import (
	"bytes"
	"cmp"
	"slices"

	"strongroom/protocol/bundle"
	"strongroom/protocol/wire"
	"strongroom/vault/hal"
)

// settle says which boxes the island has, after these certificates.
func (g *group) settle(v *Vault, certificates [][]byte) error {
	boxes, err := boxesAfter(v.fleet, certificates)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(boxes, func(b bundle.Box) bool { return b.ID() == g.self }) {
		return ErrIdentity
	}
	g.boxes, g.replaced = boxes, certificates
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

func boxesAfter(f *bundle.Fleet, certificates [][]byte) ([]bundle.Box, error) {
	var list []bundle.Replacement
	for _, b := range certificates {
		r, err := bundle.DecodeReplacement(b)
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return f.BoxesAfter(list)
}

// replacement has the leader propose that a box takes the place of a lost one.
func (g *group) replacement(v *Vault, certificate []byte) {
	if !g.settledLead() || slices.ContainsFunc(g.replaced, func(b []byte) bool { return bytes.Equal(b, certificate) }) || len(g.replaced) == wire.ReplacementsMax {
		return
	}
	v.out.Jobs = append(v.out.Jobs, replacementJob{v.fleet, append(slices.Clone(g.replaced), certificate)})
}

// replacementJob checks signatures.
type replacementJob struct {
	fleet        *bundle.Fleet
	certificates [][]byte
}

type replacementChecked struct {
	certificate []byte
	err         error
}

func (j replacementJob) Run(hal.HAL) Result {
	_, err := boxesAfter(j.fleet, j.certificates)
	return replacementChecked{j.certificates[len(j.certificates)-1], err}
}

func (c replacementChecked) enter(v *Vault) {
	g := v.group
	if c.err == nil && g.settledLead() {
		g.must(v, g.raft.Propose(stamp{v.boot, 0, v.nowMillis, stampReplacement}.append(c.certificate)))
	}
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
	if !slices.ContainsFunc(g.replaced, func(b []byte) bool { return bytes.Equal(b, certificate) }) { // the host may have shown it before
		certificates = append(slices.Clone(g.replaced), bytes.Clone(certificate))
	}
	if _, err := boxesAfter(v.fleet, certificates); err != nil {
		return
	}
	for m, b := range g.members {
		if b == r.Old {
			g.members[m] = r.New.ID()
		}
	}
	if err := g.settle(v, certificates); err != nil {
		v.fail(err) // it is this box's place that was taken
	}
}
