package serve

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"strongroom/host/relay"
	"strongroom/protocol/bundle"
	"strongroom/protocol/wire"
)

// frontLayoutsLook is how often a relay asks its boxes for newer layouts.
const frontLayoutsLook = time.Second

// namesIsland is bundle.Pin.IslandName in --box-url.
var namesIsland = regexp.MustCompile(`^[0-9a-f]{16}$`)

// byIsland gives the boxes' URLs by the name of their island; "" is the founder.
func (f *Front) byIsland(founder bundle.Pin) (map[string][]string, error) {
	boxes := map[string][]string{}
	for _, at := range f.Boxes {
		name, url, named := strings.Cut(at, "=")
		if !named || strings.Contains(name, "/") { // a "=" of the URL itself
			name, url = "", at
		}
		switch {
		case name == founder.IslandName():
			name = ""
		case name != "" && !namesIsland.MatchString(name):
			return nil, fmt.Errorf("%w: --box-url %q names no island (16 hex digits, as strongroomd fleet shows them, then = and the address)", ErrUsage, at)
		}
		boxes[name] = append(boxes[name], url)
	}
	if len(boxes[""]) == 0 {
		return nil, fmt.Errorf("%w: a relay needs at least one --box-url of the founder, which has the fleet's document %s", ErrUsage, f.Document)
	}
	return boxes, nil
}

// upstreams lead to islands by name.
type upstreams map[string]*relay.Upstream

func newUpstreams(boxes map[string][]string, transport http.RoundTripper) upstreams {
	u := upstreams{}
	for name, urls := range boxes {
		u[name] = relay.NewUpstream(name, urls, transport)
	}
	return u
}

// others are the ways to the islands beside the founder.
func (u upstreams) others() map[string]relay.Vault {
	vaults := map[string]relay.Vault{}
	for name, to := range u {
		if name != "" {
			vaults[name] = to.Ask
		}
	}
	return vaults
}

// healthy while any island can be asked: one that is down must not take the
// relay away from the others.
func (u upstreams) healthy() error {
	for _, to := range u {
		if to.Healthy() == nil {
			return nil
		}
	}
	return relay.ErrDown
}

func (u upstreams) close() {
	for _, to := range u {
		to.Close()
	}
}

// register shows how many boxes can be asked; the founder's label is empty,
// which Prometheus takes for none.
func (u upstreams) register(r *prometheus.Registry) {
	for _, name := range slices.Sorted(maps.Keys(u)) {
		to := u[name]
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "strongroom_relay_boxes_up", Help: "Boxes that can be asked.", ConstLabels: prometheus.Labels{"island": name},
		}, func() float64 { return float64(to.Up()) }))
	}
}

// follow asks the boxes of all islands for newer layouts. It never goes back
// to older ones: a box that was not told yet would send clients that have seen
// the newest away.
func (u upstreams) follow(ctx context.Context, s *Server) {
	tick := time.NewTicker(frontLayoutsLook)
	defer tick.Stop()
	for {
		for _, to := range u {
			for _, answer := range to.Layouts(ctx) {
				s.takeShown(answer)
			}
		}
		select {
		case <-tick.C:
		case <-s.done:
			return
		case <-ctx.Done():
			return
		}
	}
}

// takeShown takes what a box shows, if it holds and is newer.
func (s *Server) takeShown(encoded []byte) {
	shown, err := wire.DecodeLayouts(encoded)
	if err != nil {
		return
	}
	l, err := CheckLayouts(s.Pin, shown)
	if err != nil {
		return
	}
	if s.layouts.take(l) {
		s.log.Info("layout", "newest", l.Newest(), "islands", len(l.Pins(l.Newest())))
	}
}
