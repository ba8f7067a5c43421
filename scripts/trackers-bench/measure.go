package main

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"time"

	"starling/tracker/load"
)

// The figures of the table.
const (
	udpCPU = iota
	udpRate
	pacedCPU
	pacedP50
	pacedP99
	halfP99
	keptCPU
	keptRate
	eachCPU
	eachRate
	bytesPerPeer
	fullPlain
	fullGzip
	fullZstd
	fullFirst
	fullPlainBusy
	fullGzipBusy
	fullZstdBusy
	fullIdleP99
	fullPlainP99
	fullGzipP99
	fullZstdP99
	figures

	none = -1
)

var figureNames = [figures]string{
	udpCPU:        "udp, CPU an answer, us",
	udpRate:       "udp, answers a second",
	pacedCPU:      "udp paced, CPU an answer, us",
	pacedP50:      "udp paced, p50, us",
	pacedP99:      "udp paced, p99, us",
	halfP99:       "udp at half load, p99, us",
	keptCPU:       "http kept alive, CPU an answer, us",
	keptRate:      "http kept alive, answers a second",
	eachCPU:       "http one connection each, CPU an answer, us",
	eachRate:      "http one connection each, answers a second",
	bytesPerPeer:  "resident bytes a peer",
	fullPlain:     "full scrape plain, ms",
	fullGzip:      "full scrape with gzip, ms",
	fullZstd:      "full scrape with zstd, ms",
	fullFirst:     "its first byte, ms",
	fullPlainBusy: "beside announces, plain, ms",
	fullGzipBusy:  "beside announces, gzip, ms",
	fullZstdBusy:  "beside announces, zstd, ms",
	fullIdleP99:   "udp paced, p99 without one, us",
	fullPlainP99:  "udp paced, p99 beside plain, us",
	fullGzipP99:   "udp paced, p99 beside gzip, us",
	fullZstdP99:   "udp paced, p99 beside zstd, us",
}

// results are what a tracker came to: for each figure one value a round.
type results struct {
	values [figures][]float64
	wrong  uint64
	failed uint64
	worst  string
}

func (r *results) add(figure int, v float64) {
	if figure != none {
		r.values[figure] = append(r.values[figure], v)
	}
}

// inFlight is how many requests over UDP are under way at once: enough for a tracker never to run out of them, and so few that the receive buffer of one that
// does not ask for more than the system gives holds them.
const inFlight = 256

// usualMeasures are what is measured unless something else is asked for; allMeasures are what may be.
var (
	usualMeasures = []string{"udp", "paced", "half", "http", "each"}
	allMeasures   = append(slices.Clone(usualMeasures), fullMeasure)
)

const fullMeasure = "fullscrape"

// session is one tracker in one round.
type session struct {
	ctx     context.Context
	options *options
	world   *load.World
	base    load.Config
	results *results
	floor   bool
}

// measure takes the figures of one tracker once.
func measure(ctx context.Context, o *options, c contender, r *results) error {
	pid, stop, err := c.start(ctx)
	if err != nil {
		return err
	}
	defer stop()
	s := session{ctx: ctx, options: o, results: r, floor: c.floor, base: load.Config{
		Target: target("udp"), Torrents: o.torrents, Peers: o.peers, Skew: o.skew, Sources: 8, NumWant: o.numWant, Duration: o.duration, PID: pid, InFlight: inFlight,
	}}
	if s.world, err = load.NewWorld(ctx, s.base); err != nil {
		return err
	}
	return s.all()
}

// all takes the measures that are asked for. Over UDP the first is always taken, for it fills the peers in.
func (s *session) all() error {
	r := s.results
	most, err := s.run("udp", func(c *load.Config) { c.Fill = !s.floor })
	if err != nil {
		return err
	}
	r.add(udpCPU, micros(most.Process.PerAnswer))
	r.add(udpRate, most.Answers())
	if !s.floor {
		r.add(bytesPerPeer, float64(most.Process.Resident-most.Process.Before)/float64(s.options.peers))
	}
	for _, m := range []struct {
		name            string
		change          func(*load.Config)
		cpu, rate, p50s int // figures; none: not taken
		p99s            int
	}{
		{"paced", func(c *load.Config) { c.Rate, c.InFlight = s.options.paced, 0 }, pacedCPU, none, pacedP50, pacedP99},
		{"half", func(c *load.Config) { c.Rate, c.InFlight = most.Answers()/2, 0 }, none, none, none, halfP99},
		{"http", func(c *load.Config) { c.Target, c.InFlight = s.http(), 64 }, keptCPU, keptRate, none, none},
		{"each", func(c *load.Config) { c.Target, c.Fresh, c.InFlight = s.http(), true, 64 }, eachCPU, eachRate, none, none},
	} {
		if !slices.Contains(s.options.measures, m.name) {
			continue
		}
		report, err := s.run(m.name, m.change)
		if err != nil {
			return err
		}
		r.add(m.cpu, micros(report.Process.PerAnswer))
		r.add(m.rate, report.Answers())
		r.add(m.p50s, micros(report.Latency.Quantile(0.5)))
		r.add(m.p99s, micros(report.Latency.Quantile(0.99)))
	}
	if slices.Contains(s.options.measures, fullMeasure) {
		return s.fullScrape()
	}
	return nil
}

// http returns the URL to announce to over HTTP. That of the floor, which knows no scrapes, has none for them.
func (s *session) http() *url.URL {
	u := target("http")
	if s.floor {
		u.Path = "/floor"
	}
	return u
}

// run loads the tracker with what change makes of the usual.
func (s *session) run(name string, change func(*load.Config)) (*load.Report, error) {
	cfg := s.base
	change(&cfg)
	report, err := s.world.Run(s.ctx, cfg)
	if err != nil {
		return nil, err
	}
	if !s.floor {
		s.results.judge(report)
	}
	fmt.Fprintf(s.options.log, "  %-6s %9.0f/s  %6.2f us  p99 %v\n", name, report.Answers(), micros(report.Process.PerAnswer), report.Latency.Quantile(0.99))
	return report, s.ctx.Err()
}

func target(scheme string) *url.URL { return &url.URL{Scheme: scheme, Host: where, Path: "/announce"} }

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// judge keeps count of what was not right.
func (r *results) judge(report *load.Report) {
	r.wrong += report.WrongAnswers()
	for _, c := range report.Errors {
		r.failed += c.N
	}
	for _, all := range [][]load.Count{report.Wrong, report.Errors} {
		if len(all) > 0 && r.worst == "" {
			r.worst = all[0].What
		}
	}
}
