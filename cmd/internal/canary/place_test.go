//go:build linux

package canary

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// finding is a canary where somebody found it.
type finding struct {
	secret *secret
	place  string // "memory of the host", "disk"
	where  string // a file and offset, a mapping
	form   string
}

func (f finding) String() string {
	return fmt.Sprintf("%s, as %s, in %s (%s)", f.secret.name, f.form, f.place, f.where)
}

// hunt collects what a searcher finds, and how much it looked through.
type hunt struct {
	t        *testing.T
	search   *searcher
	findings []finding
	bytes    map[string]int64 // looked through, by place
}

func newHunt(t *testing.T, secrets []*secret) *hunt {
	return &hunt{t: t, search: newSearcher(secrets), bytes: map[string]int64{}}
}

func (h *hunt) look(place, where string, data []byte) {
	h.bytes[place] += int64(len(data))
	h.search.find(data, func(p pattern, at int) {
		h.findings = append(h.findings, finding{p.secret, place, fmt.Sprintf("%s +%d", where, at), p.form})
	})
}

// folder looks through the names and bytes of all files below root.
func (h *hunt) folder(root string) {
	h.t.Helper()
	files := 0
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		h.look("disk", "a name", []byte(name))
		if !d.Type().IsRegular() {
			return nil
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		h.look("disk", name, data)
		files++
		return nil
	})
	if err != nil || files == 0 {
		h.t.Fatalf("%s: %d files, %v", root, files, err)
	}
}

// memory looks through all that a process has mapped and may read. Zero bytes
// read is an error.
func (h *hunt) memory(place string, pid int) error {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return err
	}
	file, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return err
	}
	defer file.Close()
	before := h.bytes[place]
	for line := range strings.Lines(string(maps)) {
		var from, to uint64
		var rights string
		if n, _ := fmt.Sscanf(line, "%x-%x %s", &from, &to, &rights); n != 3 {
			return fmt.Errorf("a line of maps that says nothing: %q", line)
		}
		if !strings.HasPrefix(rights, "r") || strings.Contains(line, "[v") { // vvar, vdso, vsyscall: the kernel's
			continue
		}
		h.mapping(place, strings.TrimSpace(line), file, int64(from), int64(to))
	}
	if h.bytes[place] == before {
		return errors.New("nothing of its memory could be read")
	}
	return nil
}

const chunkBytes = 1 << 20

// mapping reads in chunks that overlap by the longest form. A page that is
// gone meanwhile holds nothing.
func (h *hunt) mapping(place, where string, memory io.ReaderAt, from, to int64) {
	buffer := make([]byte, chunkBytes+h.search.overlap)
	for at := from; at < to; at += chunkBytes {
		n, _ := memory.ReadAt(buffer[:min(int64(len(buffer)), to-at)], at)
		if n > 0 {
			h.look(place, where, buffer[:n])
		}
	}
}

// tap is a TCP proxy that keeps every byte of both ways.
type tap struct {
	listener net.Listener
	to       string

	mu    sync.Mutex
	bytes bytes.Buffer // under mu: each connection's halves, as they came
}

func newTap(t *testing.T, to string) *tap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	p := &tap{listener: l, to: to}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go p.carry(c)
		}
	}()
	return p
}

func (p *tap) url() string { return "http://" + p.listener.Addr().String() }

// carry keeps each half whole, so that a canary which two reads cut in two
// is found all the same.
func (p *tap) carry(c net.Conn) {
	defer c.Close()
	up, err := net.Dial("tcp", p.to)
	if err != nil {
		return
	}
	defer up.Close()
	var halves [2]bytes.Buffer
	ended := make(chan struct{}, 2)
	go func() {
		io.Copy(io.MultiWriter(up, &halves[0]), c)
		up.(*net.TCPConn).CloseWrite()
		ended <- struct{}{}
	}()
	go func() { io.Copy(io.MultiWriter(c, &halves[1]), up); c.(*net.TCPConn).CloseWrite(); ended <- struct{}{} }()
	<-ended
	<-ended
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range halves {
		p.bytes.Write(halves[i].Bytes())
		p.bytes.WriteByte(0)
	}
}

func (p *tap) seen() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return bytes.Clone(p.bytes.Bytes())
}

// lines reads a process's output: all of it is kept, and each line is given on.
type lines struct {
	mu    sync.Mutex
	bytes bytes.Buffer
	ended chan struct{}
}

func readLines(r io.Reader, each func(line []byte)) *lines {
	l := &lines{ended: make(chan struct{})}
	go func() {
		defer close(l.ended)
		for in := bufio.NewReader(r); ; {
			line, err := in.ReadBytes('\n')
			l.mu.Lock()
			l.bytes.Write(line)
			l.mu.Unlock()
			if len(line) > 0 {
				each(line)
			}
			if err != nil {
				return
			}
		}
	}()
	return l
}

func (l *lines) seen() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.bytes.Bytes())
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
