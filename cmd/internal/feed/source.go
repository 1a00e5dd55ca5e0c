package feed

import (
	"strongroom/host/alert"
	"strongroom/protocol/channel"
	"strongroom/protocol/wire"
)

// Source gives a spool's events, opened.
type Source struct {
	messages *alert.Reader
	key      *channel.AlertReader
	fleet    wire.FleetID
	unread   uint64
}

// NewSource reads the spool of a folder after message number after.
func NewSource(dir string, after uint64, key *channel.AlertReader, fleet wire.FleetID) *Source {
	return &Source{messages: alert.NewReader(dir, after), key: key, fleet: fleet}
}

// Next gives the events of the next message and its number; false when there
// is none yet. What does not open is passed over and counted: somebody else
// than the box wrote it.
func (s *Source) Next() (events []Event, number uint64, found bool, err error) {
	for {
		m, found, err := s.messages.Next()
		if err != nil || !found {
			return nil, 0, false, err
		}
		plaintext, err := s.key.Open(m.Sealed)
		if err == nil {
			var alerts *wire.Alerts
			if alerts, err = wire.DecodeAlerts(plaintext); err == nil {
				for _, a := range alerts.Alerts {
					events = append(events, eventOf(s.fleet, a))
				}
				return events, m.Number, true, nil
			}
		}
		s.unread++
	}
}

// Missed counts messages that were dropped before they were read.
func (s *Source) Missed() uint64 { return s.messages.Missed() }

// Unread counts messages that did not open.
func (s *Source) Unread() uint64 { return s.unread }

// Close ends the reading.
func (s *Source) Close() { s.messages.Close() }
