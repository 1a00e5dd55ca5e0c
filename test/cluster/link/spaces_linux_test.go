package link

import (
	"net"
	"os"
	"slices"
	"strings"
	"testing"
)

// What a dead run left is taken down by the next one: its namespaces, its
// interfaces, and the processes in them; what a living one has stays.
func TestClear(t *testing.T) {
	if why := missing(); why != "" {
		t.Logf("no namespaces, so none can be left: %s", why)
		return
	}
	n, err := New(boxes, port, 1, t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	place(t, n)
	if left := ours(t, n.spaces.id); len(left) != 2*boxes+1 {
		t.Fatalf("made: %v", left)
	}
	clear(func(pid int) bool { return !lives(pid) })
	if left := ours(t, n.spaces.id); len(left) != 2*boxes+1 {
		t.Fatalf("this process lives, and has only %v left", left)
	}
	clear(func(pid int) bool { return pid == os.Getpid() })
	if left := ours(t, n.spaces.id); len(left) != 0 {
		t.Fatalf("left: %v", left)
	}
	for _, l := range n.lines {
		l.Close()
	}
}

// ours are the namespaces and interfaces of a name.
func ours(t *testing.T, id string) (names []string) {
	t.Helper()
	spaces, err := os.ReadDir("/run/netns")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range spaces {
		names = append(names, "netns "+s.Name())
	}
	links, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		names = append(names, "link "+l.Name)
	}
	return slices.DeleteFunc(names, func(n string) bool {
		_, name, _ := strings.Cut(n, " ")
		return name != id && !strings.HasPrefix(name, id+"-")
	})
}
