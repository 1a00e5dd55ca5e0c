// Package relay is the public front of a vault: it checks who may speak,
// counts, limits, and carries sealed bytes to the node and back. It can stop
// the service; it can not read a request, name another account or guess,
// since the token that the box wants travels inside the seal.
package relay

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"strongroom/protocol/bundle"
	"strongroom/protocol/token"
	"strongroom/protocol/wire"
)

// Limits of a relay, where Config does not say otherwise.
const (
	InFlightMax        = 256 + wire.WatchersMax // of one island: requests between their last byte and their answer; as in the node
	AccountInFlightMax = 32                     // of one account, their bodies on the way included
	answerWithin       = 20 * time.Second       // then the outcome is called unknown
	retryAfterSeconds  = 2
	tableEntriesMax    = 1 << 16 // addresses, and accounts, that are counted at a time
)

// The buckets, where Config does not say otherwise. A whole recovery takes
// three requests; ten attempts, one after the other, thirty.
var (
	AddressRate = Rate{PerSecond: 20, Burst: 200}
	AccountRate = Rate{PerSecond: 2, Burst: 60}
)

// Errors that a Vault answers a request with that never reached the box. Any
// other error means that the outcome is not known.
var (
	ErrBusy = errors.New("relay: the vault is busy")
	ErrDown = errors.New("relay: the vault does not run")
)

// Request is one that the relay has checked and counted.
type Request struct {
	Sealed []byte
	Token  string     // the relay's, as the client sent it
	From   netip.Addr // the client
}

// Vault carries one sealed request to a box.
type Vault func(context.Context, Request) (wire.Reply, error)

// Config composes a relay. Zero values of limits mean the package's.
type Config struct {
	Document       []byte           // the founder's fleet document, public
	Layouts        func() []byte    // the fleet's layouts as a client takes them; nil or none: there are no layouts
	Issuers        []bundle.Issuer  // whose account tokens are taken
	Vault          Vault            // the founder's, which also gets what names no island; nil: that is refused
	Islands        map[string]Vault // the others', by bundle.Pin.IslandName
	Healthy        func() error     // nil while the vault can serve
	Now            func() time.Time
	AddressRate    Rate
	AccountRate    Rate
	InFlightMax    int
	AnswerWithin   time.Duration
	TrustedProxies []netip.Prefix
	Observe        func(outcome string, took time.Duration) // each request to the vault: its outcome and how long it took
	Log            *slog.Logger
}

// Relay is an http.Handler.
type Relay struct {
	config     Config
	addresses  *table[netip.Addr]
	accounts   *table[string]
	tokens     *tokens
	perAccount *crowd[string]
	islands    map[string]*island // "" is the founder
	routes     *http.ServeMux
}

// New makes a relay.
func New(c Config) *Relay {
	if c.AddressRate == (Rate{}) {
		c.AddressRate = AddressRate
	}
	if c.AccountRate == (Rate{}) {
		c.AccountRate = AccountRate
	}
	if c.InFlightMax == 0 {
		c.InFlightMax = InFlightMax
	}
	if c.AnswerWithin == 0 {
		c.AnswerWithin = answerWithin
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Observe == nil {
		c.Observe = func(string, time.Duration) {}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	r := &Relay{
		config:     c,
		addresses:  newTable[netip.Addr](c.AddressRate, tableEntriesMax),
		accounts:   newTable[string](c.AccountRate, tableEntriesMax),
		tokens:     newTokens(c.Issuers, tokensMax),
		perAccount: newCrowd[string](AccountInFlightMax),
		islands:    make(map[string]*island),
		routes:     http.NewServeMux(),
	}
	r.leadTo(c.Vault, "", bundle.PinOf(c.Document).IslandName())
	for name, vault := range c.Islands {
		r.leadTo(vault, name)
	}
	r.routes.HandleFunc("GET /v1/fleet", r.fleet)
	r.routes.HandleFunc("GET /v1/layouts", r.layouts)
	r.routes.HandleFunc("POST /v1/vault", r.vault)
	r.routes.HandleFunc("POST /v1/vault/{island}", r.vault)
	r.routes.HandleFunc("GET /healthz", r.health)
	r.routes.HandleFunc("/v1/fleet", refusedMethod.answer)
	r.routes.HandleFunc("/v1/layouts", refusedMethod.answer)
	r.routes.HandleFunc("/v1/vault", refusedMethod.answer)
	r.routes.HandleFunc("/v1/vault/{island}", refusedMethod.answer)
	r.routes.HandleFunc("/", refusedPath.answer)
	return r
}

func (r refusal) answer(w http.ResponseWriter, _ *http.Request) { r.write(w) }

// ServeHTTP limits by address before anything costs more than that.
func (r *Relay) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	if !r.addresses.take(counted(r.clientAddress(req)), r.config.Now()) {
		r.config.Observe("rate-limited-address", 0)
		refusedRate.write(w)
		return
	}
	r.routes.ServeHTTP(w, req)
}

func (r *Relay) fleet(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/cbor")
	w.Write(r.config.Document)
}

func (r *Relay) health(w http.ResponseWriter, _ *http.Request) {
	if r.config.Healthy != nil && r.config.Healthy() != nil {
		refusedDown.write(w) // why is for the operator's log, not for everybody
		return
	}
	io.WriteString(w, "ok\n")
}

// vault carries one sealed request.
func (r *Relay) vault(w http.ResponseWriter, req *http.Request) {
	start := time.Now()
	reply, refused := r.carry(w, req)
	outcome := "200"
	if refused != nil {
		outcome = string(refused.code)
		refused.write(w)
	} else {
		writeWhole(w, req, reply)
	}
	took := time.Since(start)
	r.config.Observe(outcome, took)
	// No account, token or address: what is not logged can not leak.
	r.config.Log.Debug("request", "outcome", outcome, "took", took)
}

// carry takes a place among those in flight only when the whole request is
// here: a body that drips in would hold it for nothing, and a few accounts
// could hold them all. How many bodies drip is bounded by account.
func (r *Relay) carry(w http.ResponseWriter, req *http.Request) ([]byte, *refusal) {
	if req.ContentLength > wire.RequestBytesMax {
		return nil, &refusedSize
	}
	claims, refused := r.check(req)
	if refused != nil {
		return nil, refused
	}
	to, known := r.islands[req.PathValue("island")]
	if !known {
		return nil, &refusedIsland
	}
	if !r.accounts.take(claims.Account, r.config.Now()) || !r.perAccount.enter(claims.Account) {
		return nil, &refusedRate
	}
	defer r.perAccount.leave(claims.Account)
	sealed, err := body(w, req)
	if err != nil {
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			return nil, &refusedSize
		}
		return nil, &refusedBody
	}
	select {
	case to.inFlight <- struct{}{}:
		defer func() { <-to.inFlight }()
	default:
		return nil, &refusedBusy
	}
	return r.ask(req.Context(), to.vault, Request{Sealed: sealed, Token: bearer(req), From: r.clientAddress(req)})
}

// body reads the whole request into a buffer of its announced length, which
// carry has bounded.
func body(w http.ResponseWriter, req *http.Request) ([]byte, error) {
	r := http.MaxBytesReader(w, req.Body, wire.RequestBytesMax)
	if req.ContentLength < 0 {
		return io.ReadAll(r)
	}
	b := make([]byte, req.ContentLength)
	_, err := io.ReadFull(r, b)
	return b, err
}

// check checks the relay's token. It stands before the body is read: without
// a token nobody makes the relay hold more than a header.
func (r *Relay) check(req *http.Request) (token.Claims, *refusal) {
	jws := bearer(req)
	if jws == "" || len(jws) > wire.TokenBytesMax {
		return token.Claims{}, &refusedNoToken
	}
	claims, err := r.tokens.check(jws, r.config.Now().Unix())
	switch {
	case err == nil:
		return claims, nil
	case errors.Is(err, token.ErrExpired):
		return token.Claims{}, &refusedExpired
	case errors.Is(err, token.ErrAudience):
		return token.Claims{}, &refusedAudience
	default:
		return token.Claims{}, &refusedToken
	}
}

// bearer is the one token of a request, "" where there is not one.
func bearer(req *http.Request) string {
	values := req.Header.Values("Authorization")
	if len(values) != 1 {
		return ""
	}
	scheme, jws, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return jws
}

func (r *Relay) ask(ctx context.Context, vault Vault, request Request) ([]byte, *refusal) {
	ctx, cancel := context.WithTimeout(ctx, r.config.AnswerWithin)
	defer cancel()
	reply, err := vault(ctx, request)
	switch {
	case errors.Is(err, ErrBusy):
		return nil, &refusedBusy
	case errors.Is(err, ErrDown):
		return nil, &refusedDown
	case err != nil:
		return nil, &refusedUnknown
	case reply.Refused != "":
		refused := ofBox(reply.Refused)
		return nil, &refused
	}
	return reply.Sealed, nil
}
