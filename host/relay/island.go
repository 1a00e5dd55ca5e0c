package relay

import "net/http"

// island has places of its own: requests that wait for an island that is down
// would else take those of all the others.
type island struct {
	vault    Vault
	inFlight chan struct{}
}

// leadTo has requests that name the island go to v.
func (r *Relay) leadTo(v Vault, names ...string) {
	if v == nil {
		return
	}
	i := &island{v, make(chan struct{}, r.config.InFlightMax)}
	for _, name := range names {
		r.islands[name] = i
	}
}

// layouts are public, and whoever takes them checks them against the pin.
func (r *Relay) layouts(w http.ResponseWriter, _ *http.Request) {
	var layouts []byte
	if r.config.Layouts != nil {
		layouts = r.config.Layouts()
	}
	if len(layouts) == 0 {
		refusedNoLayouts.write(w)
		return
	}
	w.Header().Set("Content-Type", "application/cbor")
	w.Write(layouts)
}
