package serve

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"time"
)

//go:embed page.html
var pageText string

// page is the operator's page: rendered here, without a script, a font or
// anything else of another place.
var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"short": short, "lag": lagText, "ago": agoText, "bytes": byteText, "trip": tripText, "name": nameOf,
}).Parse(pageText))

// handleStatus adds what is for an operator's eyes, and for programs.
func (s *Server) handleStatus(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", s.statusPage)
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		_ = e.Encode(s.Status())
	})
}

func (s *Server) statusPage(w http.ResponseWriter, _ *http.Request) {
	var b bytes.Buffer
	if err := page.Execute(&b, s.Status()); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.Write(b.Bytes())
}

// shortDigits of an id or a hash are enough to tell two apart by eye.
const shortDigits = 8

func short(hex string) string { return hex[:min(len(hex), shortDigits)] }

// nameOf is what people call a box, or the beginning of its id.
func nameOf(boxes []StatusBox, id string) string {
	for _, b := range boxes {
		if b.Box == id && b.Name != "" {
			return b.Name
		}
	}
	return short(id)
}

func lagText(lag *uint64) string {
	if lag == nil {
		return "–"
	}
	return fmt.Sprint(*lag)
}

func tripText(millis float64) string {
	if millis == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f ms", millis)
}

func agoText(at, since time.Time) string {
	if since.IsZero() {
		return "–"
	}
	d := at.Sub(since)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", max(0, int(d.Seconds())))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

func byteText(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}
