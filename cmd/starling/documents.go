package main

import (
	"context"
	"io"
	"time"

	"starling/tracker/document"
)

// Bounds of the status. Many may ask for it at once, dashboards above all, and each picture is a
// walk through the whole store; but what was just announced has to show.
const (
	statusPath    = "/api/v1/status"
	statusFresh   = 20 * time.Millisecond
	statusKeep    = 100 * time.Millisecond // the oldest picture while there is no overload
	statusTimeout = 5 * time.Second
)

// openDocuments makes the answers that are made once for all who ask. What is
// on its way of them at a time is bounded by what the line carries.
func (n *node) openDocuments() {
	n.documents = document.NewAdmission(n.bandwidth)
	n.statusPage = document.New(document.Config{
		Build:       func(_ context.Context, w io.Writer) error { return writeJSON(w, n.status(time.Now())) },
		ContentType: "application/json",
		Fresh:       statusFresh, Keep: statusKeep, Timeout: statusTimeout, MaxSize: maxStatus,
		Served:    func(bytes int) { n.steering.pacing.Document(statusPath, bytes) },
		Admission: n.documents,
	})
}

// bandwidth is what the line carries, in bytes a second, as far as that is known.
func (n *node) bandwidth() uint64 { return n.steering.pacing.Recorder().Bandwidth() }

// documents adds how the documents were served.
func (e *exposition) documents(name string, c document.Counts) {
	e.counter("documents_total", "Answers that are made once for all who ask at the time, by where they came from.")
	for _, s := range []struct {
		source string
		count  uint64
	}{{"fresh", c.Fresh}, {"followed", c.Followed}, {"stale", c.Stale}, {"unavailable", c.Unavailable}} {
		e.sample(float64(s.count), "document", name, "source", s.source)
	}
	e.counter("document_builds_total", "How often such an answer was made.")
	e.sample(float64(c.Built), "document", name, "outcome", "made").sample(float64(c.Failed), "document", name, "outcome", "failed")
}
