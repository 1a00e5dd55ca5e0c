package serve

import (
	"slices"

	"strongroom/protocol/bundle"
)

// StatusIsland is one island of the fleet.
type StatusIsland struct {
	Name    string `json:"name"` // bundle.Pin.IslandName
	Pin     string `json:"pin"`
	Boxes   int    `json:"boxes"`
	HSM     string `json:"hsm"`
	Founder bool   `json:"founder,omitempty"`
	Self    bool   `json:"self,omitempty"`
	Home    bool   `json:"home"` // accounts are at home there, in the newest layout
}

// IslandsOf gives the islands that layouts name, and own, which may wait for
// the one that names it.
func IslandsOf(known *Layouts, own bundle.Pin) (islands []StatusIsland) {
	homes := known.Pins(known.Newest())
	add := func(pin bundle.Pin) {
		f, found := known.Island(pin)
		if !found {
			return
		}
		islands = append(islands, StatusIsland{
			Name: pin.IslandName(), Pin: pin.String(), Boxes: max(1, len(f.Boxes)), HSM: f.HSM,
			Founder: pin == known.Founder(), Self: pin == own, Home: slices.Contains(homes, pin),
		})
	}
	for _, home := range known.Homes.Islands {
		add(home.Pin)
	}
	if known.StatusKey(own) == nil {
		add(own)
	}
	return islands
}
