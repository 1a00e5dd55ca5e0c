package serve

import (
	"github.com/prometheus/client_golang/prometheus"

	"strongroom/host/node"
	"strongroom/host/peer"
	"strongroom/protocol/wire"
)

// islandMetrics gives what is known of the island when it is asked.
type islandMetrics struct {
	node  *node.Node
	peers *peer.Peers
	own   wire.BoxID
}

func metric(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("strongroom_"+name, help, labels, nil)
}

var (
	leaderMetric    = metric("island_leader", "1 where this box leads.")
	ledMetric       = metric("island_led", "1 while this box knows one that leads; requests wait while it is 0.")
	termMetric      = metric("island_term", "Raft term.")
	commitMetric    = metric("island_commit", "Raft index up to which entries are committed.")
	appliedMetric   = metric("island_applied", "Raft index up to which this box has applied them.")
	epochMetric     = metric("island_epoch", "Number of this box's epoch.")
	lagMetric       = metric("island_lag", "Entries that the leader has and the box does not; the leader tells.", "box", "name")
	heardMetric     = metric("island_heard", "1 where this box hears the other one.", "box", "name")
	overrunMetric   = metric("island_messages_overrun_total", "Messages of other boxes that this one was too slow for.")
	connectedMetric = metric("peer_connected", "1 while this node is connected to the other one.", "box", "name")
	roundTripMetric = metric("peer_round_trip_seconds", "The last round trip to the other node.", "box", "name")
	connectsMetric  = metric("peer_connects_total", "Times that this node connected to the other one.", "box", "name")
	messagesMetric  = metric("peer_messages_total", "Messages between the two boxes.", "box", "name", "way")
	bytesMetric     = metric("peer_message_bytes_total", "Bytes of them.", "box", "name", "way")
	droppedMetric   = metric("peer_messages_dropped_total", "Messages dropped: there was no line, or it was too slow. Raft says anew what matters.", "box", "name")
	requestsMetric  = metric("peer_requests_total", "Requests that this node took to the other one (out), and the other way (in).", "box", "name", "way")
	refusedMetric   = metric("peer_refused_total", "Connections of nodes that were refused, by reason: stranger, version, fleet, box, frame, handshake.", "reason")
)

// Describe is the collector's.
func (m islandMetrics) Describe(c chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		leaderMetric, ledMetric, termMetric, commitMetric, appliedMetric, epochMetric, lagMetric, heardMetric, overrunMetric,
		connectedMetric, roundTripMetric, connectsMetric, messagesMetric, bytesMetric, droppedMetric, requestsMetric, refusedMetric,
	} {
		c <- d
	}
}

// Collect is the collector's.
func (m islandMetrics) Collect(c chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		c <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		c <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	own := m.node.Island()
	if own == nil {
		own = &wire.IslandReport{}
	}
	gauge(leaderMetric, bit(own.Role == wire.RoleLeader))
	gauge(ledMetric, bit(own.Leader != wire.BoxID{}))
	gauge(termMetric, float64(own.Term))
	gauge(commitMetric, float64(own.Commit))
	gauge(appliedMetric, float64(own.Applied))
	gauge(epochMetric, float64(own.Epoch))
	counter(overrunMetric, m.node.Overrun())
	peers := m.peers.Status()
	view := newView(m.own, own, peers)
	for _, p := range peers {
		labels := []string{p.Box.String(), p.Name}
		if row := view.box(p.Box); row.Lag != nil {
			gauge(lagMetric, float64(*row.Lag), labels...)
		}
		gauge(heardMetric, bit(view.heard(p.Box)), labels...)
		gauge(connectedMetric, bit(p.Connected), labels...)
		gauge(roundTripMetric, p.RoundTrip.Seconds(), labels...)
		counter(connectsMetric, p.Counts.Connects, labels...)
		counter(droppedMetric, p.Counts.Dropped, labels...)
		counter(messagesMetric, p.Counts.Sent, append(labels, "out")...)
		counter(messagesMetric, p.Counts.Received, append(labels, "in")...)
		counter(bytesMetric, p.Counts.SentBytes, append(labels, "out")...)
		counter(bytesMetric, p.Counts.ReceivedBytes, append(labels, "in")...)
		counter(requestsMetric, p.Counts.Asked, append(labels, "out")...)
		counter(requestsMetric, p.Counts.Served, append(labels, "in")...)
	}
	refused := m.peers.Refused()
	for _, reason := range peer.Reasons {
		counter(refusedMetric, refused[reason], reason)
	}
}

func bit(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
