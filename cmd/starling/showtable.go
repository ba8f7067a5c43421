package main

import (
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
)

// column is a column of a table.
type column struct {
	title string
	right bool // numbers stand right
}

// columns are what there is to see of nodes without a cluster key.
var columns = []column{
	{"NODE", false}, {"ADDRESS", false}, {"HEARD", true}, {"TORRENTS", true}, {"PACKETS", true}, {"RECORDS", true}, {"LOST", true}, {"DIALECT", false},
}

// keyedColumns are what there is to see of nodes with one. A line of a healthy node with a million peers and a short address has room in 80 columns.
var keyedColumns = []column{
	{"NODE", false}, {"ADDRESS", false}, {"HEARD", true}, {"PEERS", true}, {"LOST", true}, {"REPAIRED", true},
	{"LAG", true}, {"DIFFERS", true}, {"IS", false},
}

// showNodes writes a line for this node and one for each that it hears.
func (s *status) showNodes(w io.Writer) {
	columns, own, row := columns, s.ownRow, (*nodeStatus).row
	if s.Livesync.Mode == "keyed" {
		columns, own, row = keyedColumns, s.ownKeyedRow, (*nodeStatus).keyedRow
	}
	rows := [][]string{own()}
	for i := range s.Nodes {
		rows = append(rows, row(&s.Nodes[i]))
	}
	writeTable(w, columns, rows)
}

func (s *status) ownRow() []string {
	return []string{
		s.TrackerID, or(s.Livesync.Address), "itself", count(s.Torrents),
		count(s.Livesync.Sent.Packets), count(s.Livesync.Sent.Records), "-", "",
	}
}

func (n *nodeStatus) row() []string {
	torrents := "-" // it has sent no beacon yet
	if n.Torrents > 0 {
		torrents = count(n.Torrents)
	}
	return []string{
		n.ID, n.Address, age(n.LastHeard), torrents, count(n.Packets), count(n.Records), count(n.Lost), n.Dialect,
	}
}

func (s *status) ownKeyedRow() []string {
	return []string{
		s.TrackerID, or(host(s.Livesync.Address)), "itself", count(s.Peers.IPv4 + s.Peers.IPv6), "-", "-", "-", "-", "",
	}
}

func (n *nodeStatus) keyedRow() []string {
	row := []string{
		n.ID, host(n.Address), age(n.LastHeard), "-", count(n.Lost), count(n.Repaired), "-", "-", "without key",
	}
	if n.Mode != "keyed" {
		return row
	}
	row[3], row[6], row[8] = count(n.Peers), lag(n.Lag), n.is()
	if d := n.Divergence; d != nil {
		row[7] = count(d.Peers)
	}
	return row
}

// silentAfter is after how many seconds a node with a key, which tells something each second, is called silent: as long as it takes
// until the cluster is said to be out of sync because of it.
const silentAfter = 10

// is says how the node is: what it told last, unless that is long ago.
func (n *nodeStatus) is() string {
	switch silent := n.LastHeard > silentAfter; {
	case silent && n.Health == "draining":
		return "ended"
	case silent:
		return "silent"
	}
	return n.Health
}

// or returns s, a dash when it is empty.
func or(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// host returns the address without the port: nodes send from any port.
func host(s string) string {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().String()
	}
	return s
}

// lag writes a time under way, below zero too: then the other's clock is ahead.
func lag(seconds float64) string {
	if seconds > -10 && seconds < 10 {
		return strconv.FormatFloat(seconds*1000, 'f', 0, 64) + "ms"
	}
	return strconv.FormatFloat(seconds, 'f', 0, 64) + "s"
}

// inSync says whether the cluster is in sync, or why not.
func (s *status) inSync() string {
	switch {
	case s.InSync == nil:
		return "not known: " + s.InSyncWhy
	case *s.InSync:
		return "yes"
	}
	return "NO: " + s.InSyncWhy
}

// line says how far catching up is.
func (c *catchUpStatus) line() string {
	switch {
	case c.Running:
		return fmt.Sprintf("%s of %s peers from %s", count(c.Peers), count(c.Expected), c.From)
	case c.Failed > 0:
		return fmt.Sprintf("failed %d times, tried again", c.Failed)
	}
	return "looking for a node to ask"
}

// writeTable writes rows whose columns stand below each other.
func writeTable(w io.Writer, columns []column, rows [][]string) {
	if columns == nil {
		columns = make([]column, len(rows[0]))
	} else {
		titles := make([]string, len(columns))
		for i, c := range columns {
			titles[i] = c.title
		}
		rows = append([][]string{titles}, rows...)
	}
	width := make([]int, len(columns))
	for _, row := range rows {
		for i, cell := range row {
			width[i] = max(width[i], len(cell))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			format := "%-*s  "
			if columns[i].right {
				format = "%*s  "
			}
			fmt.Fprintf(&line, format, width[i], cell)
		}
		fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
	}
}
