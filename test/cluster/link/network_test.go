package link

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

const (
	echoVariable = "STRONGROOM_LINK_ECHO" // where this binary listens, being a box
	boxes        = 3
	port         = 8642
	soon         = 200 * time.Millisecond // nothing comes in this time where nothing may
	late         = time.Minute            // whatever comes, comes in this time
)

func TestMain(m *testing.M) {
	if at := os.Getenv(echoVariable); at != "" {
		echo(at)
		return
	}
	os.Exit(m.Run())
}

func echo(at string) {
	l, err := net.Listen("tcp", at)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("listening")
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go io.Copy(c, c)
	}
}

// place starts the box of every place.
func place(t *testing.T, n *Network) {
	t.Helper()
	for box := range boxes {
		cmd := n.Command(box, os.Args[0])
		cmd.Env = append(os.Environ(), echoVariable+"="+net.JoinHostPort(n.Host(box), fmt.Sprint(port)))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
		if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "listening\n" {
			t.Fatalf("box %d: %q, %v", box, line, err)
		}
	}
}

// call is a connection of one box to another. It is dialled from here, on the
// box's side of the line in the proxies' eyes.
func call(t *testing.T, n *Network, from, to int) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", n.Address(from, to))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// passes: what is said comes back. whole false: nothing may, soon.
func passes(t *testing.T, c net.Conn, what string, want bool) {
	t.Helper()
	if _, err := io.WriteString(c, what); err != nil {
		t.Fatal(err)
	}
	within := late
	if !want {
		within = soon
	}
	c.SetReadDeadline(time.Now().Add(within))
	got := make([]byte, len(what))
	n, err := io.ReadFull(c, got)
	if want && (err != nil || string(got) != what) {
		t.Fatalf("%q came back as %q, %v", what, got[:n], err)
	}
	if !want && n > 0 {
		t.Fatalf("%q passed a cut", got[:n])
	}
}

// each tries f on what this machine gives, and on loopback addresses.
func each(t *testing.T, f func(*testing.T, *Network)) {
	for name, make := range map[string]func() (*Network, error){
		"as it is here": func() (*Network, error) { return New(boxes, port, 1, t.Logf) },
		"loopback":      func() (*Network, error) { return build(boxes, port, 1, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			n, err := make()
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := n.Close(); err != nil {
					t.Error(err)
				}
			}()
			place(t, n)
			f(t, n)
		})
	}
}

// A partition lets nothing pass between its sides and everything within; what
// was said meanwhile arrives when it heals.
func TestPartition(t *testing.T) {
	each(t, func(t *testing.T, n *Network) {
		near, far := call(t, n, 1, 2), call(t, n, 0, 2)
		passes(t, near, "before", true)
		passes(t, far, "before", true)
		if err := n.Partition(0); err != nil {
			t.Fatal(err)
		}
		passes(t, near, "within a side", true)
		passes(t, far, "meanwhile", false)
		if err := n.Heal(); err != nil {
			t.Fatal(err)
		}
		far.SetReadDeadline(time.Now().Add(late))
		got := make([]byte, len("meanwhile"))
		if _, err := io.ReadFull(far, got); err != nil || string(got) != "meanwhile" {
			t.Fatalf("after it healed: %q, %v", got, err)
		}
	})
}

// The weather comes as it was ordered: late, garbled, or not at all.
func TestWeather(t *testing.T) {
	each(t, func(t *testing.T, n *Network) {
		c := call(t, n, 0, 1)
		const delay = 50 * time.Millisecond
		n.Set(Weather{Delay: delay, Jitter: delay})
		begun := time.Now()
		passes(t, c, "there and back", true)
		if took := time.Since(begun); took < 2*delay {
			t.Errorf("there and back in %v, through two delays of %v", took, delay)
		}
		n.Set(Weather{Corrupt: 1})
		what := "two bits of this are flipped, or the same one twice"
		same := 0
		for range 20 {
			io.WriteString(c, what)
			got := make([]byte, len(what))
			c.SetReadDeadline(time.Now().Add(late))
			if _, err := io.ReadFull(c, got); err != nil {
				t.Fatal(err)
			}
			if string(got) == what {
				same++
			}
		}
		if same > 10 {
			t.Errorf("%d of 20 came back whole", same)
		}
		n.Set(Weather{Break: 1})
		io.WriteString(c, what)
		c.SetReadDeadline(time.Now().Add(late))
		if rest, err := io.ReadAll(c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the line holds: %q, %v", rest, err)
		}
		if carried, corrupted, broken := n.Counts(); carried < 20 || corrupted < 20 || broken < 1 {
			t.Errorf("it counted %d carried, %d corrupted, %d broken", carried, corrupted, broken)
		}
	})
}
