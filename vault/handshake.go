package vault

import (
	"errors"

	"strongroom/protocol/bundle"
	"strongroom/protocol/channel"
	"strongroom/protocol/wire"
	"strongroom/vault/hal"
)

const offerTicks = 10 // between two sendings of one offer

var errStranger = errors.New("vault: not signed by the box that it names")

// offer is one that waits for its answer.
type offer struct {
	wire.Offer
	private *channel.PeerOffer
	frame   []byte
}

// greet has those boxes offered a session that can not be heard.
func (g *group) greet(v *Vault) {
	for _, p := range g.peers {
		switch {
		case p.in != nil && !p.deaf || p.offering:
		case p.offer == nil:
			p.offering = true
			p.offers++
			v.out.Jobs = append(v.out.Jobs, offerJob{p, wire.Offer{
				Fleet: v.fleet.ID, From: g.self, To: p.box, Boot: wire.Boot(v.boot), Number: p.offers,
			}})
		case g.ticks >= p.offered+offerTicks:
			p.sendOffer(v)
		}
	}
}

func (p *peer) sendOffer(v *Vault) {
	p.offered = v.group.ticks
	v.out.Sends = append(v.out.Sends, wire.Send{To: p.box, Bytes: p.offer.frame})
}

// freshSessions has all of them made anew: who takes the boxes later does not
// read what he recorded before.
func (g *group) freshSessions() {
	for _, p := range g.peers {
		p.deaf = true
	}
}

// offerJob makes a key for one handshake and signs it.
type offerJob struct {
	peer  *peer
	offer wire.Offer
}

type offerMade struct {
	peer  *peer
	offer *offer
	err   error
}

func (j offerJob) Run(h hal.HAL) Result {
	m := offerMade{peer: j.peer, offer: &offer{Offer: j.offer}}
	if m.offer.private, m.offer.Key, m.err = channel.NewPeerOffer(); m.err != nil {
		return m
	}
	if m.offer.Signature, m.err = h.Sign(keyBox, m.offer.Digest()); m.err != nil {
		return m
	}
	m.offer.frame, m.err = wire.PeerFrame(wire.PeerOffer, m.offer.Offer)
	return m
}

func (m offerMade) enter(v *Vault) {
	m.peer.offering = false
	if m.err == nil { // an HSM that is gone is asked again at the next tick
		m.peer.offer = m.offer
		m.peer.sendOffer(v)
	}
}

// offered answers an offer. One at a time: a host that invents offers costs a
// multiplication each, and no more.
func (g *group) offered(v *Vault, p *peer, b []byte) {
	o, err := wire.DecodePeer[wire.Offer](b)
	if err != nil || o.Fleet != v.fleet.ID || o.From != p.box || o.To != g.self || p.checking {
		return
	}
	if o.Digest() == p.answered && p.setup != nil {
		v.out.Sends = append(v.out.Sends, wire.Send{To: p.box, Bytes: p.setup}) // it got lost
		return
	}
	p.checking = true
	v.out.Jobs = append(v.out.Jobs, speakJob{p, o, wire.Setup{
		Fleet: v.fleet.ID, From: g.self, To: p.box, Boot: wire.Boot(v.boot), Member: g.member, Offered: o.Digest(),
	}})
}

// speakJob checks an offer and answers it.
type speakJob struct {
	peer  *peer
	offer wire.Offer
	setup wire.Setup
}

type spoken struct {
	speakJob
	session *channel.PeerSession
	frame   []byte
	err     error
}

func (j speakJob) Run(h hal.HAL) Result {
	s := spoken{speakJob: j}
	if !bundle.SignedBy(j.peer.key, j.offer.Digest(), j.offer.Signature) {
		s.err = errStranger
		return s
	}
	if s.session, s.setup.Enc, s.err = channel.Speak(j.offer.Key, j.setup.Info()); s.err != nil {
		return s
	}
	if s.setup.Signature, s.err = h.Sign(keyBox, s.setup.Digest()); s.err != nil {
		return s
	}
	s.frame, s.err = wire.PeerFrame(wire.PeerSetup, s.setup)
	return s
}

func (s spoken) enter(v *Vault) {
	p := s.peer
	p.checking = false
	if s.err != nil {
		return
	}
	p.out, p.answered, p.setup = s.session, s.setup.Offered, s.frame
	v.out.Sends = append(v.out.Sends, wire.Send{To: p.box, Bytes: s.frame})
	if s.offer.Boot != p.inBoot {
		p.in, p.deaf = nil, true // it started anew, and does not know its session any more
	}
}

// setUp takes the answer to this box's offer, once.
func (g *group) setUp(v *Vault, p *peer, b []byte) {
	s, err := wire.DecodePeer[wire.Setup](b)
	if err != nil || s.Fleet != v.fleet.ID || s.From != p.box || s.To != g.self || p.offer == nil || s.Offered != p.offer.Digest() {
		return
	}
	v.out.Jobs = append(v.out.Jobs, hearJob{p, p.offer, s})
}

type hearJob struct {
	peer  *peer
	offer *offer
	setup wire.Setup
}

type heard struct {
	hearJob
	session *channel.PeerSession
	err     error
}

func (j hearJob) Run(hal.HAL) Result {
	h := heard{hearJob: j}
	if !bundle.SignedBy(j.peer.key, j.setup.Digest(), j.setup.Signature) {
		h.err = errStranger
		return h
	}
	h.session, h.err = j.offer.private.Hear(j.setup.Enc, j.setup.Info())
	return h
}

func (h heard) enter(*Vault) {
	p := h.peer
	if h.err != nil || p.offer != h.offer {
		return // or answered already: the offer's key was for one handshake
	}
	p.in, p.inBoot, p.inMember = h.session, h.setup.Boot, h.setup.Member
	p.offer, p.deaf = nil, false
}
