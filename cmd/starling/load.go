package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"starling/tracker/client"
	"starling/tracker/load"
)

// loadCommand returns `starling load`: how much a tracker stands, and whether its answers stay right.
func loadCommand() *cli.Command {
	return &cli.Command{
		Name:      "load",
		Usage:     "load a tracker, check every answer, show latencies",
		ArgsUsage: "URL",
		Description: `Keeps a number of requests in flight, each followed by the next as soon as it is
answered; with --rate makes them at that rate whatever the tracker does, and
counts latencies from when each was to be made. Peers start, announce again,
complete, stop and are scraped; each answer is checked against what was
announced before. Exits with 1 when an answer was wrong or none was right. For
trackers of your own only: the URL must name host and port, and redirects are
not followed.

   starling load udp://127.0.0.1:6969
   starling load http://127.0.0.1:6969 --duration 1m --torrents 10 --peers 50000
   starling load udp://127.0.0.1:6969 --fill --peers 1000000 --torrents 100000 \
       --sources 8 --rate 20000 --pid $(pidof starling) --plot load.svg`,
		Flags: []cli.Flag{
			&cli.DurationFlag{Name: "duration", Value: load.DefaultDuration, Usage: "Load for `D`."},
			&cli.IntFlag{Name: "torrents", Value: load.DefaultTorrents, Usage: "Spread the peers over `N` torrents."},
			&cli.IntFlag{Name: "peers", Value: load.DefaultPeers, Usage: "Announce `N` peers, in all torrents together."},
			&cli.Float64Flag{Name: "skew", Value: load.DefaultSkew, Usage: "Torrent number i has peers in proportion to 1/i^`S`; 0: all have as many."},
			&cli.IntFlag{Name: "sources", Value: 1, Usage: "Announce from `N` addresses; more than one only on loopback."},
			&cli.BoolFlag{Name: "fill", Usage: "First let every peer announce once; nothing of that is measured."},
			&cli.IntFlag{Name: "numwant", Value: load.DefaultNumWant, Usage: "Ask for `N` peers."},
			&cli.IntFlag{Name: "in-flight", Value: load.DefaultInFlight, Usage: "Keep `N` requests in flight; over http, as many connections. With --rate, the most there may be, 1024 unless given."},
			&cli.Float64Flag{Name: "rate", DefaultText: "none: each follows an answer", Usage: "Make `N` requests a second (open loop)."},
			&cli.BoolFlag{Name: "connection-each", Usage: "Make each http request on a connection of its own."},
			&cli.IntFlag{Name: "pid", DefaultText: "none", Usage: "Show what process `N`, the tracker's, uses meanwhile."},
			&cli.BoolFlag{Name: "json", Usage: "Print the report as JSON."},
			&cli.StringFlag{Name: "plot", Usage: "Draw throughput and latency over time into `FILE`, as SVG."},
		},
		Action: func(c *cli.Context) error {
			cfg, err := loadConfig(c)
			if err != nil {
				return usagef("load: %w", err)
			}
			return runLoad(c, cfg)
		},
	}
}

// runLoad makes the load and shows what came of it.
func runLoad(c *cli.Context, cfg load.Config) error {
	var plot *os.File
	if name := c.String("plot"); name != "" {
		var err error
		if plot, err = os.Create(name); err != nil {
			return usagef("load: --plot: %w", err)
		}
		defer plot.Close()
	}
	if isTerminal(c.App.ErrWriter) {
		cfg.Progress = func(p load.Progress) { printProgress(c.App.ErrWriter, p) }
	}
	report, err := load.Run(c.Context, cfg)
	if cfg.Progress != nil {
		fmt.Fprint(c.App.ErrWriter, "\r\x1b[K")
	}
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	show := report.Print
	if c.Bool("json") {
		show = report.WriteJSON
	}
	if err := show(c.App.Writer); err != nil {
		return err
	}
	if plot != nil {
		if err := report.WritePlot(plot); err != nil {
			return fmt.Errorf("load: the plot could not be written: %w", err)
		}
	}
	switch wrong := report.WrongAnswers(); {
	case wrong > 0:
		return fmt.Errorf("load: %d answers of %s were wrong", wrong, report.Target)
	case report.Right == 0:
		return fmt.Errorf("load: %s answered nothing", report.Target)
	}
	return nil
}

// printProgress rewrites one line of the terminal.
func printProgress(w io.Writer, p load.Progress) {
	doing := "loading"
	if p.Filling {
		doing = "filling"
	}
	fmt.Fprintf(w, "\r%s %4.0fs  %12d answers  %9.0f/s  p50 %v  p99 %v  %d errors\x1b[K", doing, p.Elapsed.Seconds(), p.Done,
		p.Last.Answers, p.Last.P50.Round(time.Microsecond), p.Last.P99.Round(time.Microsecond), p.Failed)
}

// loadConfig reads the command line of `load`.
func loadConfig(c *cli.Context) (load.Config, error) {
	if c.NArg() != 1 {
		return load.Config{}, fmt.Errorf("name the one tracker to load, such as udp://127.0.0.1:6969")
	}
	u, err := client.ParseURL(c.Args().First())
	if err != nil {
		return load.Config{}, err
	}
	for _, flag := range []string{"torrents", "peers", "sources", "numwant", "in-flight"} {
		if n := c.Int(flag); n < 1 {
			return load.Config{}, fmt.Errorf("--%s: %d is less than 1", flag, n)
		}
	}
	cfg := load.Config{
		Target: u, Duration: c.Duration("duration"), Torrents: c.Int("torrents"), Peers: c.Int("peers"), Skew: c.Float64("skew"),
		Sources: c.Int("sources"), Fill: c.Bool("fill"), NumWant: c.Int("numwant"), Rate: c.Float64("rate"), Fresh: c.Bool("connection-each"), PID: c.Int("pid"),
	}
	switch {
	case cfg.Duration <= 0:
		return cfg, fmt.Errorf("--duration: %v is no time at all", cfg.Duration)
	case cfg.Skew < 0:
		return cfg, fmt.Errorf("--skew: %v is negative", cfg.Skew)
	case c.IsSet("rate") && cfg.Rate <= 0:
		return cfg, fmt.Errorf("--rate: %v requests a second are none", cfg.Rate)
	case c.IsSet("pid") && cfg.PID <= 0:
		return cfg, fmt.Errorf("--pid: %d is no process", cfg.PID)
	case cfg.Skew == 0:
		cfg.Skew = -1
	}
	if c.IsSet("in-flight") || cfg.Rate == 0 {
		cfg.InFlight = c.Int("in-flight")
	}
	return cfg, cfg.Check()
}
