package main

import (
	"fmt"

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
		Description: `Keeps a number of announces in flight, each followed by the next as soon as it
is answered, and checks each answer against what was announced before. Exits
with 1 when an answer was wrong or none was right. For trackers of your own
only: the URL must name host and port, and redirects are not followed.

   starling load udp://127.0.0.1:6969
   starling load http://127.0.0.1:6969 --duration 1m --torrents 10 --peers 50000`,
		Flags: []cli.Flag{
			&cli.DurationFlag{Name: "duration", Value: load.DefaultDuration, Usage: "Announce for `D`."},
			&cli.IntFlag{Name: "torrents", Value: load.DefaultTorrents, Usage: "Spread the peers over `N` torrents."},
			&cli.IntFlag{Name: "peers", Value: load.DefaultPeers, Usage: "Announce `N` peers, in all torrents together."},
			&cli.IntFlag{Name: "in-flight", Value: load.DefaultInFlight, Usage: "Keep `N` announces in flight; over http, as many connections."},
		},
		Action: func(c *cli.Context) error {
			cfg, err := loadConfig(c)
			if err != nil {
				return usagef("load: %w", err)
			}
			report, err := load.Run(c.Context, cfg)
			if err != nil {
				return fmt.Errorf("load: %w", err)
			}
			if err := report.Print(c.App.Writer); err != nil {
				return err
			}
			switch wrong := report.WrongAnswers(); {
			case wrong > 0:
				return fmt.Errorf("load: %d answers of %s were wrong", wrong, report.Target)
			case report.Right == 0:
				return fmt.Errorf("load: %s answered nothing", report.Target)
			}
			return nil
		},
	}
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
	for _, flag := range []string{"torrents", "peers", "in-flight"} {
		if n := c.Int(flag); n < 1 {
			return load.Config{}, fmt.Errorf("--%s: %d is less than 1", flag, n)
		}
	}
	if d := c.Duration("duration"); d <= 0 {
		return load.Config{}, fmt.Errorf("--duration: %v is no time at all", d)
	}
	cfg := load.Config{
		Target: u, Duration: c.Duration("duration"), Torrents: c.Int("torrents"), Peers: c.Int("peers"), InFlight: c.Int("in-flight"),
	}
	return cfg, cfg.Check()
}
