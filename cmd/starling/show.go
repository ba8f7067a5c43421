package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
)

// Bounds of a look at a node.
const (
	showTimeout = 5 * time.Second
	maxStatus   = 16 << 20
)

// statusCommand returns `starling status`: this node and every node it hears.
func statusCommand() *cli.Command {
	return &cli.Command{
		Name:  "status",
		Usage: "show a node and every node it hears",
		Description: `Asks a running node at its admin address. A node that is not heard by the
others, or hears none, is not in the cluster: see the line that says so. With a
cluster key "in sync" says whether all nodes hold the same peers, or why not.
HEARD is how long ago; LOST and REPAIRED count packets; DIFFERS are peers that
one of both nodes lacks or has in another role; LAG is the median of the last
minute from sending to applying, as exact as the clocks of both agree.

   starling status
   starling status --admin 127.0.0.1:6972
   starling status --json | jq .livesync.dropped`,
		Flags: append(adminFlags(),
			&cli.BoolFlag{Name: "json", Usage: "Print what /api/v1/status answers, unchanged."}),
		Action: func(c *cli.Context) error {
			node, err := adminTargetOf(c)
			if err != nil {
				return err
			}
			body, err := node.status(c.Context)
			if err != nil {
				return err
			}
			if c.Bool("json") {
				_, err := c.App.Writer.Write(body)
				return err
			}
			var s status
			if err := json.Unmarshal(body, &s); err != nil {
				return fmt.Errorf("http://%s/api/v1/status is not the status of a node: %w", node.addr, err)
			}
			_, err = io.WriteString(c.App.Writer, s.table())
			return err
		},
	}
}

// table returns the status as text for people: the node itself, its trouble if
// it has any, and a line for each node.
func (s *status) table() string {
	var b strings.Builder
	state := "not ready"
	if s.Ready {
		state = "ready"
	}
	fmt.Fprintf(&b, "Node %s, %s, up %s\n\n", s.TrackerID, state, age(s.Uptime))
	lines := [][]string{
		{"   torrents", count(s.Torrents)},
		{"   peers", fmt.Sprintf("%s IPv4, %s IPv6; %s of them seeders", count(s.Peers.IPv4), count(s.Peers.IPv6), count(s.Seeders))},
		{"   announces", fmt.Sprintf("%s over HTTP, %s over UDP", count(s.Announces.HTTP), count(s.Announces.UDP))},
		{"   scrapes", fmt.Sprintf("%s over HTTP, %s over UDP", count(s.Scrapes.HTTP), count(s.Scrapes.UDP))},
		{"   memory", s.Memory.line()},
		{"   live sync", s.Livesync.line()},
		{"   in sync", s.inSync()},
	}
	if s.Relay != nil {
		lines = append(lines, []string{"   relay", s.Relay.line()})
	}
	if c := s.Livesync.CatchUp; c != nil && (c.Running || !c.Ready) {
		lines = append(lines, []string{"   catching up", c.line()})
	}
	if text := s.Access.text(); text != "" {
		lines = append(lines, []string{"   lists", text})
	}
	if s.Access.Private {
		lines = append(lines, []string{"   private", "only who has a passkey is served"})
	}
	writeTable(&b, nil, append(lines, []string{"   version", s.Version}))
	for _, trouble := range s.troubles() {
		fmt.Fprintf(&b, "\n   ! %s\n", trouble)
	}
	b.WriteByte('\n')
	s.showNodes(&b)
	if len(s.Directors) > 0 {
		b.WriteByte('\n')
		showDirectors(&b, s.Directors)
	}
	return b.String()
}

// line says what live sync does.
func (l *livesyncStatus) line() string {
	if l.Mode == "off" {
		return "off"
	}
	return fmt.Sprintf("%s, %s, group %s on %s", l.Mode, l.State, l.Group, l.Interface)
}

// usual is what is dropped for a reason where nothing is wrong: the group brings us our own packets and those that others had lost, nodes that have just
// met do not believe each other's first packets, and each `starling doctor` sends a packet of a type that nobody knows.
var usual = map[string]uint64{"own_id": math.MaxUint64, "duplicate": math.MaxUint64, "twice": math.MaxUint64, "unproven": 20, "type": 20}

// meanings say of reasons to drop a packet what most often is behind them.
var meanings = map[string]string{"auth": " (another key)", "plain": " (no key)", "type": " (a node with a key, or a newer one?)"}

// troubles returns what an operator should look into.
func (s *status) troubles() []string {
	var all []string
	l := &s.Livesync
	for _, t := range []string{l.Trouble, l.Conflict, l.Withheld, s.Memory.trouble(), s.Relay.trouble()} {
		if t != "" {
			all = append(all, t)
		}
	}
	var dropped []string
	for _, d := range l.Dropped.list() {
		if d.count > usual[d.reason] {
			dropped = append(dropped, count(d.count)+" "+d.reason+meanings[d.reason])
		}
	}
	if len(dropped) > 0 {
		all = append(all, "dropped: "+strings.Join(dropped, ", "))
	}
	if l.Mode != "off" && l.Trouble == "" {
		if silence, never := s.silence(); silence > 60 {
			heard := fmt.Sprintf("heard no node for %s", age(silence))
			if never {
				heard = "heard no node yet"
			}
			all = append(all, heard+"; a switch with IGMP snooping and no querier stops group traffic silently")
		}
	}
	return all
}

// silence returns for how many seconds no other node was heard, and whether none ever was.
func (s *status) silence() (seconds float64, never bool) {
	seconds = s.Uptime
	for _, n := range s.Nodes {
		seconds = min(seconds, n.LastHeard)
	}
	return seconds, len(s.Nodes) == 0
}

// count writes a number with its thousands apart: 1,234,567.
func count(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// age writes seconds as people say them: 0.8s, 42s, 3m5s, 2h10m, 3d4h.
func age(seconds float64) string {
	switch s := int(seconds); {
	case seconds < 10:
		return strconv.FormatFloat(seconds, 'f', 1, 64) + "s"
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%ds", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%dh%dm", s/3600, s%3600/60)
	default:
		return fmt.Sprintf("%dd%dh", s/86400, s%86400/3600)
	}
}
