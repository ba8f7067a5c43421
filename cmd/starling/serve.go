package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"

	"github.com/urfave/cli/v2"
)

// serveCommand returns `starling serve`: one tracker.
func serveCommand() *cli.Command {
	file := configFlag()
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

   starling config > starling.toml
   starling check --config starling.toml
   starling serve --config starling.toml

A list may also be given with commas: --http :6969,:80. A list from a stronger
source replaces that of a weaker one. D is a duration: 250ms, 90s, 15m, 1h30m.`,
		Flags: append([]cli.Flag{file}, flags(options(new(config)))...),
		Action: func(c *cli.Context) error {
			path, err := onlyFile(file.Value.(*recorder).values)
			if err != nil {
				return usagef("%w", err)
			}
			flags := fromFlags(c)
			cfg, err := readConfig(flags, path)
			if err != nil {
				return usagef("%w", err)
			}
			if cfg.handed, err = takeHanded(); err != nil {
				return usagef("%w", err)
			}
			n, err := newNode(cfg, newLogger(c.App.ErrWriter, cfg.logLevel, cfg.logFormat))
			if err != nil {
				return usagef("%w", err)
			}
			stop := n.reloadOnHangup(func() (*config, error) { return readConfig(flags, path) })
			defer stop()
			if err := cmp.Or(n.keepSockets(), n.confine()); err != nil {
				n.close()
				return err
			}
			defer n.upgradeOnSignal(c.Context, os.Args)()
			if err := n.run(c.Context); err != nil || !n.handsOver() {
				return err
			}
			return n.takeOver(os.Args)
		},
	}
}

// onlyFile returns the one file that --config gives, empty when it is not given.
func onlyFile(files []string) (string, error) {
	switch {
	case len(files) == 0:
		return "", nil
	case len(files) > 1:
		return "", fmt.Errorf("--config: given %d times, takes one file", len(files))
	case files[0] == "":
		return "", errors.New("--config: the name of the config file is empty; leave the flag out for none")
	}
	return files[0], nil
}
