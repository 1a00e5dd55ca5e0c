package wire

import (
	"bytes"
	"testing"
)

func sampleOffer() Offer {
	return Offer{Fleet: FleetID{1}, From: BoxID{2}, To: BoxID{3}, Boot: Boot{4}, Number: 5, Key: []byte("key"), Signature: make([]byte, SignatureBytes)}
}

func sampleSetup() Setup {
	return Setup{Fleet: FleetID{1}, From: BoxID{2}, To: BoxID{3}, Boot: Boot{4}, Member: 5, Offered: [32]byte{6}, Enc: []byte("enc"), Signature: make([]byte, SignatureBytes)}
}

func sampleParcel() Parcel {
	return Parcel{
		ClockMillis: 1, Raft: [][]byte{{1}, {2}}, Took: &StreamTook{Stream: 1, Number: 2, Ended: true}, Group: GroupID{9},
		Part: &StreamPart{Stream: 3, Head: &StreamHead{Root: [32]byte{4}, Leaves: 5, State: []byte("s"), Raft: []byte("r")}, Records: [][]byte{{1}}, Last: true},
	}
}

// What is signed hangs on every field, and not on the signature.
func TestPeerDigests(t *testing.T) {
	o, s := sampleOffer(), sampleSetup()
	seen := map[[32]byte]string{o.Digest(): "offer", s.Digest(): "setup"}
	for name, change := range map[string]func(o *Offer, s *Setup){
		"fleet":   func(o *Offer, s *Setup) { o.Fleet[0]++; s.Fleet[0]++ },
		"from":    func(o *Offer, s *Setup) { o.From[0]++; s.From[0]++ },
		"to":      func(o *Offer, s *Setup) { o.To[0]++; s.To[0]++ },
		"boot":    func(o *Offer, s *Setup) { o.Boot[0]++; s.Boot[0]++ },
		"number":  func(o *Offer, s *Setup) { o.Number++; s.Member++ },
		"key":     func(o *Offer, s *Setup) { o.Key, s.Enc = []byte("yek"), []byte("cne") },
		"offered": func(o *Offer, s *Setup) { o.Number += 2; s.Offered[0]++ },
	} {
		o, s := sampleOffer(), sampleSetup()
		change(&o, &s)
		for _, d := range [][32]byte{o.Digest(), s.Digest()} {
			if before, found := seen[d]; found {
				t.Errorf("%s: the same digest as %s", name, before)
			}
			seen[d] = name
		}
	}
	signed := sampleOffer()
	signed.Signature[0] = 1
	if signed.Digest() != o.Digest() {
		t.Error("the signature is signed")
	}
	if bytes.Equal(s.Info(), func() []byte { s := sampleSetup(); s.To[0]++; return s.Info() }()) {
		t.Error("a session for somebody else has the same info")
	}
}

// FuzzPeer: whatever parses says itself again, in the same bytes.
func FuzzPeer(f *testing.F) {
	for kind, message := range map[PeerKind]any{PeerOffer: sampleOffer(), PeerSetup: sampleSetup(), PeerData: sampleParcel()} {
		frame, err := PeerFrame(kind, message)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(frame)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		switch PeerKindOf(b) {
		case PeerOffer:
			sameAgain(t, PeerOffer, b, DecodePeer[Offer])
		case PeerSetup:
			sameAgain(t, PeerSetup, b, DecodePeer[Setup])
		case PeerData:
			sameAgain(t, PeerData, b, DecodePeer[Parcel])
		}
	})
}

func sameAgain[M any](t *testing.T, kind PeerKind, b []byte, decode func([]byte) (M, error)) {
	m, err := decode(b[2:])
	if err != nil {
		return
	}
	frame, err := PeerFrame(kind, m)
	if err != nil || !bytes.Equal(frame, b) {
		t.Fatalf("%x is said as %x, %v", b, frame, err)
	}
}

func TestPeerLimits(t *testing.T) {
	if PeerKindOf(nil) != 0 || PeerKindOf([]byte{2, 1}) != 0 || PeerKindOf(make([]byte, PeerBytesMax+1)) != 0 {
		t.Error("no message of this version has a kind")
	}
	o := sampleOffer()
	o.Key = make([]byte, peerKeyBytesMax+1)
	if o.Validate() == nil {
		t.Error("a key too long")
	}
	s := sampleSetup()
	s.Member = 0
	if s.Validate() == nil {
		t.Error("no member")
	}
}
