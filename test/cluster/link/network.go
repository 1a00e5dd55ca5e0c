package link

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"
)

// Network holds the places of an island's boxes, numbered from 0.
type Network struct {
	boxes  int
	local  string  // all but the last part of loopback addresses, nobody else's
	first  int     // the last part of the first box's
	spaces *spaces // nil: loopback addresses
	lines  map[pair]*Line
	bare   int // the boxes' port, where there are no lines
}

func localOf(pid int) string { return fmt.Sprintf("127.%d.%d", 1+pid/256%254, pid%256) }

func firstOf(count int) int { return 2 + count%30*8 }

// serial tells a process's networks apart.
var serial atomic.Int32

// pair is a line's two ends: who dials, and whom.
type pair struct{ from, to int }

// New makes a network of so many boxes: of namespaces where this process may
// make them, else of loopback addresses; say hears which. port is where each
// box listens for the others.
func New(boxes, port int, seed uint64, say func(string, ...any)) (*Network, error) {
	why := missing()
	if why != "" {
		say("network: loopback addresses, partitions by the proxies alone: %s", why)
		return build(boxes, port, seed, nil)
	}
	s, err := newSpaces(boxes)
	if err != nil {
		return nil, err
	}
	say("network: a namespace for each of %d boxes, partitions by nft", boxes)
	return build(boxes, port, seed, s)
}

// build lays the lines; no spaces: between loopback addresses.
func build(boxes, port int, seed uint64, s *spaces) (*Network, error) {
	n := &Network{boxes: boxes, spaces: s, lines: map[pair]*Line{}, local: localOf(os.Getpid()), first: firstOf(int(serial.Add(1)))}
	for from := range boxes {
		for to := range boxes {
			if from == to {
				continue
			}
			if err := n.lay(pair{from, to}, port, seed); err != nil {
				n.Close()
				return nil, err
			}
		}
	}
	return n, nil
}

// Bare is a network of loopback addresses without lines: boxes reach one
// another at their own addresses, and nothing is between them.
func Bare(boxes, port int) *Network {
	return &Network{boxes: boxes, local: localOf(os.Getpid()), first: firstOf(int(serial.Add(1))), bare: port}
}

// lay makes the line by which one box reaches another.
func (n *Network) lay(p pair, port int, seed uint64) error {
	listener, err := net.Listen("tcp", net.JoinHostPort(n.face(p.to), "0"))
	if err != nil {
		return err
	}
	dialer := net.Dialer{}
	if n.spaces != nil { // so that the far box's packet filter knows whose they are
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(n.face(p.from))}
	}
	far := net.JoinHostPort(n.Host(p.to), fmt.Sprint(port))
	n.lines[p] = NewLine(listener, func(ctx context.Context) (net.Conn, error) { return dialer.DialContext(ctx, "tcp", far) },
		seed^uint64(p.from*16+p.to+1))
	return nil
}

// Kind says what the network is made of.
func (n *Network) Kind() string {
	if n.spaces != nil {
		return "namespaces"
	}
	return "loopback"
}

// Host is a box's own address.
func (n *Network) Host(box int) string {
	if n.spaces != nil {
		return n.spaces.host(box)
	}
	return fmt.Sprintf("%s.%d", n.local, n.first+box)
}

// face is the address that a box has for the others, at the proxies.
func (n *Network) face(box int) string {
	if n.spaces != nil {
		return n.spaces.face(box)
	}
	return n.Host(box)
}

// Address is where box from is told that box to listens: the line between them.
func (n *Network) Address(from, to int) string {
	if l := n.lines[pair{from, to}]; l != nil {
		return l.Address()
	}
	return net.JoinHostPort(n.Host(to), fmt.Sprint(n.bare))
}

// Command is a command that runs at a box's place.
func (n *Network) Command(box int, program string, args ...string) *exec.Cmd {
	if n.spaces == nil {
		return exec.Command(program, args...)
	}
	return exec.Command("ip", append([]string{"netns", "exec", n.spaces.name(box), program}, args...)...)
}

// Set gives all lines the same weather.
func (n *Network) Set(w Weather) {
	for _, l := range n.lines {
		l.Set(w)
	}
}

// Partition lets nothing pass between the boxes of side and all others.
func (n *Network) Partition(side ...int) error {
	in := map[int]bool{}
	for _, box := range side {
		in[box] = true
	}
	for a := range n.boxes {
		for b := range n.boxes {
			if in[a] && !in[b] {
				if err := n.part(a, b); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// part ends what passes between two boxes.
func (n *Network) part(a, b int) error {
	if n.spaces != nil {
		return n.spaces.part(a, b)
	}
	n.lines[pair{a, b}].Cut()
	n.lines[pair{b, a}].Cut()
	return nil
}

// Heal ends all partitions.
func (n *Network) Heal() error {
	for _, l := range n.lines {
		l.Mend()
	}
	if n.spaces != nil {
		return n.spaces.heal()
	}
	return nil
}

// Counts adds the lines' up.
func (n *Network) Counts() (carried, corrupted, broken int64) {
	for _, l := range n.lines {
		a, b, c := l.Counts()
		carried, corrupted, broken = carried+a, corrupted+b, broken+c
	}
	return carried, corrupted, broken
}

// Close takes everything down that New made.
func (n *Network) Close() error {
	for _, l := range n.lines {
		l.Close()
	}
	if n.spaces != nil {
		return n.spaces.close()
	}
	return nil
}

const toolWithin = 10 * time.Second

// tool runs a command of the system's, to its end.
func tool(stdin, name string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), toolWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s (.ci/network installs it)", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
