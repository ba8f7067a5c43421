package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/rs/zerolog"
	"github.com/urfave/cli/v2"

	"starling/livesync/seal"
	"starling/wire"
)

// maxCluster bounds how many trackers one process runs to look at.
const maxCluster = 64

// clusterCommand returns `starling cluster`: whole trackers in one process, to look at.
func clusterCommand() *cli.Command {
	return &cli.Command{
		Name:  "cluster",
		Usage: "run several trackers on this machine, to try it out",
		Description: `Runs whole trackers on the loopback interface, without root: the first on
127.0.0.1:6969 with its status on 6970, the second on 6971 and 6972, and so on.
They tell each other over multicast what they hear, as they would on a network.

   starling cluster
   starling cluster -n 5
   starling status --admin 127.0.0.1:6972

It prints commands to try.`,
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "n", Value: 3, Usage: "Run `N` trackers."},
			&cli.IntFlag{Name: "port", Value: 6969,
				Usage: "Begin at `PORT`; each tracker takes two, one for announces and one for its status."},
			&cli.StringFlag{Name: "livesync-group", Value: wire.Group.String(),
				Usage: "The group and port on which they meet, `ADDR`. Two clusters on one machine need two."},
			&cli.StringFlag{Name: "log-level", Value: zerolog.WarnLevel.String(),
				Usage: "Write messages from `LEVEL` on: " + orList(logLevels) + "."},
		},
		Action: func(c *cli.Context) error {
			n, port := c.Int("n"), c.Int("port")
			if n < 1 || n > maxCluster {
				return usagef("-n: %d is not between 1 and %d", n, maxCluster)
			}
			if last := 65535 - 2*n + 1; port < 1 || port > last {
				return usagef("--port: %d is not between 1 and %d, which leaves room for %d trackers", port, last, n)
			}
			nodes, err := newCluster(c, n, port)
			if err != nil {
				return usagef("%w", err)
			}
			printCluster(c.App.Writer, nodes)
			return runCluster(c.Context, nodes)
		},
	}
}

// newCluster returns n nodes with all their sockets bound, or none.
func newCluster(c *cli.Context, n, port int) ([]*node, error) {
	keys, _, err := seal.ParseKeys([]byte(seal.NewKey()))
	if err != nil {
		return nil, err
	}
	var nodes []*node
	for i := range n {
		cfg, err := resolve(fromMap(map[string]setting{
			"http":               {"--port", []string{loopback(port + 2*i)}},
			"udp":                {"--port", []string{loopback(port + 2*i)}},
			"admin":              {"--port", []string{loopback(port + 2*i + 1)}},
			"livesync-interface": {"the loopback interface", []string{"lo"}},
			"livesync-node":      {"the loopback network", []string{"127.0.0.0/8"}},
			"livesync-group":     {"--livesync-group", []string{c.String("livesync-group")}},
			"first-beacon-delay": {"the first beacon", []string{"1s"}}, // who looks at them wants to see all of them
			"log-level":          {"--log-level", []string{c.String("log-level")}},
		}))
		var nd *node
		if err == nil {
			cfg.keys = keys
			log := newLogger(c.App.ErrWriter, cfg.logLevel, cfg.logFormat).With().Int("node", i+1).Logger()
			nd, err = newNode(cfg, log)
		}
		if err != nil {
			for _, nd := range nodes {
				nd.close()
			}
			return nil, err
		}
		nodes = append(nodes, nd)
	}
	for _, nd := range nodes {
		nd.beside = nodes
	}
	return nodes, nil
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// runCluster runs the nodes until ctx ends or one of them fails.
func runCluster(ctx context.Context, nodes []*node) error {
	all := newGroup(ctx)
	for i, n := range nodes {
		all.start(fmt.Sprintf("node %d", i+1), n.run)
	}
	<-all.done()
	return all.end()
}

// exampleHash is an info hash to try things with.
const exampleHash = "0123456789abcdef0123456789abcdef01234567"

// printCluster tells where the trackers are and what to try.
func printCluster(w io.Writer, nodes []*node) {
	fmt.Fprintf(w, "Trackers on this machine: %d. They tell each other what they hear.\n\n", len(nodes))
	rows := make([][]string, len(nodes))
	for i, n := range nodes {
		at := n.httpListeners[0].Addr().String()
		rows[i] = []string{
			"   http://" + at + "/announce", "udp://" + at, "http://" + n.admin.Addr().String() + "/",
		}
	}
	writeTable(w, []column{{title: "   ANNOUNCE OVER HTTP"}, {title: "OR OVER UDP"}, {title: "STATUS"}}, rows)

	program, first, last := programName(), nodes[0], nodes[len(nodes)-1]
	fmt.Fprintf(w, `
All of them on one page, for your browser, or in this terminal with %s top:

   http://%s/

Announce a client to one tracker, then another client of the same torrent to
another: the second is told of the first.

   %s announce http://%s/announce \
      --info-hash %s
   %s announce udp://%s \
      --info-hash %s --port 6882

What the last one knows of all of them:

   %s status --admin %s

Ctrl-C ends them all.
`,
		program, first.admin.Addr(),
		program, first.httpListeners[0].Addr(), exampleHash,
		program, last.udpConns[0].LocalAddr(), exampleHash,
		program, last.admin.Addr())
}

// programName returns how the user can start this program again: as it was
// started, or through go run, which leaves no program behind.
func programName() string {
	if strings.Contains(os.Args[0], "/go-build") {
		return "go run ./cmd/starling"
	}
	return os.Args[0]
}
