package sim

import (
	"reflect"
	"time"
)

// faults is how bad the world is now. Its zero value is a good one.
type faults struct {
	net     time.Duration // a message between machines takes at most this
	disk    time.Duration // so does a write
	hsm     time.Duration // so does a job
	drop    float64       // of messages between machines
	repeat  float64
	late    float64 // come after later ones
	corrupt float64
	gone    float64 // of them: the other end hears that the sender's process ended, and it has not
	lost    float64 // of answers to clients
	replay  float64 // of requests: the relay keeps them, and shows them again, to any box
	spread  float64 // of requests: the relay gives them to several boxes at once
}

// calm is a world without faults.
var calm = faults{net: 2 * time.Millisecond, disk: 2 * time.Millisecond, hsm: 2 * time.Millisecond}

// Counts of what a run had to survive.
type Counts struct {
	Crashes, Blackouts, Restarts, Rollbacks, Wipes int
	HSMs                                           int // calls of one that got lost
	Cuts, Drops, Repeats, Late, Corrupt, Untrue    int
	LostAnswers, Replays, Spreads, Jumps, SlowHSMs int
	Refused                                        int // starts
	Leaders                                        int // times that another box led
	Logins, Registrations, Guesses, Deletions      int
	Retries, Fatals, ColdStarts                    int
}

// Faults is their number.
func (c Counts) Faults() int {
	return c.Crashes + c.Blackouts + c.HSMs + c.Rollbacks + c.Wipes + c.Cuts + c.Drops + c.Repeats + c.Late + c.Corrupt + c.Untrue +
		c.LostAnswers + c.Replays + c.Spreads + c.Jumps + c.SlowHSMs
}

// add adds another run's.
func (c *Counts) add(o Counts) {
	to, from := reflect.ValueOf(c).Elem(), reflect.ValueOf(o)
	for i := range to.NumField() {
		to.Field(i).SetInt(to.Field(i).Int() + from.Field(i).Int())
	}
}
