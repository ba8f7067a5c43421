package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"starling/tracker/pacer"
)

// pacingCommand returns `starling pacing`: the classes and who has what of the rate now.
func pacingCommand() *cli.Command {
	return &cli.Command{
		Name:  "pacing",
		Usage: "show the classes of a node and their present shares",
		Description: `Draws the trees of classes of a running node: what each can count on, what it
had in the last second, borrowed tokens included, and what became of the
requests that had to wait. On a terminal, of 130 columns at best, it is drawn
anew each second until q or Ctrl-C.

   starling pacing
   starling pacing --once --admin 127.0.0.1:6972
   starling pacing --json | jq .trees

In a bar the width is the rate of the root: # is in use of a class's own rate,
+ is in use beyond it, . is its own and not in use.`,
		Flags: append(adminFlags(),
			&cli.BoolFlag{Name: "once", Usage: "Draw once, on a terminal too."},
			&cli.BoolFlag{Name: "json", Usage: "Print the part of /api/v1/status that is about pacing, once."}),
		Action: func(c *cli.Context) error {
			node, err := adminTargetOf(c)
			if err != nil {
				return err
			}
			switch w := c.App.Writer; {
			case c.Bool("json"):
				s, err := fetchPacing(c.Context, node)
				if err != nil {
					return err
				}
				return writeJSON(w, s.Pacing)
			default:
				return draw(c.Context, w, c.Bool("once"), func(ctx context.Context) (string, error) {
					s, err := fetchPacing(ctx, node)
					return s.drawPacing(), err
				})
			}
		},
	}
}

// fetchPacing asks a node for its status.
func fetchPacing(ctx context.Context, node adminTarget) (s status, err error) {
	body, err := node.status(ctx)
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(body, &s); err != nil {
		return s, fmt.Errorf("http://%s/api/v1/status is not the status of a node: %w", node.addr, err)
	}
	return s, nil
}

// drawPacing returns the picture of this moment, for people.
func (s *status) drawPacing() string {
	var b strings.Builder
	p := &s.Pacing
	fmt.Fprintf(&b, "Node %s, %s\n\n", s.TrackerID, p.Role)
	rows := [][]string{{"   rate", p.rateLine()}}
	if u := p.Uplink; u != nil {
		rows = append(rows, []string{"   uplink", u.line()})
	}
	if p.Sharing != "" {
		rows = append(rows, []string{"   sharing", fmt.Sprintf("%s, %s connections wait", p.Sharing, count(uint64(p.Waiting)))})
	}
	if n := len(p.Seconds); n > 0 {
		rows = append(rows, []string{"   requests", fmt.Sprintf("%d/s, at most %d/s in the last minute  %s", p.Seconds[n-1], slices.Max(p.Seconds), sparkline(p.Seconds))})
	}
	if c := p.Calendar; c != nil {
		rows = append(rows, []string{"   calendar", fmt.Sprintf("%d of %d booked where clients of now come back", c.Booked, c.Room)})
	}
	if line := p.Jail.line(); line != "" {
		rows = append(rows, []string{"   jail", line})
	}
	if len(p.Steps) > 0 {
		rows = append(rows, []string{"   answers", p.answersLine()})
	}
	writeTable(&b, nil, rows)
	for i := range p.Trees {
		b.WriteByte('\n')
		p.Trees[i].draw(&b, false)
	}
	if len(p.Trees) == 0 {
		b.WriteString("\nNothing is paced: there is no rate, uplink, announce-rate or livesync-rate.\n")
	}
	if len(p.Siblings) > 0 {
		b.WriteByte('\n')
		drawSiblings(&b, p.Siblings)
	}
	return b.String()
}

func (p *pacingStatus) rateLine() string {
	line := "unlimited"
	if p.Rate > 0 {
		line = bytesRate(p.Rate) + " of answers"
	}
	if p.AnnounceRate > 0 {
		line += fmt.Sprintf(", %s announces/s", count(uint64(p.AnnounceRate)))
	}
	if p.Limit > 0 {
		line += ", hard limit " + bytesRate(p.Limit)
	}
	if p.Bandwidth > 0 {
		line += ", bandwidth " + bytesRate(int64(p.Bandwidth))
	}
	return line
}

func (u *uplinkStatus) line() string {
	up := 0
	for _, m := range u.Members {
		if !m.Down {
			up++
		}
	}
	line := fmt.Sprintf("%s of %s, %d of %d nodes up", bytesRate(u.Share), bytesRate(u.Total), up, len(u.Members))
	if u.Grows > 0 {
		line += ", grows in " + age(u.Grows)
	}
	return line
}

// line says who is in the jail, empty when nobody is.
func (j *jailStatus) line() string {
	if j == nil || len(j.Clients) == 0 {
		return ""
	}
	var parts []string
	held := 0
	for _, o := range pacer.Offences() {
		if n := j.Held[o.String()]; n > 0 {
			held += n
			parts = append(parts, fmt.Sprintf("%d for %s", n, offenceWords[o]))
		}
	}
	c := j.Clients[0]
	return fmt.Sprintf("%d clients: %s; %s for %s yet", held, strings.Join(parts, ", "), c.Network, age(c.Left))
}

// answersLine counts the answers by the step of the ladder, the best first.
func (p *pacingStatus) answersLine() string {
	var parts []string
	for _, step := range pacer.Steps() {
		if n := p.Steps[step.String()]; n > 0 {
			parts = append(parts, count(n)+" "+step.String())
		}
	}
	if len(parts) == 0 {
		return "none yet"
	}
	return strings.Join(parts, ", ")
}

// narrowTree are the columns of a tree that fit 80 columns.
var narrowTree = []int{0, 1, 3, 4, 5, 6}

// draw draws a tree of classes: all there is to see of them, or what fits 80 columns.
func (t *treeStatus) draw(w io.Writer, narrow bool) {
	rows := make([][]string, len(t.Classes))
	for i := range t.Classes {
		c := &t.Classes[i]
		rows[i] = []string{
			t.branch(i) + c.Name, t.rate(c.Rate), t.rate(c.Ceil), t.rate(c.Actual), c.bar(t.Classes[0].Rate), t.amount(c.Borrowed), t.amount(c.Lent),
			"", "", "", "", "",
		}
		if q := c.Queue; q != nil {
			copy(rows[i][7:], []string{q.Scheduler, count(uint64(q.Waiting)), age(q.Longest), count(q.Expired), count(q.Dropped)})
		}
	}
	columns := []column{
		{strings.ToUpper(t.Name), false}, {"RATE", true}, {"CEILING", true}, {"NOW", true}, {"", false}, {"BORROWED", true}, {"LENT", true},
		{"QUEUE", false}, {"WAITING", true}, {"LONGEST", true}, {"LATE", true}, {"DROPPED", true},
	}
	if narrow {
		columns = pick(columns, narrowTree)
		for i := range rows {
			rows[i] = pick(rows[i], narrowTree)
		}
	}
	writeTable(w, columns, rows)
}

// pick returns the elements of a list at these places.
func pick[T any](list []T, places []int) []T {
	picked := make([]T, len(places))
	for i, at := range places {
		picked[i] = list[at]
	}
	return picked
}

// branch returns the lines that lead to a class from those above it.
func (t *treeStatus) branch(i int) string {
	depth := t.Classes[i].Depth
	if depth == 0 {
		return ""
	}
	branch := "+- "
	for d := depth - 1; d > 0; d-- {
		line := "   "
		for _, later := range t.Classes[i+1:] {
			if later.Depth < d {
				break
			}
			if later.Depth == d {
				line = "|  "
				break
			}
		}
		branch = line + branch
	}
	return branch
}

// rate and amount write tokens in the unit of the tree.
func (t *treeStatus) rate(n int64) string {
	if t.Unit == "bytes" {
		return bytesRate(n)
	}
	return count(uint64(max(n, 0))) + "/s"
}

func (t *treeStatus) amount(n int64) string {
	if t.Unit == "bytes" {
		return strings.TrimSuffix(bytesRate(n), "/s")
	}
	return count(uint64(max(n, 0)))
}

// barWidth is how wide the rate of the root is drawn.
const barWidth = 30

// bar draws what a class has in use of the root's rate.
func (c *classStatus) bar(root int64) string {
	width := func(n int64) int { return int(min(max(n, 0), root) * barWidth / max(root, 1)) }
	own, actual := max(width(c.Rate), 1), width(c.Actual)
	if c.Actual > 0 {
		actual = max(actual, 1)
	}
	used := min(own, actual)
	s := strings.Repeat("#", used) + strings.Repeat(".", own-used)
	if actual > own {
		s += strings.Repeat("+", actual-own)
	}
	return s + strings.Repeat(" ", barWidth-len(s))
}

// sparkline draws counts as a line of marks, lowest to highest.
func sparkline(counts []int64) string {
	const marks = "_.-=+*#"
	most := max(slices.Max(counts), 1)
	line := make([]byte, len(counts))
	for i, n := range counts {
		line[i] = marks[max(n, 0)*int64(len(marks)-1)/most]
	}
	return string(line)
}

func drawSiblings(w io.Writer, siblings []siblingStatus) {
	rows := make([][]string, len(siblings))
	for i, b := range siblings {
		state := "up"
		switch {
		case !b.Up:
			state = "down"
		case !b.Room:
			state = "full"
		}
		rows[i] = []string{b.URL, state, count(b.Chosen), b.Trouble}
	}
	writeTable(w, []column{{"SIBLING", false}, {"STATE", false}, {"CLIENTS", true}, {"TROUBLE", false}}, rows)
}

// bytesRate writes bytes a second as the flags take them.
func bytesRate(n int64) string {
	for _, u := range []struct {
		name string
		size float64
	}{{"GB/s", 1e9}, {"MB/s", 1e6}, {"KB/s", 1e3}} {
		if float64(n) >= u.size {
			return fmt.Sprintf("%.3g%s", float64(n)/u.size, u.name)
		}
	}
	return fmt.Sprintf("%dB/s", n)
}
