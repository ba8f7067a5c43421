package load

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Report is what came of a run.
type Report struct {
	Target                    string
	Elapsed                   time.Duration
	Torrents, Peers, InFlight int
	Rate                      float64       // asked for; 0: closed loop
	Fresh                     bool          // a connection for each request
	Filled                    time.Duration // what filling the peers in took; 0: it was not asked for
	Right                     uint64        // answers that passed every check
	Wrong                     []Count       // answers that did not, by what was wrong; those of the filling included
	Errors                    []Count       // requests without an answer to check, by why; likewise
	Latency                   Histogram
	Series                    []Second // over the time of the run
	Process                   *Process // what the tracker used; nil: not asked for
}

// Process is what the tracker's process used.
type Process struct {
	PID       int
	CPU       time.Duration // during the run, filling not included
	PerAnswer time.Duration // of CPU, for each answer, right or wrong
	Before    uint64        // bytes resident before the first peer
	Resident  uint64        // bytes resident at the end
}

func newReport(r *run, fill, load *phase) *Report {
	sum, cfg := load.tally, &r.cfg
	report := &Report{
		Target: cfg.Target.String(), Elapsed: load.elapsed, Torrents: cfg.Torrents, Peers: cfg.Peers, InFlight: cfg.InFlight,
		Rate: cfg.Rate, Fresh: cfg.Fresh, Right: sum.right, Latency: sum.latency, Series: load.series(),
	}
	before := load.before
	if fill != nil {
		report.Filled, before = fill.elapsed, fill.before
		sum.add(&fill.tally)
	}
	report.Wrong, report.Errors = sum.counts()
	if cfg.PID != 0 {
		cpu := load.after.cpu - load.before.cpu
		report.Process = &Process{
			PID: cfg.PID, CPU: cpu, PerAnswer: cpu / time.Duration(max(report.Latency.Count(), 1)),
			Before: before.resident, Resident: load.after.resident,
		}
	}
	return report
}

// WrongAnswers returns how many answers were wrong.
func (r *Report) WrongAnswers() uint64 { return total(r.Wrong) }

// Answers returns how many requests got an answer that could be checked, a second.
func (r *Report) Answers() float64 {
	return float64(r.Latency.Count()) / max(r.Elapsed.Seconds(), 1e-9)
}

// quantiles are the shares that latencies are told for, and what they are called.
var quantiles = []struct {
	q          float64
	name, json string
}{
	{0.5, "p50", "p50_ms"}, {0.9, "p90", "p90_ms"}, {0.99, "p99", "p99_ms"}, {0.999, "p99.9", "p99_9_ms"}, {1, "max", "max_ms"},
}

// Print writes the report as a table.
func (r *Report) Print(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s for %v: %s, %s torrents, %s peers\n\n", r.Target, r.Elapsed.Round(10*time.Millisecond),
		r.loop(), group(uint64(r.Torrents)), group(uint64(r.Peers)))
	row := func(name, value, note string) {
		b.WriteString(strings.TrimRight(fmt.Sprintf("%-15s%15s   %s", name, value, note), " ") + "\n")
	}
	number := func(name string, n uint64, note string) { row(name, group(n), note) }
	if r.Filled > 0 {
		row("filled in", r.Filled.Round(10*time.Millisecond).String(), "")
	}
	number("right answers", r.Right, "")
	number("wrong answers", total(r.Wrong), "")
	for _, c := range r.Wrong {
		number("", c.N, c.What)
	}
	number("errors", total(r.Errors), "")
	for _, c := range r.Errors {
		note := c.What
		if c.Example != "" {
			note += fmt.Sprintf(", first %.100q", c.Example)
		}
		number("", c.N, note)
	}
	number("answers/s", uint64(r.Answers()), "")
	if p := r.Process; p != nil {
		row("tracker CPU", p.CPU.String(), fmt.Sprintf("%.2f us an answer, %.0f %% of a core", float64(p.PerAnswer)/1e3, 100*p.CPU.Seconds()/max(r.Elapsed.Seconds(), 1e-9)))
		row("tracker memory", fmt.Sprintf("%.1f MiB", float64(p.Resident)/(1<<20)), fmt.Sprintf("%.1f MiB before", float64(p.Before)/(1<<20)))
	}
	b.WriteString("\nlatency ")
	r.latencies(&b, func(i, width int) string { return fmt.Sprintf("%*s", width, quantiles[i].name) })
	b.WriteString("\n        ")
	r.latencies(&b, func(i, width int) string {
		return fmt.Sprintf("%*s", width, millis(r.Latency.Quantile(quantiles[i].q)))
	})
	b.WriteString("\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// loop says how the load was made.
func (r *Report) loop() string {
	s := group(uint64(r.InFlight)) + " in flight"
	if r.Rate > 0 {
		s = group(uint64(r.Rate)) + " requests/s"
	}
	if r.Fresh {
		s += ", a connection each"
	}
	return s
}

func (r *Report) latencies(b *strings.Builder, cell func(i, width int) string) {
	for i := range quantiles {
		width := 12
		if i == 0 {
			width = 10
		}
		b.WriteString(cell(i, width))
	}
}

// WriteJSON writes the report as one JSON object: durations in the unit of their names, counts by what they count.
func (r *Report) WriteJSON(w io.Writer) error {
	latency := map[string]float64{}
	for _, q := range quantiles {
		latency[q.json] = inMillis(r.Latency.Quantile(q.q))
	}
	series := []map[string]float64{}
	for _, s := range r.Series {
		series = append(series, map[string]float64{
			"at_s": s.At.Seconds(), "answers_per_s": s.Answers, "p50_ms": inMillis(s.P50), "p99_ms": inMillis(s.P99), "max_ms": inMillis(s.Max),
		})
	}
	out := map[string]any{
		"target": r.Target, "elapsed_s": r.Elapsed.Seconds(), "torrents": r.Torrents, "peers": r.Peers, "in_flight": r.InFlight,
		"rate": r.Rate, "connection_each": r.Fresh, "filled_s": r.Filled.Seconds(), "right": r.Right, "wrong": total(r.Wrong), "wrong_by": append([]Count{}, r.Wrong...),
		"errors": total(r.Errors), "errors_by": append([]Count{}, r.Errors...), "answers_per_s": r.Answers(), "latency": latency, "series": series,
	}
	if p := r.Process; p != nil {
		out["process"] = map[string]any{
			"pid": p.PID, "cpu_s": p.CPU.Seconds(), "cpu_us_per_answer": float64(p.PerAnswer) / 1e3, "resident_before": p.Before, "resident": p.Resident,
		}
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(out)
}

func inMillis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// millis writes a latency in milliseconds, whatever its size: columns of one unit compare at a glance.
func millis(d time.Duration) string {
	return strconv.FormatFloat(inMillis(d), 'f', 3, 64) + " ms"
}

// group writes a number with a comma between thousands.
func group(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
