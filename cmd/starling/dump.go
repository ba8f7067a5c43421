package main

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/urfave/cli/v2"

	"starling/livesync"
	"starling/livesync/seal"
	"starling/wire"
)

// dumpCommand returns `starling dump`: what is said on the group.
func dumpCommand() *cli.Command {
	return &cli.Command{
		Name:  "dump",
		Usage: "listen to the nodes of a group and print every packet",
		Description: `Joins the group, sends nothing, and prints each packet on one line: time,
sender, tracker id, kind, content. Ends on Ctrl-C.

   starling dump
   starling dump --livesync-interface lo            nodes of starling cluster
   starling dump --livesync-group 224.0.23.5:9696   what real opentrackers say
   starling dump --livesync-interface eth0 | grep 192.0.2.1:6881
   starling dump --json | jq 'select(.kind == "beacon")'
   starling dump --cluster-key-file cluster.key     and whether tags are right`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "livesync-interface", Value: "auto", Usage: "The interface to listen on: `NAME, IP or auto`, which chooses as serve does."},
			&cli.StringFlag{Name: "livesync-group", Value: wire.Group.String(), Usage: "The group to join, `ADDR`."},
			&cli.StringFlag{Name: "cluster-key-file", Usage: "Say of packets that have a tag whether it is right: `FILE` has the key."},
			&cli.BoolFlag{Name: "json", Usage: "Print one JSON object per packet."},
			&cli.BoolFlag{Name: "hex", Usage: "Print the bytes of the packet, too."},
		},
		Action: func(c *cli.Context) error {
			group, name, err := dumpArguments(c)
			if err != nil {
				return usagef("dump: %w", err)
			}
			format := dumpFormat{json: c.Bool("json"), hex: c.Bool("hex")}
			if path := c.String("cluster-key-file"); path != "" {
				keys, _, err := seal.ReadFile(path)
				if err != nil {
					return usagef("dump: --cluster-key-file: %w", err)
				}
				format.tags = seal.NewChecker(keys)
			}
			conn, err := livesync.Listen(group, name)
			if err != nil {
				return usagef("dump: %w", err)
			}
			if err := dump(c.Context, conn, format, c.App.Writer); err != nil {
				return fmt.Errorf("dump of %s on %s: %w", group, name, err)
			}
			return nil
		},
	}
}

// dumpArguments reads the command line of `dump`: the group, and the interface as [livesync.Listen] takes it.
func dumpArguments(c *cli.Context) (group netip.AddrPort, name string, err error) {
	if err := setGroup(&group)(c.String("livesync-group")); err != nil {
		return group, "", fmt.Errorf("--livesync-group: %w", err)
	}
	name, warning, err := livesync.FindInterface(c.String("livesync-interface"))
	switch {
	case err != nil:
		return group, "", fmt.Errorf("--livesync-interface: %w", err)
	case warning != "":
		return group, "", fmt.Errorf("%s", warning)
	case name == "":
		return group, "", fmt.Errorf("--livesync-interface: there is nothing to hear on %q", c.String("livesync-interface"))
	}
	return group, name, nil
}

// dumpCheck is how often dump looks whether its membership still holds.
const dumpCheck = time.Second

// dump prints what arrives on conn until parent ends, which is no error, or the membership does. It closes conn.
func dump(parent context.Context, conn livesync.Conn, format dumpFormat, w io.Writer) error {
	ctx, end := context.WithCancelCause(parent)
	defer end(nil)
	closed := make(chan struct{})
	defer func() { end(nil); <-closed }()
	go func() {
		defer close(closed)
		end(watch(ctx, conn))
		conn.Close()
	}()
	b := make([]byte, 1<<16)
	for {
		n, from, _, err := conn.Read(b)
		if err != nil {
			switch {
			case parent.Err() != nil: // whatever its cause, a signal for one
				return nil
			case ctx.Err() != nil:
				return context.Cause(ctx)
			}
			return err
		}
		line := format.line(time.Now(), from, b[:n])
		if _, err := io.WriteString(w, line+"\n"); err != nil {
			return err
		}
	}
}

// watch returns nil when ctx ends, and otherwise why the membership has ended.
func watch(ctx context.Context, conn livesync.Conn) error {
	tick := time.NewTicker(dumpCheck)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := conn.Check(); err != nil {
				return err
			}
		}
	}
}
