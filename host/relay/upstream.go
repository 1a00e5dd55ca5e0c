package relay

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"strongroom/protocol/wire"
)

// How a relay tells which boxes can be asked.
const (
	lookEvery  = 500 * time.Millisecond
	lookWithin = time.Second
	idleBoxes  = 64                    // connections kept open to each box
	upWithin   = 5 * time.Second       // a request waits for a box that can be asked: an island chooses a leader in less
	upLook     = 50 * time.Millisecond // and is offered again
)

// Upstream carries requests to an island's boxes, each behind a relay of its
// own, for a relay on another machine. Any box takes any request; the one that
// leads carries it out.
//
// A request that reached no box is taken to another one. Once its bytes may
// have arrived somewhere it is not: where that box dies or falls silent, the
// client hears that the outcome is unknown. Only the client can send the same
// attempt again and know that it does; a second copy on our own would have it
// believe an answer that is about the first.
type Upstream struct {
	path   string // of the vault at each box
	boxes  []*upstreamBox
	client *http.Client
	turn   atomic.Uint32
	ctx    context.Context
	end    context.CancelFunc
	all    sync.WaitGroup
}

type upstreamBox struct {
	url string

	mu    sync.Mutex // guards what follows
	alive context.Context
	bury  context.CancelFunc // ends alive: what waits for this box goes elsewhere
}

// NewUpstream begins to look after boxes of an island, named by their URLs; an
// island without a name is the founder, which boxes of every age know.
// transport may be nil. Close ends it.
func NewUpstream(name string, urls []string, transport http.RoundTripper) *Upstream {
	if transport == nil {
		transport = &http.Transport{MaxIdleConnsPerHost: idleBoxes, IdleConnTimeout: idleFor}
	}
	u := &Upstream{path: "/v1/vault", client: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if name != "" {
		u.path += "/" + name
	}
	u.ctx, u.end = context.WithCancel(context.Background())
	for _, url := range urls {
		b := &upstreamBox{url: strings.TrimRight(url, "/")}
		b.alive, b.bury = context.WithCancel(u.ctx) // until it is seen otherwise
		u.boxes = append(u.boxes, b)
		u.all.Go(func() { u.look(b) })
	}
	return u
}

// Close ends what is on its way.
func (u *Upstream) Close() {
	u.end()
	u.all.Wait()
}

// Healthy is an error where no box can be asked.
func (u *Upstream) Healthy() error {
	if u.Up() == 0 {
		return ErrDown
	}
	return nil
}

// Up is how many boxes can be asked.
func (u *Upstream) Up() (n int) {
	for _, b := range u.boxes {
		if b.state().Err() == nil {
			n++
		}
	}
	return n
}

// look asks a box for its health, again and again.
func (u *Upstream) look(b *upstreamBox) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		b.found(u.ctx, u.healthy(b))
		select {
		case <-tick.C:
		case <-u.ctx.Done():
			return
		}
	}
}

func (u *Upstream) healthy(b *upstreamBox) bool {
	_, err := u.get(u.ctx, b.url+"/healthz", wire.AnswerBytesMax)
	return err == nil
}

func (b *upstreamBox) found(ctx context.Context, healthy bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case !healthy:
		b.bury()
	case b.alive.Err() != nil:
		b.alive, b.bury = context.WithCancel(ctx)
	}
}

func (b *upstreamBox) state() context.Context {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.alive
}

// errNext: the request did not reach this box.
var errNext = errors.New("relay: ask another box")

// Ask is a relay's Vault.
func (u *Upstream) Ask(ctx context.Context, r Request) (wire.Reply, error) {
	patience := time.NewTimer(upWithin)
	defer patience.Stop()
	for {
		reply, left, err := u.askAny(ctx, r)
		switch {
		case err == nil:
			return reply, nil
		case left:
			return reply, fmt.Errorf("relay: a box may have carried it out: %w", err)
		}
		select {
		case <-time.After(upLook):
		case <-patience.C:
			return reply, fmt.Errorf("%w: %w", ErrDown, err)
		case <-ctx.Done():
			return reply, fmt.Errorf("%w: %w", ErrDown, ctx.Err())
		case <-u.ctx.Done():
			return reply, ErrDown
		}
	}
}

// askAny offers the request to each box that is up, in turn, until one has it.
func (u *Upstream) askAny(ctx context.Context, r Request) (reply wire.Reply, left bool, err error) {
	first := int(u.turn.Add(1))
	err = errNext
	for n := range u.boxes {
		b := u.boxes[(first+n)%len(u.boxes)]
		alive := b.state()
		if alive.Err() != nil {
			continue
		}
		if reply, left, err = u.askBox(ctx, alive, b, r); err == nil || left {
			return reply, left, err
		}
	}
	return reply, false, err
}

// askBox sends the request to one box; left: bytes of it may have arrived.
func (u *Upstream) askBox(ctx, alive context.Context, b *upstreamBox, r Request) (reply wire.Reply, left bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(alive, cancel)()
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.url+u.path, bytes.NewReader(r.Sealed))
	if err != nil {
		return reply, false, err
	}
	req.Header.Set("Authorization", "Bearer "+r.Token)
	req.Header.Set("Content-Type", "application/octet-stream")
	req.Header.Set("X-Forwarded-For", r.From.String())
	res, err := u.client.Do(req)
	if err != nil {
		return reply, connected.Load(), fmt.Errorf("%w: %w", errNext, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, wire.AnswerBytesMax+1))
	if err != nil || len(body) > wire.AnswerBytesMax {
		return reply, true, fmt.Errorf("%w: its answer broke off", errNext)
	}
	if res.StatusCode == http.StatusOK {
		return wire.Reply{Sealed: body}, true, nil
	}
	return refusedThere(body)
}

// refusedThere reads what a box's own relay refuses.
func refusedThere(body []byte) (wire.Reply, bool, error) {
	var said struct {
		Refused wire.Code `json:"refused"`
	}
	if json.Unmarshal(body, &said) != nil || said.Refused == "" {
		return wire.Reply{}, true, fmt.Errorf("%w: it is no box", errNext)
	}
	switch said.Refused {
	case wire.CodeUnavailable: // "did not reach it"
		return wire.Reply{}, false, errNext
	case wire.CodeUnknown:
		return wire.Reply{}, true, errNext
	}
	return wire.Reply{Refused: said.Refused}, true, nil
}

// Layouts asks each box that is up for the fleet's layouts and gives what came,
// unchecked.
func (u *Upstream) Layouts(ctx context.Context) (answers [][]byte) {
	for _, b := range u.boxes {
		if alive := b.state(); alive.Err() != nil {
			continue
		}
		if body, err := u.get(ctx, b.url+"/v1/layouts", wire.LayoutsBytesMax); err == nil {
			answers = append(answers, body)
		}
	}
	return answers
}

func (u *Upstream) get(ctx context.Context, url string, max int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	res, err := u.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, max))
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("relay: HTTP status %d", res.StatusCode)
	}
	return body, err
}
