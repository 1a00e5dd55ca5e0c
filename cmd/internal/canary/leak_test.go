//go:build linux

package canary

import (
	"bufio"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// leaky is a host process that does everything wrong: it is this test's own
// binary. It reads its canaries from a pipe, never from arguments or the
// environment.
const leakyVariable = "STRONGROOM_CANARY_LEAKY"

var leakyPlaces = []string{"memory", "disk", "log", "metrics", "header"}

// kept is the leak in memory: a global variable, in a form of the test's choice.
var kept []byte

// leak is what the test tells the leaky process.
type leak struct {
	Forms  map[string][]byte // by place
	Folder string
}

func leaky() error {
	var l leak
	in := bufio.NewReader(os.Stdin)
	if err := json.NewDecoder(in).Decode(&l); err != nil {
		return err
	}
	kept = l.Forms["memory"]
	if err := os.WriteFile(filepath.Join(l.Folder, "record"), slices.Concat([]byte("version 1 "), l.Forms["disk"], []byte(" end")), 0o600); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "level=DEBUG msg=%s\n", l.Forms["log"])
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "requests_total"}, []string{"account"})
	requests.WithLabelValues(string(l.Forms["metrics"])).Inc()
	registry := prometheus.NewRegistry()
	registry.MustRegister(requests)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("POST /", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Trace", string(l.Forms["header"])) })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	go http.Serve(listener, mux)
	_, err = io.Copy(io.Discard, in) // until the test ends
	_ = kept
	return err
}

// TestPlantedLeaksAreFound: in each place, in each form.
func TestPlantedLeaksAreFound(t *testing.T) {
	names := []string{}
	for form := range forms(make([]byte, secretBytesMin)) {
		names = append(names, form)
	}
	slices.Sort(names)
	places := 0
	for i, form := range names {
		if form != "raw" && i%3 != 0 || underRace { // a process each: six forms in each place are enough
			continue
		}
		t.Run(form, func(t *testing.T) { leakIn(t, form) })
		places += len(leakyPlaces)
	}
	if places < 25 && !underRace {
		t.Errorf("only %d leaks were planted", places)
	}
}

func leakIn(t *testing.T, form string) {
	var secrets []*secret
	l := leak{Forms: map[string][]byte{}, Folder: t.TempDir()}
	for _, place := range leakyPlaces {
		s := &secret{"what leaks into " + place, drawText()}
		secrets = append(secrets, s)
		l.Forms[place] = forms(s.bytes)[form]
	}
	if form[:3] == "UTF" { // no metric label and no header holds such bytes
		l.Forms["metrics"], l.Forms["header"] = secrets[3].bytes, secrets[4].bytes
	}
	address, process, log := startLeaky(t, l)
	wire := newTap(t, address)
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	plain := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := plain.Post(wire.url(), "text/plain", nil)
	must(t, err)
	response.Body.Close()
	metrics := get(t, "http://"+address+"/metrics")

	h := newHunt(t, secrets)
	must(t, h.memory("memory", process))
	h.folder(l.Folder)
	awaitBytes(t, log.seen)
	h.look("log", "stderr", log.seen())
	h.look("metrics", "/metrics", metrics)
	awaitBytes(t, wire.seen)
	h.look("header", "the wire", wire.seen())
	for i, place := range leakyPlaces {
		if !slices.ContainsFunc(h.findings, func(f finding) bool { return f.place == place && f.secret == secrets[i] }) {
			t.Errorf("a leak into %s was not found, of %d bytes looked through", place, h.bytes[place])
		}
	}
}

func startLeaky(t *testing.T, l leak) (address string, pid int, log *lines) {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	command := exec.Command(self)
	command.Env = append(os.Environ(), leakyVariable+"=1")
	in, err := command.StdinPipe()
	must(t, err)
	out, err := command.StdoutPipe()
	must(t, err)
	stderr, err := command.StderrPipe()
	must(t, err)
	must(t, command.Start())
	log = readLines(stderr, func([]byte) {})
	t.Cleanup(func() { in.Close(); <-log.ended; command.Wait() })
	must(t, json.NewEncoder(in).Encode(l))
	line, err := bufio.NewReader(out).ReadString('\n')
	must(t, err)
	return line[:len(line)-1], command.Process.Pid, log
}

// drawText is a canary that is also text.
func drawText() []byte {
	var b [12]byte
	rand.Read(b[:])
	return []byte(hex.EncodeToString(b[:]))
}
