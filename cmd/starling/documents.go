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

// servedDocument is how a document was served.
type servedDocument struct {
	name string
	document.Counts
}

// documents adds how the documents were served.
func (e *exposition) documents(all []servedDocument) {
	e.counter("documents_total", "Answers that are made once for all who ask at the time, by where they came from.")
	for _, d := range all {
		e.sample(float64(d.Fresh), "document", d.name, "source", "fresh").sample(float64(d.Followed), "document", d.name, "source", "followed").
			sample(float64(d.Stale), "document", d.name, "source", "stale").sample(float64(d.Unavailable), "document", d.name, "source", "unavailable")
	}
	e.counter("document_builds_total", "How often such an answer was made.")
	for _, d := range all {
		e.sample(float64(d.Built), "document", d.name, "outcome", "made").sample(float64(d.Failed), "document", d.name, "outcome", "failed")
	}
}
