package feed

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"strongroom/host/alert"
)

// Limits of a webhook.
const (
	postWithin      = 10 * time.Second // one post
	backoffFirst    = 500 * time.Millisecond
	backoffMax      = 2 * time.Minute
	windowEventsMax = 256 // events that are on their way, not yet marked as told
	lanes           = 8   // posts at a time; an account stays in one lane, so its events stay in order
	replyBytesMax   = 64 << 10
	cursorName      = "webhook.cursor" // beside the spool's segments
)

// ErrWebhook: the address can not be used.
var ErrWebhook = errors.New("the alert webhook can not be used")

// Webhook posts every event to an address, at least once and in order by
// account, however often the vault or the receiver stops.
type Webhook struct {
	url    string
	token  string
	client *http.Client
	spool  *alert.Spool
	source *Source
	cursor string // file with the number of the last message that was told
	log    *slog.Logger

	told    atomic.Uint64 // number of that message
	counts  [3]atomic.Uint64
	failing atomic.Bool // the last post failed
	missed  atomic.Uint64
	backoff time.Duration // the first; a test's may be shorter
}

// Indices of counts.
const (
	delivered = iota
	refused
	retried
)

// CheckURL takes https, and http on this machine only: an event names an
// account.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return fmt.Errorf("%w: it is no address (https://host/path)", ErrWebhook)
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()) {
		return nil
	}
	return fmt.Errorf("%w: %s is not https, and not on this machine", ErrWebhook, u.Host)
}

// WebhookConfig composes a webhook.
type WebhookConfig struct {
	URL    string
	Token  string // sent as a bearer token; "" for none
	Dir    string // of the spool
	Spool  *alert.Spool
	Source func(after uint64) *Source
	Log    *slog.Logger
}

// NewWebhook goes on after the last message that an earlier one told.
func NewWebhook(c WebhookConfig) (*Webhook, error) {
	if err := CheckURL(c.URL); err != nil {
		return nil, err
	}
	w := &Webhook{
		url: c.URL, token: c.Token, spool: c.Spool, cursor: filepath.Join(c.Dir, cursorName), log: c.Log, backoff: backoffFirst,
		client: &http.Client{
			Timeout: postWithin,
			// A redirect would carry accounts' names to whoever it names.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	told, err := readCursor(w.cursor)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWebhook, err)
	}
	w.told.Store(told)
	w.source = c.Source(told)
	return w, nil
}

func readCursor(path string) (uint64, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s holds no number; remove it to have every alert that is still there told again", path)
	}
	return n, nil
}

// Run tells events until ctx ends.
func (w *Webhook) Run(ctx context.Context) {
	defer w.source.Close()
	for ctx.Err() == nil {
		grown := w.spool.Grown()
		events, last, err := w.window()
		if err != nil {
			w.log.Error("the alerts can not be read", "error", err)
		}
		if len(events) > 0 && !w.tell(ctx, events) {
			return // ctx ended: the next start tells them again
		}
		if last > 0 {
			w.mark(last)
			continue
		}
		select {
		case <-grown:
		case <-ctx.Done():
		}
	}
}

// window takes what is there, at most windowEventsMax and one message.
func (w *Webhook) window() (events []Event, last uint64, err error) {
	for len(events) < windowEventsMax {
		more, number, found, err := w.source.Next()
		w.missed.Store(w.source.Missed() + w.source.Unread())
		if err != nil || !found {
			return events, last, err
		}
		events, last = append(events, more...), number
	}
	return events, last, nil
}

// tell posts a window, each account in order. False: ctx ended before all was
// told.
func (w *Webhook) tell(ctx context.Context, events []Event) bool {
	var byLane [lanes][]Event
	for _, e := range events {
		h := fnv.New32a()
		h.Write([]byte(e.Account))
		lane := h.Sum32() % lanes
		byLane[lane] = append(byLane[lane], e)
	}
	var all sync.WaitGroup
	for _, lane := range byLane {
		all.Go(func() {
			for _, e := range lane {
				w.untilTold(ctx, e)
			}
		})
	}
	all.Wait()
	return ctx.Err() == nil
}

// untilTold posts one event again and again, ever more slowly.
func (w *Webhook) untilTold(ctx context.Context, e Event) {
	for wait := w.backoff; ctx.Err() == nil; wait = min(2*wait, backoffMax) {
		err := w.post(ctx, e)
		switch {
		case err == nil:
			w.counts[delivered].Add(1)
			if w.failing.Swap(false) {
				w.log.Info("the alert webhook takes alerts again")
			}
			return
		case errors.Is(err, errRefused):
			// Asked again it would say the same, and all others would wait.
			w.counts[refused].Add(1)
			w.log.Error("the alert webhook refused an alert; it is not sent again", "error", err)
			return
		}
		w.counts[retried].Add(1)
		if ctx.Err() == nil && !w.failing.Swap(true) {
			w.log.Warn("the alert webhook takes no alerts; they are kept and sent again", "error", err)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// errRefused: the receiver does not want this event.
var errRefused = errors.New("refused")

func (w *Webhook) post(ctx context.Context, e Event) error {
	body, err := json.Marshal(e)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return errors.New("it is no address")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", e.ID)
	if w.token != "" {
		req.Header.Set("Authorization", "Bearer "+w.token)
	}
	res, err := w.client.Do(req)
	if err != nil {
		return withoutURL(err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, replyBytesMax)) // so that the line is used again
	switch {
	case res.StatusCode/100 == 2:
		return nil
	case res.StatusCode == http.StatusBadRequest || res.StatusCode == http.StatusRequestEntityTooLarge || res.StatusCode == http.StatusUnprocessableEntity:
		return fmt.Errorf("HTTP status %d: %w", res.StatusCode, errRefused)
	}
	return fmt.Errorf("HTTP status %d", res.StatusCode)
}

// withoutURL keeps the address, which may hold a secret, out of the log.
func withoutURL(err error) error {
	if u, found := errors.AsType[*url.Error](err); found {
		return u.Err
	}
	return err
}

// mark notes what was told. A crash before it is on the disk repeats, and
// loses nothing.
func (w *Webhook) mark(last uint64) {
	aside := w.cursor + ".new"
	err := os.WriteFile(aside, fmt.Appendf(nil, "%d\n", last), 0o600)
	if err == nil {
		err = os.Rename(aside, w.cursor)
	}
	if err != nil {
		w.log.Error("what was told can not be noted; a restart tells it again", "error", err)
	}
	w.told.Store(last)
}

// Delivered, Refused and Retried count posts since the start.
func (w *Webhook) Delivered() uint64 { return w.counts[delivered].Load() }
func (w *Webhook) Refused() uint64   { return w.counts[refused].Load() }
func (w *Webhook) Retried() uint64   { return w.counts[retried].Load() }

// Waiting is how many messages of the spool are not told yet.
func (w *Webhook) Waiting() uint64 { return w.spool.Last() - min(w.told.Load(), w.spool.Last()) }

// Missed counts messages that were gone before they were told: the receiver
// stood still until the spool was full.
func (w *Webhook) Missed() uint64 { return w.missed.Load() }
