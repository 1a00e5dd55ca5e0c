package peer

import (
	"context"
	"slices"

	"strongroom/protocol/wire"
)

// Become has the node speak with these boxes from now on, and with no others.
// Lines to boxes that are named as before stay as they are. After Start.
func (p *Peers) Become(boxes []Box) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx.Err() != nil {
		return // Close does not wait for lines that begin now
	}
	for id, k := range p.links {
		if !slices.Contains(boxes, k.box) {
			k.end()
			if in := p.incoming[id]; in != nil {
				in.NetConn().Close()
			}
			delete(p.links, id)
			delete(p.byPin, k.box.Pin)
		}
	}
	for _, b := range boxes {
		if p.links[b.ID] == nil {
			k := p.add(b)
			p.running.Go(k.run)
		}
	}
}

// add takes a box in. The caller holds p.mu, or is the only one that knows p.
func (p *Peers) add(b Box) *link {
	k := &link{peers: p, box: b}
	k.ctx, k.end = context.WithCancel(p.ctx)
	p.links[b.ID] = k
	p.byPin[b.Pin] = &k.box
	return k
}

// linkTo is the line to a box, nil for none.
func (p *Peers) linkTo(b wire.BoxID) *link {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.links[b]
}

// pinned is the box to whose node a pin belongs, nil for none.
func (p *Peers) pinned(pin Pin) *Box {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.byPin[pin]
}
