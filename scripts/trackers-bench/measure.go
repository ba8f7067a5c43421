package main

import (
	"context"
	"fmt"
	"net/url"
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
	figures
)

var figureNames = [figures]string{
	udpCPU:       "udp, CPU an answer, us",
	udpRate:      "udp, answers a second",
	pacedCPU:     "udp paced, CPU an answer, us",
	pacedP50:     "udp paced, p50, us",
	pacedP99:     "udp paced, p99, us",
	halfP99:      "udp at half load, p99, us",
	keptCPU:      "http kept alive, CPU an answer, us",
	keptRate:     "http kept alive, answers a second",
	eachCPU:      "http one connection each, CPU an answer, us",
	eachRate:     "http one connection each, answers a second",
	bytesPerPeer: "resident bytes a peer",
}

// results are what a tracker came to: for each figure one value a round.
type results struct {
	values [figures][]float64
	wrong  uint64
	failed uint64
	worst  string
}

func (r *results) add(figure int, v float64) { r.values[figure] = append(r.values[figure], v) }

// measure takes all figures of one tracker once.
func measure(ctx context.Context, o *options, c contender, r *results) error {
	pid, stop, err := c.start(ctx)
	if err != nil {
		return err
	}
	defer stop()
	udp, http := target("udp"), target("http")
	base := load.Config{
		Target: udp, Torrents: o.torrents, Peers: o.peers, Skew: o.skew, Sources: 8, NumWant: o.numWant, Duration: o.duration, PID: pid, InFlight: 128,
	}
	world, err := load.NewWorld(ctx, base)
	if err != nil {
		return err
	}
	run := func(name string, change func(*load.Config)) (*load.Report, error) {
		cfg := base
		change(&cfg)
		report, err := world.Run(ctx, cfg)
		if err != nil {
			return nil, err
		}
		r.judge(report)
		fmt.Fprintf(o.log, "  %-28s %9.0f/s  %6.2f us  p99 %v\n", name, report.Answers(), micros(report.Process.PerAnswer), report.Latency.Quantile(0.99))
		return report, ctx.Err()
	}
	most, err := run("udp", func(c *load.Config) { c.Fill = true })
	if err != nil {
		return err
	}
	r.add(udpCPU, micros(most.Process.PerAnswer))
	r.add(udpRate, most.Answers())
	r.add(bytesPerPeer, float64(most.Process.Resident-most.Process.Before)/float64(o.peers))
	paced, err := run("udp paced", func(c *load.Config) { c.Rate, c.InFlight = o.paced, 0 })
	if err != nil {
		return err
	}
	r.add(pacedCPU, micros(paced.Process.PerAnswer))
	r.add(pacedP50, micros(paced.Latency.Quantile(0.5)))
	r.add(pacedP99, micros(paced.Latency.Quantile(0.99)))
	half, err := run("udp at half load", func(c *load.Config) { c.Rate, c.InFlight = most.Answers()/2, 0 })
	if err != nil {
		return err
	}
	r.add(halfP99, micros(half.Latency.Quantile(0.99)))
	kept, err := run("http kept alive", func(c *load.Config) { c.Target = http; c.InFlight = 64 })
	if err != nil {
		return err
	}
	r.add(keptCPU, micros(kept.Process.PerAnswer))
	r.add(keptRate, kept.Answers())
	each, err := run("http one connection each", func(c *load.Config) { c.Target, c.Fresh, c.InFlight = http, true, 64 })
	if err != nil {
		return err
	}
	r.add(eachCPU, micros(each.Process.PerAnswer))
	r.add(eachRate, each.Answers())
	return nil
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
