package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"strongroom/protocol/bundle"
	"strongroom/protocol/opaque"
	"strongroom/protocol/wire"
)

// Limits of a conversation with a vault.
const (
	fleetBytesMax  = 64 << 10 // one fleet document
	triesMax       = 4        // how often one request is sent while its outcome is unknown
	trialsMax      = 3        // how often one call starts over after another device was quicker
	requestTimeout = 15 * time.Second
	backoffFirst   = 200 * time.Millisecond // doubled before every further try
)

// Vault is one account at one pinned fleet. Set the fields before the first
// call; then many goroutines may use it.
type Vault struct {
	URL     string      // of the relay; http only on loopback
	Pin     bundle.Pin  // of the founder's document
	Account string      // name at the messaging service, at most wire.AccountBytesMax
	Tokens  TokenSource // of the account

	HTTP    *http.Client  // nil: a plain one. Redirects are never followed
	Stretch wire.Stretch  // for new registrations; zero: StretchDefault
	Timeout time.Duration // of one request; zero: requestTimeout
	Backoff time.Duration // before the second try; zero: backoffFirst

	// LayoutSeen is the number of the newest layout of the fleet's islands that
	// this device ever saw (NewestLayout); an older newest one is refused.
	LayoutSeen uint64

	once  sync.Mutex
	fleet *bundle.Fleet   // guarded by once; checked against Pin
	known *bundle.Layouts // guarded by once; likewise
	shown []byte          // guarded by once; what known was read from, where a relay has layouts
}

// Fleet fetches the founder's document and checks it against the pin. It is
// fetched once. Errors: ErrUnreachable, ErrPin.
func (v *Vault) Fleet(ctx context.Context) (*bundle.Fleet, error) {
	v.once.Lock()
	defer v.once.Unlock()
	if v.fleet != nil {
		return v.fleet, nil
	}
	base, err := v.base()
	if err != nil {
		return nil, err
	}
	doc, err := v.fetch(ctx, base.JoinPath("v1", "fleet").String(), fleetBytesMax)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	fleet, err := v.Pin.Check(doc)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPin, err)
	}
	v.fleet = fleet
	return fleet, nil
}

func (v *Vault) fetch(ctx context.Context, url string, max int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, v.timeout())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	res, err := v.http().Do(req)
	if err != nil {
		return nil, withoutURL(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, statusError(res.StatusCode)
	}
	return readAtMost(res.Body, max)
}

// statusError is an HTTP status where a document was expected.
type statusError int

func (e statusError) Error() string {
	return fmt.Sprintf("its document is missing: HTTP status %d", int(e))
}

// base is the relay's address. Plain HTTP would show the relay's token to the
// line, so it is taken on loopback only.
func (v *Vault) base() (*url.URL, error) {
	u, err := url.Parse(v.URL)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" {
		return nil, fmt.Errorf("%w: %q is no vault address (https://host)", ErrUnreachable, v.URL)
	}
	if u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname()) {
		return u, nil
	}
	return nil, fmt.Errorf("%w: %s is not https, and not on this machine", ErrUnreachable, v.URL)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// http is the caller's client, but one that follows no redirect: a redirect
// would carry the relay's token to whoever it names.
func (v *Vault) http() *http.Client {
	c := http.Client{}
	if v.HTTP != nil {
		c = *v.HTTP
	}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}

func (v *Vault) timeout() time.Duration {
	if v.Timeout > 0 {
		return v.Timeout
	}
	return requestTimeout
}

// pause waits before try number n (from 1), or until ctx ends.
func (v *Vault) pause(ctx context.Context, n int) error {
	d := v.Backoff
	if d <= 0 {
		d = backoffFirst
	}
	timer := time.NewTimer(d << (n - 1))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// opaque is OPAQUE's client for this account at this fleet. It takes no
// server key but the fleet document's.
func (v *Vault) opaque(fleet *island) (*opaque.Client, error) {
	suite, err := opaque.SuiteByID(fleet.Suite)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	return &opaque.Client{
		Suite: suite, Context: []byte(wire.OpaqueContext), ClientIdentity: []byte(v.Account),
		ServerIdentity: fleet.ID[:], ServerPublicKey: fleet.AKE,
	}, nil
}

func (v *Vault) checkAccount() error {
	if v.Account == "" || len(v.Account) > wire.AccountBytesMax {
		return fmt.Errorf("client: an account's name has 1 to %d bytes", wire.AccountBytesMax)
	}
	return nil
}

// readAtMost reads the whole of r, or fails past max bytes.
func readAtMost(r io.Reader, max int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, max+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > max {
		return nil, fmt.Errorf("an answer over %d bytes", max)
	}
	return b, nil
}

// withoutURL takes net/http's wrapping off, which repeats method and URL.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
