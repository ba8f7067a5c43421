package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"starling/tracker/client"
	"starling/wire"
)

// announceCommand returns `starling announce`: what a client would do.
func announceCommand() *cli.Command {
	return &cli.Command{
		Name:      "announce",
		Usage:     "announce to any tracker, http or udp, and show the answer",
		ArgsUsage: "URL",
		Description: `Announces one peer as a client does. The peer stays in the tracker's swarm until
it stops or is forgotten.

   H=0123456789abcdef0123456789abcdef01234567
   starling announce udp://127.0.0.1:6969 --info-hash $H
   starling announce udp://127.0.0.1:6969 --info-hash $H --event stopped
   starling announce http://127.0.0.1:6969/announce --info-hash $H --json`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "info-hash", Usage: "The torrent, `H`: 40 hexadecimal digits, or the 64 of a version 2 torrent. Required."},
			&cli.StringFlag{Name: "event", Usage: "The `EVENT`: started, completed, stopped or paused.", DefaultText: "none, a regular announce"},
			&cli.Uint64Flag{Name: "left", Usage: "`BYTES` left to download; 0 is a seeder.", DefaultText: "1, a leecher, and 0 with --event completed"},
			&cli.IntFlag{Name: "port", Value: 6881, Usage: "The port `N` this peer listens on."},
			&cli.StringFlag{Name: "ip", Usage: "The address `IP` of the peer, which trackers believe few clients.", DefaultText: "the one the tracker sees"},
			&cli.IntFlag{Name: "numwant", Value: -1, Usage: "Ask for `N` peers.", DefaultText: "as many as the tracker likes"},
			timeoutFlag(),
			&cli.BoolFlag{Name: "json", Usage: "Print the answer as one JSON object."},
		},
		Action: func(c *cli.Context) error {
			u, a, err := announceArguments(c)
			if err != nil {
				return usagef("announce: %w", err)
			}
			cl, ctx, cancel := newClient(c)
			defer cancel()
			reply, err := cl.Announce(ctx, u, a)
			if err != nil {
				return fmt.Errorf("announce to %s: %w", u, err)
			}
			if c.Bool("json") {
				return json.NewEncoder(c.App.Writer).Encode(reply)
			}
			_, err = io.WriteString(c.App.Writer, announceText(reply))
			return err
		},
	}
}

// timeoutFlag is the time a tracker is given by `announce` and `scrape`.
func timeoutFlag() cli.Flag {
	return &cli.DurationFlag{Name: "timeout", Value: 15 * time.Second, Usage: "Give up after `D`. Over udp the request is sent again after a seventh and three sevenths of it."}
}

// newClient returns a client that keeps to --timeout, three packets over UDP, and the context of its one request.
func newClient(c *cli.Context) (*client.Client, context.Context, context.CancelFunc) {
	timeout := c.Duration("timeout")
	ctx, cancel := context.WithTimeout(c.Context, timeout)
	return &client.Client{FirstWait: timeout / 7, Tries: 3}, ctx, cancel // waits of 1, 2 and 4 sevenths
}

// trackerArgument reads the URL of a command on a tracker, its first argument, and checks --timeout.
func trackerArgument(c *cli.Context) (*url.URL, error) {
	if !c.Args().Present() {
		return nil, fmt.Errorf("the tracker's URL is missing, such as udp://127.0.0.1:6969")
	}
	if d := c.Duration("timeout"); d < 10*time.Millisecond || d > time.Hour {
		return nil, fmt.Errorf("--timeout: %v is not between 10ms and 1h", d)
	}
	return client.ParseURL(c.Args().First())
}

// announceArguments reads the command line of `announce`.
func announceArguments(c *cli.Context) (*url.URL, *client.Announce, error) {
	u, err := trackerArgument(c)
	if err != nil {
		return nil, nil, err
	}
	if c.NArg() > 1 {
		return nil, nil, fmt.Errorf("one URL, please, not %q too", c.Args().Get(1))
	}
	a := &client.Announce{Port: uint16(c.Int("port")), NumWant: c.Int("numwant"), Left: 1}
	var ok bool
	if a.Event, ok = wire.ParseEvent(c.String("event")); !ok {
		return nil, nil, fmt.Errorf("--event: %q is not started, completed, stopped or paused", c.String("event"))
	}
	if c.IsSet("left") {
		a.Left = c.Uint64("left")
	} else if a.Event == wire.EventCompleted {
		a.Left = 0
	}
	if !c.IsSet("info-hash") {
		return nil, nil, fmt.Errorf("--info-hash is missing")
	}
	if a.InfoHash, err = wire.ParseInfoHash(c.String("info-hash")); err != nil {
		return nil, nil, fmt.Errorf("--info-hash: %w", err)
	}
	if p := c.Int("port"); p < 1 || p > math.MaxUint16 {
		return nil, nil, fmt.Errorf("--port: %d is not between 1 and 65535", p)
	}
	if n := c.Int("numwant"); n < -1 || n > math.MaxInt32 {
		return nil, nil, fmt.Errorf("--numwant: %d is not between -1 and %d", n, math.MaxInt32)
	}
	if c.IsSet("ip") {
		if a.IP, err = netip.ParseAddr(c.String("ip")); err != nil || a.IP.Zone() != "" {
			return nil, nil, fmt.Errorf("--ip: %q is not an IP address", c.String("ip"))
		}
		if u.Scheme == "udp" && !a.IP.Unmap().Is4() {
			return nil, nil, fmt.Errorf("--ip: a udp announce has no room for the IPv6 address %s", a.IP)
		}
	}
	// The same peer each time, so that a later stop is that of an earlier start with trackers that go by the id.
	copy(a.PeerID[:], fmt.Sprintf("-SG0001-%012d", a.Port))
	return u, a, nil
}

// announceText returns the answer for people: what was told, one line each, and the peers.
func announceText(r *client.AnnounceReply) string {
	var b strings.Builder
	line := func(name, text string) { fmt.Fprintf(&b, "%-14s%s\n", name, text) }
	count := func(name string, n *uint64) {
		if n != nil {
			line(name, fmt.Sprint(*n))
		}
	}
	if r.Warning != "" {
		line("warning", fmt.Sprintf("%q", r.Warning))
	}
	count("seeders", r.Complete)
	count("leechers", r.Incomplete)
	count("downloaded", r.Downloaded)
	line("announce in", inWords(r.Interval))
	if r.MinInterval != 0 {
		line("not before", inWords(r.MinInterval))
	}
	if r.ExternalIP.IsValid() {
		line("seen as", r.ExternalIP.String())
	}
	if len(r.Peers) == 0 {
		line("peers", "none")
		return b.String()
	}
	line("peers", fmt.Sprint(len(r.Peers)))
	for _, p := range r.Peers {
		b.WriteString("   " + p.String() + "\n")
	}
	return b.String()
}

// inWords returns seconds as 29 minutes 12 seconds, of the two largest units.
func inWords(seconds uint32) string {
	units := []struct {
		name string
		size uint32
	}{{"day", 86400}, {"hour", 3600}, {"minute", 60}, {"second", 1}}
	var words []string
	for _, u := range units {
		n := seconds / u.size
		seconds %= u.size
		switch {
		case len(words) == 2 || n == 0:
		case n == 1:
			words = append(words, "1 "+u.name)
		default:
			words = append(words, fmt.Sprintf("%d %ss", n, u.name))
		}
	}
	if len(words) == 0 {
		return "0 seconds"
	}
	return strings.Join(words, " ")
}
