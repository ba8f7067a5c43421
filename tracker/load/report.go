package load

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// failure is why an announce got no answer that could be checked.
type failure uint8

const (
	failTimeout failure = iota
	failConnect
	failClosed
	failStatus
	failRefused
	failMalformed
	failures
)

var failureNames = [failures]string{
	failTimeout:   "no answer in time",
	failConnect:   "connecting failed",
	failClosed:    "connection lost",
	failStatus:    "HTTP status",
	failRefused:   "refused by the tracker",
	failMalformed: "malformed answer",
}

// tally is what one worker counts.
type tally struct {
	right   uint64
	wrong   [wrongnesses]uint64
	failed  [failures]uint64
	example [failures]string // the first of each kind
	latency Histogram
}

func (t *tally) fail(f failure, what string) {
	if t.failed[f]++; t.example[f] == "" {
		t.example[f] = what
	}
}

// Count is how often one thing happened.
type Count struct {
	What    string
	N       uint64
	Example string // what was said the first time; may be empty
}

// Report is what came of a run.
type Report struct {
	Target                    string
	Elapsed                   time.Duration
	Torrents, Peers, InFlight int
	Right                     uint64  // answers that passed every check
	Wrong                     []Count // answers that did not, by what was wrong
	Errors                    []Count // announces without an answer to check, by why
	Latency                   Histogram
}

func newReport(r *run, elapsed time.Duration, tallies []*tally) *Report {
	var sum tally
	for _, t := range tallies {
		sum.right += t.right
		for i, n := range t.wrong {
			sum.wrong[i] += n
		}
		for i, n := range t.failed {
			sum.failed[i] += n
			if sum.example[i] == "" {
				sum.example[i] = t.example[i]
			}
		}
		sum.latency.Add(&t.latency)
	}
	report := &Report{
		Target: r.cfg.Target.String(), Elapsed: elapsed, Right: sum.right, Latency: sum.latency,
		Torrents: r.cfg.Torrents, Peers: r.cfg.Peers, InFlight: r.cfg.InFlight,
	}
	for i, n := range sum.wrong {
		if n > 0 {
			report.Wrong = append(report.Wrong, Count{What: wrongNames[i], N: n})
		}
	}
	for i, n := range sum.failed {
		if n > 0 {
			report.Errors = append(report.Errors, Count{failureNames[i], n, sum.example[i]})
		}
	}
	return report
}

// Answers returns how many announces got an answer that could be checked.
func (r *Report) Answers() uint64 { return r.Right + total(r.Wrong) }

// WrongAnswers returns how many of them were wrong.
func (r *Report) WrongAnswers() uint64 { return total(r.Wrong) }

func total(counts []Count) (n uint64) {
	for _, c := range counts {
		n += c.N
	}
	return n
}

// Print writes the report as a table.
func (r *Report) Print(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s for %v: %s in flight, %s torrents, %s peers\n\n", r.Target, r.Elapsed.Round(10*time.Millisecond),
		group(uint64(r.InFlight)), group(uint64(r.Torrents)), group(uint64(r.Peers)))
	row := func(name string, n uint64, note string) {
		b.WriteString(strings.TrimRight(fmt.Sprintf("%-15s%15s   %s", name, group(n), note), " ") + "\n")
	}
	seconds := max(r.Elapsed.Seconds(), 1e-9)
	row("announces", r.Answers()+total(r.Errors), "")
	row("right answers", r.Right, "")
	row("wrong answers", total(r.Wrong), "")
	for _, c := range r.Wrong {
		row("", c.N, c.What)
	}
	row("errors", total(r.Errors), "")
	for _, c := range r.Errors {
		note := c.What
		if c.Example != "" {
			note += fmt.Sprintf(", first %.100q", c.Example)
		}
		row("", c.N, note)
	}
	row("answers/s", uint64(float64(r.Answers())/seconds), "")
	fmt.Fprintf(&b, "\nlatency %10s%12s%12s%12s%12s\n        ", "p50", "p90", "p99", "p99.9", "max")
	for i, q := range []float64{0.5, 0.9, 0.99, 0.999, 1} {
		width := 12
		if i == 0 {
			width = 10
		}
		fmt.Fprintf(&b, "%*s", width, millis(r.Latency.Quantile(q)))
	}
	b.WriteString("\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// millis writes a latency in milliseconds, whatever its size: columns of one unit compare at a glance.
func millis(d time.Duration) string {
	return strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'f', 3, 64) + " ms"
}

// group writes a number with a comma between thousands.
func group(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
