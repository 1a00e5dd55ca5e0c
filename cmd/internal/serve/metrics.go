package serve

import (
	"net/http"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"strongroom/cmd/internal/feed"
	"strongroom/host/alert"
	"strongroom/host/node"
	"strongroom/protocol/wire"
)

// metrics is what /metrics shows. No label holds anything of an account, a
// token or an address.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  prometheus.Histogram
	sync     prometheus.Histogram
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "strongroom_requests_total",
			Help: "Requests to the vault, by outcome: 200 (a sealed answer, whatever it says) or the refusal in clear.",
		}, []string{"outcome"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "strongroom_request_seconds",
			Help:    "Time from a request's header to its answer.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 15),
		}),
		sync: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "strongroom_log_sync_seconds",
			Help:    "Time of one fsync of the log.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 16),
		}),
	}
	m.registry.MustRegister(m.requests, m.seconds, m.sync, buildInfo(),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// observe is the relay's.
func (m *metrics) observe(outcome string, took time.Duration) {
	m.requests.WithLabelValues(outcome).Inc()
	if took > 0 {
		m.seconds.Observe(took.Seconds())
	}
}

func (m *metrics) observeSync(took time.Duration) { m.sync.Observe(took.Seconds()) }

// watch registers what is read from the node and its log when asked.
func (m *metrics) watch(n *node.Node, l *node.Store) {
	gauge := func(name, help string, read func() float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, read))
	}
	gauge("strongroom_in_flight", "Requests inside the box.", func() float64 { return float64(n.InFlight()) })
	gauge("strongroom_log_bytes", "Size of the log on the disk.", func() float64 { return float64(l.Bytes()) })
	gauge("strongroom_records_bytes", "Size of the records on the disk.", func() float64 { return float64(l.RecordBytes()) })
	gauge("strongroom_log_entries", "Entries that the log ever had.", func() float64 { return float64(l.Last()) })
	gauge("strongroom_up", "1 while the box serves.", func() float64 {
		if n.Err() != nil {
			return 0
		}
		return 1
	})
	for event, read := range map[string]func(wire.Counts) uint64{
		"registered": func(c wire.Counts) uint64 { return c.Registered },
		"debited":    func(c wire.Counts) uint64 { return c.Debited },
		"recovered":  func(c wire.Counts) uint64 { return c.Recovered },
		"destroyed":  func(c wire.Counts) uint64 { return c.Destroyed },
		"deleted":    func(c wire.Counts) uint64 { return c.Deleted },
		"refused":    func(c wire.Counts) uint64 { return c.Refused },

		"epochs":        func(c wire.Counts) uint64 { return c.Epochs },
		"shredded":      func(c wire.Counts) uint64 { return c.Shredded },
		"epochs_failed": func(c wire.Counts) uint64 { return c.EpochsFailed },
	} {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name:        "strongroom_box_events_total",
			Help:        "What the box counted since the start: records made, attempts charged, proofs accepted, records destroyed, deleted, requests refused; epochs begun, old epochs' keys destroyed, and times that the HSM refused to make or destroy one.",
			ConstLabels: prometheus.Labels{"event": event},
		}, func() float64 { return float64(read(n.Counts())) }))
	}
}

// watchSpool registers what the alerts' spool tells.
func (m *metrics) watchSpool(s *alert.Spool) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "strongroom_alert_spool_bytes", Help: "Size of the sealed alerts on the disk.",
	}, func() float64 { return float64(s.Bytes()) }))
	m.alertsLost("spool", s.Lost)
}

// watchWebhook registers what the alert webhook tells.
func (m *metrics) watchWebhook(w *feed.Webhook) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "strongroom_alert_messages_waiting", Help: "Sealed messages that the alert webhook did not take yet.",
	}, func() float64 { return float64(w.Waiting()) }))
	m.alertsLost("webhook", w.Missed)
	for outcome, read := range map[string]func() uint64{"delivered": w.Delivered, "refused": w.Refused, "retried": w.Retried} {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "strongroom_alert_posts_total", Help: "Posts to the alert webhook, by outcome.", ConstLabels: prometheus.Labels{"outcome": outcome},
		}, func() float64 { return float64(read()) }))
	}
}

// alertsLost counts by where they were lost.
func (m *metrics) alertsLost(where string, read func() uint64) {
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name:        "strongroom_alert_messages_lost_total",
		Help:        "Sealed messages lost: by a disk that failed or was too slow (spool), by a start that could not hold them (box), or by a receiver that stood still until the spool was full (webhook).",
		ConstLabels: prometheus.Labels{"by": where},
	}, func() float64 { return float64(read()) }))
}

// admin is the handler of the admin address.
func (m *metrics) admin(n *node.Node) *http.ServeMux {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if err := n.Healthy(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.Write([]byte("ok\n"))
	})
	// Whoever can ask can only have deleted things be gone sooner.
	mux.HandleFunc("POST /epoch", func(w http.ResponseWriter, _ *http.Request) {
		n.NewEpoch()
		w.WriteHeader(http.StatusAccepted)
		w.Write([]byte("a new epoch begins; strongroom_box_events_total tells of it\n"))
	})
	return mux
}

// frontAdmin is the same of a relay without a box.
func (m *metrics) frontAdmin(healthy func() error) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if err := healthy(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.Write([]byte("ok\n"))
	})
	return mux
}

// Build says which program this is.
func Build() (version, revision, goVersion string) {
	version, revision = "(devel)", "unknown"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return version, revision, "unknown"
	}
	if info.Main.Version != "" {
		version = info.Main.Version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			revision = s.Value
		}
	}
	return version, revision, info.GoVersion
}

func buildInfo() prometheus.Collector {
	version, revision, goVersion := Build()
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "strongroom_build_info",
		Help:        "Always 1; the labels say which program this is.",
		ConstLabels: prometheus.Labels{"version": version, "revision": revision, "go": goVersion},
	})
	g.Set(1)
	return g
}
