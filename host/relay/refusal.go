package relay

import (
	"encoding/json"
	"net/http"
	"strconv"

	"strongroom/protocol/wire"
)

// refusal is what the relay answers in clear.
type refusal struct {
	status  int
	code    wire.Code
	message string // one sentence: what happened, what to do
}

func (r refusal) write(w http.ResponseWriter) {
	body, err := json.Marshal(struct {
		Refused wire.Code `json:"refused"`
		Message string    `json:"message"`
	}{r.code, r.message})
	if err != nil {
		panic(err) // two strings always encode
	}
	if r.status == http.StatusServiceUnavailable || r.status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", strconv.Itoa(retryAfterSeconds))
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(r.status)
	w.Write(append(body, '\n'))
}

var (
	refusedIsland    = refusal{http.StatusNotFound, wire.CodeIsland, "This relay knows no way to the island that the request names; nothing reached the vault and no attempt was used, try again later."}
	refusedNoLayouts = refusal{http.StatusNotFound, wire.CodeMalformed, "This fleet has one island and no layouts."}
	refusedPath      = refusal{http.StatusNotFound, wire.CodeMalformed, "There is nothing at this path; the vault is at POST /v1/vault, the fleet document at GET /v1/fleet."}
	refusedMethod    = refusal{http.StatusMethodNotAllowed, wire.CodeMalformed, "This path takes another method; the vault is at POST /v1/vault, the fleet document at GET /v1/fleet."}
	refusedBody      = refusal{http.StatusBadRequest, wire.CodeMalformed, "The request's body did not arrive whole; nothing reached the vault, send it again."}
	refusedNoToken   = refusal{http.StatusUnauthorized, wire.CodeRelayToken, "The request carries no account token for the relay; send it as Authorization: Bearer."}
	refusedToken     = refusal{http.StatusUnauthorized, wire.CodeRelayToken, "The account token was refused; get a new one from your service and try again."}
	refusedExpired   = refusal{http.StatusUnauthorized, wire.CodeRelayToken, "The account token has expired; get a new one from your service and try again."}
	refusedAudience  = refusal{http.StatusUnauthorized, wire.CodeRelayToken, "This account token is not meant for the relay; send the one whose audience is \"relay\"."}
	refusedSize      = refusal{http.StatusRequestEntityTooLarge, wire.CodeTooLarge, "The request is larger than the vault takes (" + strconv.Itoa(wire.RequestBytesMax) + " bytes); nothing reached the vault."}
	refusedRate      = refusal{http.StatusTooManyRequests, wire.CodeRateLimited, "Too many requests from this address or account; nothing reached the vault, wait a little and try again."}
	refusedBusy      = refusal{http.StatusServiceUnavailable, wire.CodeUnavailable, "The vault is busy; the request did not reach it and no attempt was used, try again shortly."}
	refusedDown      = refusal{http.StatusServiceUnavailable, wire.CodeUnavailable, "The vault does not run; the request did not reach it and no attempt was used, try again later."}
	refusedUnknown   = refusal{http.StatusServiceUnavailable, wire.CodeUnknown, "The vault did not answer in time, so the outcome is not known; send the same request again, it is charged once."}
)

// ofBox is the refusal of a box that could not open the request.
func ofBox(code wire.Code) refusal {
	switch code {
	case wire.CodeUnavailable:
		return refusedBusy
	case wire.CodeUnknown:
		return refusedUnknown
	case wire.CodeTooLarge:
		return refusedSize
	case wire.CodeRelayToken: // of a box behind a relay of its own
		return refusedToken
	case wire.CodeRateLimited:
		return refusedRate
	case wire.CodeIsland:
		return refusedIsland
	case wire.CodeTicket:
		return refusal{http.StatusBadRequest, code, "The vault does not know this request's ticket, or it expired; begin the operation again."}
	default:
		return refusal{http.StatusBadRequest, code, "The vault could not open the sealed request; fetch the fleet document again, check its pin and begin the operation again."}
	}
}
