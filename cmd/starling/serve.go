package main

import (
	"github.com/urfave/cli/v2"
)

// serveCommand returns `starling serve`: one tracker.
func serveCommand() *cli.Command {
	file := &optionFlag{
		GenericFlag: &cli.GenericFlag{
			Name:  "config",
			Usage: `Settings in a TOML file: peer-timeout = "45m", http = [":6969", ":80"].`,
			Value: new(recorder),
		},
		placeholder: "FILE",
	}
	return &cli.Command{
		Name:  "serve",
		Usage: "run one tracker",
		Description: `Serves HTTP and UDP announces on port 6969, and tells the other nodes on the
same network segment what it hears, as they tell it. Ctrl-C or SIGTERM stops
accepting, answers what is in hand and tells the rest.

Start it on each host of a segment, with the interface they share:

   starling serve --livesync-interface eth1
   starling status

The same from a file; every flag is a key, lists are arrays:

   echo 'livesync-interface = "eth1"' > starling.toml
   starling serve --config starling.toml

A list may also be given with commas: --http :6969,:80. A list from a stronger
source replaces that of a weaker one. D is a duration: 250ms, 90s, 15m, 1h30m.`,
		Flags: append([]cli.Flag{file}, flags(options(new(config)))...),
		Action: func(c *cli.Context) error {
			sources := []source{fromFlags(c)}
			if c.IsSet(file.Name) {
				files := *file.Value.(*recorder)
				if len(files) > 1 {
					return usagef("--config: given %d times, takes one file", len(files))
				}
				s, err := readFile(files[0], options(new(config)))
				if err != nil {
					return usagef("config file: %w", err)
				}
				sources = append(sources, s)
			}
			cfg, err := resolve(sources...)
			if err != nil {
				return usagef("%w", err)
			}
			n, err := newNode(cfg, newLogger(c.App.ErrWriter, cfg.logLevel, cfg.logFormat))
			if err != nil {
				return usagef("%w", err)
			}
			return n.run(c.Context)
		},
	}
}
