package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"strongroom/cmd/internal/demostore"
	"strongroom/cmd/internal/serve"
	"strongroom/host/relay"
	"strongroom/hsm/hsmtest"
	"strongroom/hsm/soft"
	"strongroom/vault/hal"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"strongroom": main})
}

// TestStories runs testdata/script: each file is one story of a person.
//
// Commands beside testscript's own:
//
//	vault start             a whole vault: sets VAULT, PIN, writes tokens.json (anna) and bert.json
//	vault start WAITS       the same, with waits between the attempts
//	vault start reset DELAY the same, with another delay of resets
//	vault stop
//	vault evaluations N     the HSM evaluated N guesses so far, counted at its door
//	vault hold N            the Nth request from now gets no answer
//	vault held              waits until that request was carried out
//	vault release           answers flow again
//	store DIR MEGABYTES     makes a messaging store
//	damage DIR              flips a byte in the largest file under DIR
//	grown DIR BYTES         DIR holds at most so many bytes more than at the last grown
//	oldest                  sets OLDEST to the first backup that the last snapshots --json named
//	lose DIR                deletes the largest file under DIR
//	lastgroup               writes the last group of the key on stdout to group.txt
func TestStories(t *testing.T) {
	stories, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(stories) < 10 {
		t.Fatalf("%d stories found, %v", len(stories), err)
	}
	if underRace {
		stories = []string{"testdata/script/kill.txtar", "testdata/script/key.txtar"}
	}
	testscript.Run(t, testscript.Params{
		Files: stories,
		Setup: func(e *testscript.Env) error {
			e.Values[theRig{}] = &rig{env: e, sizes: map[string]int64{}}
			e.Setenv("XDG_DATA_HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("TZ", "UTC")
			e.Defer(func() { e.Values[theRig{}].(*rig).stop() })
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"vault": step((*rig).vault), "store": step((*rig).store), "damage": step((*rig).damage),
			"cloud": cloud(t),
			"grown": step((*rig).grown), "lastgroup": step((*rig).lastGroup),
			"oldest": step((*rig).oldest), "lose": step((*rig).loseLargest),
		},
	})
}

type theRig struct{}

// rig is what a story has beside the program.
type rig struct {
	env     *testscript.Env
	server  *serve.Server
	front   *httptest.Server
	counter *hsmtest.Counter
	sizes   map[string]int64

	resetDelay time.Duration

	mu      sync.Mutex
	hold    int // requests until the one that is held; 0 none
	lose    int // requests until the first whose answer is lost, as all after it; 0 none
	held    chan struct{}
	release chan struct{}
}

func step(do func(*rig, *testscript.TestScript, []string) error) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		err := do(ts.Value(theRig{}).(*rig), ts, args)
		if neg && err == nil {
			ts.Fatalf("succeeded")
		}
		if !neg {
			ts.Check(err)
		}
	}
}

func (r *rig) vault(ts *testscript.TestScript, args []string) error {
	switch {
	case len(args) == 1 && args[0] == "start":
		return r.start(ts, serve.WaitsNone)
	case len(args) == 3 && args[0] == "start" && args[1] == "reset":
		delay, err := time.ParseDuration(args[2])
		if err != nil {
			return err
		}
		r.resetDelay = delay
		return r.start(ts, serve.WaitsNone)
	case len(args) == 2 && args[0] == "start":
		return r.start(ts, args[1])
	case len(args) == 1 && args[0] == "stop":
		return r.stop()
	case len(args) == 2 && args[0] == "evaluations":
		if got := strconv.Itoa(r.counter.Evaluations()); got != args[1] {
			return fmt.Errorf("the HSM evaluated %s, not %s", got, args[1])
		}
		return nil
	case len(args) == 2 && args[0] == "hold":
		n, err := strconv.Atoi(args[1])
		r.mu.Lock()
		defer r.mu.Unlock()
		r.hold, r.held, r.release = n, make(chan struct{}), make(chan struct{})
		return err
	case len(args) == 2 && args[0] == "lose":
		n, err := strconv.Atoi(args[1])
		r.mu.Lock()
		defer r.mu.Unlock()
		r.lose = n
		return err
	case len(args) == 1 && args[0] == "held":
		select {
		case <-r.held:
			return nil
		case <-time.After(time.Minute):
			return fmt.Errorf("no request came")
		}
	case len(args) == 1 && args[0] == "release":
		close(r.release)
		return nil
	}
	return fmt.Errorf("vault %q: no such thing", args)
}

func (r *rig) start(ts *testscript.TestScript, waits string) (err error) {
	many := relay.Rate{PerSecond: 1e6, Burst: 1e6}
	r.server, err = serve.Start(context.Background(), serve.Config{
		Waits: waits, ResetDelay: r.resetDelay,
		Data: filepath.Join(r.env.WorkDir, "vault"), Listen: "127.0.0.1:0", Admin: serve.AdminOff,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Stretch: soft.Cheap, AddressRate: many, AccountRate: many,
		WrapHAL: func(h hal.HAL) hal.HAL { r.counter = hsmtest.NewCounter(h); return r.counter },
	})
	if err != nil {
		return err
	}
	to := &courier{to: r.server.URL}
	r.front = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { r.carry(to, w, req) }))
	ts.Setenv("VAULT", r.front.URL)
	ts.Setenv("PIN", r.server.Pin.String())
	return errors.Join(r.tokens(ts, "anna", "tokens.json"), r.tokens(ts, "bert", "bert.json"))
}

func (r *rig) tokens(ts *testscript.TestScript, account, file string) error {
	tokens, err := r.server.IssueTokens(account, time.Hour)
	if err != nil {
		return err
	}
	b, err := json.Marshal(tokens)
	if err != nil {
		return err
	}
	return os.WriteFile(ts.MkAbs(file), b, 0o600)
}

// courier carries whole requests to the vault. (httputil.ReverseProxy streams
// them, and on a busy machine now and then tears a line whose answer comes
// before it looked for the end of the request.)
type courier struct {
	to   string
	line http.Transport
}

func (c *courier) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	out, err := http.NewRequest(req.Method, c.to+req.URL.Path, bytes.NewReader(body))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	out.Header = req.Header.Clone()
	res, err := c.line.RoundTrip(out)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer res.Body.Close()
	maps.Copy(w.Header(), res.Header)
	w.WriteHeader(res.StatusCode)
	_, _ = io.Copy(w, res.Body)
}

// carry carries a request, and keeps the answer of the one that is held.
func (r *rig) carry(to http.Handler, w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	mine := false
	if req.Method == http.MethodPost && r.hold > 0 {
		r.hold--
		mine = r.hold == 0
	}
	lost := r.lose == 1
	if req.Method == http.MethodPost && r.lose > 1 {
		r.lose--
	}
	held, release := r.held, r.release
	r.mu.Unlock()
	if lost && req.Method == http.MethodPost {
		to.ServeHTTP(httptest.NewRecorder(), req)
		panic(http.ErrAbortHandler)
	}
	if !mine {
		to.ServeHTTP(w, req)
		return
	}
	kept := httptest.NewRecorder()
	to.ServeHTTP(kept, req)
	close(held)
	<-release
	panic(http.ErrAbortHandler)
}

func (r *rig) stop() error {
	if r.server == nil {
		return nil
	}
	if r.release != nil {
		select {
		case <-r.release:
		default:
			close(r.release)
		}
	}
	r.front.Close()
	err := r.server.Stop()
	r.server = nil
	return err
}

func (r *rig) store(ts *testscript.TestScript, args []string) error {
	megabytes, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	return demostore.Store{Dir: ts.MkAbs(args[0]), Seed: 7}.Make(context.Background(), int64(megabytes)*1_000_000, nil)
}

// largestIn finds the largest file under a folder.
func largestIn(folder string) (largest string, err error) {
	var size int64
	err = filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err == nil && info.Size() > size {
			largest, size = path, info.Size()
		}
		return err
	})
	if err != nil || size == 0 {
		return "", fmt.Errorf("nothing to damage: %w", err)
	}
	return largest, nil
}

func (r *rig) damage(ts *testscript.TestScript, args []string) error {
	largest, err := largestIn(ts.MkAbs(args[0]))
	if err != nil {
		return err
	}
	b, err := os.ReadFile(largest)
	if err != nil {
		return err
	}
	b[len(b)/2] ^= 1
	if err := os.Chmod(largest, 0o600); err != nil {
		return err
	}
	return os.WriteFile(largest, b, 0o600)
}

func (r *rig) grown(ts *testscript.TestScript, args []string) error {
	most, err := strconv.ParseInt(args[1], 10, 64)
	if err != nil {
		return err
	}
	_, now, err := count(ts.MkAbs(args[0]))
	before := r.sizes[args[0]]
	r.sizes[args[0]] = now
	if err == nil && now-before > most {
		err = fmt.Errorf("%s grew by %d bytes", args[0], now-before)
	}
	return err
}

func (r *rig) lastGroup(ts *testscript.TestScript, args []string) error {
	var e struct{ Key string }
	for _, line := range bytes.Split([]byte(ts.ReadFile("stdout")), []byte("\n")) {
		if bytes.Contains(line, []byte(`"event":"key"`)) {
			if err := json.Unmarshal(line, &e); err != nil {
				return err
			}
		}
	}
	if len(e.Key) < 79 {
		return fmt.Errorf("no key on stdout")
	}
	if err := os.WriteFile(ts.MkAbs("group.txt"), []byte(e.Key[len(e.Key)-4:]+"\n"), 0o600); err != nil {
		return err
	}
	return os.WriteFile(ts.MkAbs("key.txt"), []byte(e.Key+"\n"), 0o600)
}
