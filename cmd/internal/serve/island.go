package serve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"strongroom/host/node"
	"strongroom/host/peer"
	"strongroom/protocol/wire"
)

// handOverWithin is how long a box that leads may take, at a stop, until
// another one does.
const handOverWithin = 3 * time.Second

// ErrNodeKey: the key by which the other nodes know this one.
var ErrNodeKey = errors.New("the node's key")

// openIsland reads where the island's other boxes are, and takes the address
// for their nodes; nothing where this box is the only one.
func (s *Server) openIsland(c *Config) error {
	file, err := ReadIslandFile(s.Data)
	if err != nil {
		return err
	}
	switch {
	case file == nil && len(s.Fleet.Boxes) == 0 && c.PeerListen == "" && c.PeerListener == nil:
		return nil
	case file == nil && len(s.Fleet.Boxes) == 0:
		return fmt.Errorf("%w: --peer-listen, and this fleet has one box only. Leave the flag out", ErrUsage)
	case file == nil:
		return fmt.Errorf("%w: it is not there, and the fleet's document names %d boxes. Put the one that the ceremony made for this box into %s", ErrIslandFile, len(s.Fleet.Boxes), inVault(s.Data, ""))
	}
	island, err := rosterOf(s.Fleet, file)
	if err != nil {
		return err
	}
	key, err := s.folder.nodeKey(file)
	if err != nil {
		return err
	}
	if s.peerListener, err = listenForPeers(c, file); err != nil {
		return err
	}
	s.island.Store(island)
	s.peers = peer.New(peer.Config{Fleet: s.Fleet.ID, Box: file.own(), Key: key, Boxes: file.others(), Log: s.log})
	return nil
}

// kind is the HSM that the document, or a certificate, names for this box.
func (s *Server) kind() string {
	island := s.island.Load()
	if island == nil {
		return s.Fleet.HSM
	}
	kind, _ := island.hsm(island.own())
	return kind
}

// replacements are the certificates that the box is shown at its start.
func (s *Server) replacements() [][]byte {
	if island := s.island.Load(); island != nil {
		return island.Replacements
	}
	return nil
}

// nodeKey reads the node's key, makes one where there is none, and sees that it
// is the one that the island's file names: else no other node would let it in.
func (f *folder) nodeKey(i *IslandFile) (*peer.Key, error) {
	at := f.vault(NodeKeyName)
	text, err := os.ReadFile(at)
	made := errors.Is(err, os.ErrNotExist)
	if made {
		if _, err := MakeNodeKey(at); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNodeKey, err)
		}
		text, err = os.ReadFile(at)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNodeKey, err)
	}
	key, err := peer.ParseKey(text)
	if err != nil {
		return nil, fmt.Errorf("%w in %s does not parse: %w. It opens no record; remove it, start again and put the new pin into each box's %s", ErrNodeKey, at, err, IslandFileName)
	}
	_, pin, err := i.Boxes[i.place()].parse()
	if err != nil || pin == key.Pin {
		return key, err
	}
	what := "has the pin"
	if made {
		what = "was made now, and has the pin"
	}
	return nil, fmt.Errorf("%w in %s %s %s, and %s says %s for this box. Put the right pin into each box's %s, or the right key here", ErrNodeKey, at, what, key.Pin, IslandFileName, pin, IslandFileName)
}

func listenForPeers(c *Config, island *IslandFile) (net.Listener, error) {
	if c.PeerListener != nil {
		return c.PeerListener, nil
	}
	at := c.PeerListen
	if at == "" {
		at = island.Listen
	}
	if at == "" {
		at = island.Boxes[island.place()].Address
	}
	l, err := net.Listen("tcp", at)
	if err != nil {
		return nil, fmt.Errorf("can not listen at %s for the other boxes' nodes: %w. Give another --peer-listen, or stop what listens there", at, err)
	}
	return l, nil
}

// place is where the file has this box.
func (f *IslandFile) place() int {
	for i, b := range f.Boxes {
		if id, _, err := b.parse(); err == nil && id == f.own() {
			return i
		}
	}
	return 0 // validate sees to it
}

func (f *IslandFile) own() wire.BoxID {
	id, _ := boxID(f.Box)
	return id
}

func (f *IslandFile) others() (others []peer.Box) {
	for _, b := range f.Boxes {
		if id, pin, err := b.parse(); err == nil && id != f.own() {
			others = append(others, peer.Box{ID: id, Name: b.Name, Address: b.Address, Pin: pin})
		}
	}
	return others
}

// box is what the file says of a box.
func (f *IslandFile) box(box wire.BoxID) (IslandBox, bool) {
	for _, b := range f.Boxes {
		if id, _, err := b.parse(); err == nil && id == box {
			return b, true
		}
	}
	return IslandBox{}, false
}

// name is what people call a box.
func (f *IslandFile) name(box wire.BoxID) string {
	b, _ := f.box(box)
	return b.Name
}

// lines are the peers as the node sees them.
type lines struct{ *peer.Peers }

func (l lines) Ask(ctx context.Context, to wire.BoxID, sealed []byte) (wire.Reply, wire.BoxID, error) {
	reply, leader, err := l.Peers.Ask(ctx, to, sealed)
	switch {
	case errors.Is(err, peer.ErrUnanswered):
		err = fmt.Errorf("%w: %w", node.ErrUnanswered, err)
	case errors.Is(err, peer.ErrBusy):
		err = fmt.Errorf("%w: %w", node.ErrBusy, err)
	case err != nil:
		err = fmt.Errorf("%w: %w", node.ErrDown, err)
	}
	return reply, leader, err
}

func (l lines) Up() (up []wire.BoxID) {
	for _, s := range l.Status() {
		if s.Connected {
			up = append(up, s.Box)
		}
	}
	return up
}

// side is the node as the peers see it.
type side struct{ *node.Node }

func (s side) Report() *wire.IslandReport { return s.Island() }

func (s side) Carry(ctx context.Context, sealed []byte) (wire.Reply, wire.BoxID, error) {
	reply, leader, err := s.CarryHere(ctx, sealed)
	switch {
	case errors.Is(err, node.ErrUnanswered):
		err = fmt.Errorf("%w: %w", peer.ErrUnanswered, err)
	case errors.Is(err, node.ErrBusy):
		err = fmt.Errorf("%w: %w", peer.ErrBusy, err)
	case err != nil:
		err = fmt.Errorf("%w: %w", peer.ErrUnreachable, err)
	}
	return reply, leader, err
}
