package relay

import (
	"net/http"
	"net/netip"
	"strings"
)

// clientAddress is who a request is counted for. Anyone can send
// X-Forwarded-For, so it is only read when the connection comes from a
// trusted proxy, from the right, up to the first address that is not one.
func (r *Relay) clientAddress(req *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(req.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	client := peer.Addr().Unmap()
	if !r.trusted(client) {
		return client
	}
	hops := strings.Split(strings.Join(req.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			return client // what a trusted proxy did not write is not believed
		}
		client = hop.Unmap()
		if !r.trusted(client) {
			return client
		}
	}
	return client
}

func (r *Relay) trusted(a netip.Addr) bool {
	for _, p := range r.config.TrustedProxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
