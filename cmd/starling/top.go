package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"starling/cmd/starling/dashboard"
)

// topCommand returns `starling top`: the dashboard in a terminal.
func topCommand() *cli.Command {
	return &cli.Command{
		Name:  "top",
		Usage: "watch a node and its cluster",
		Description: `Shows what the dashboard of a node shows: is it serving, in sync, overloaded;
how much is announced and how fast it is answered; each node it hears with its
lag and loss; pacing, the largest swarms and the latest events. On a terminal
it is drawn anew each second until q or Ctrl-C; elsewhere it is drawn once.

   starling top
   starling top --admin 127.0.0.1:6972
   starling top --json | jq .verdicts`,
		Flags: append(adminFlags(),
			&cli.BoolFlag{Name: "once", Usage: "Draw once, on a terminal too."},
			&cli.BoolFlag{Name: "json", Usage: "Print what /api/v1/live says now, unchanged."}),
		Action: func(c *cli.Context) error {
			node, err := adminTargetOf(c)
			if err != nil {
				return err
			}
			t := topView{node: node}
			if c.Bool("json") {
				frame, err := t.fetch(c.Context)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(c.App.Writer, "%s\n", frame)
				return err
			}
			return draw(c.Context, c.App.Writer, c.Bool("once"), func(ctx context.Context) (string, error) {
				if err := t.look(ctx); err != nil {
					return "", err
				}
				columns, lines := terminalSize(c.App.Writer)
				return t.draw(columns, lines, isTerminal(c.App.Writer) && os.Getenv("NO_COLOR") == ""), nil
			})
		},
	}
}

// topView is what `starling top` knows of a node.
type topView struct {
	node   adminTarget
	live   live
	past   []int64 // announces a second of the last minute, the oldest first
	at     float64 // when the latest of them was
	events []event
	mark   string // of those
}

// fetch returns the latest frame: the first that a reader is told.
func (t *topView) fetch(ctx context.Context) ([]byte, error) {
	return t.node.hear(ctx, http.MethodGet, livePath, nil, func(r io.Reader) ([]byte, error) {
		line, err := bufio.NewReader(io.LimitReader(r, maxStatus)).ReadBytes('\n')
		frame, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("data: "))
		if err != nil || !ok {
			return nil, fmt.Errorf("http://%s%s is not what a node says", t.node.addr, livePath)
		}
		return frame, nil
	})
}

// read fetches the JSON at a path.
func (t *topView) read(ctx context.Context, path string, v any) error {
	body, err := t.node.ask(ctx, http.MethodGet, path, nil, maxStatus)
	if err == nil {
		err = json.Unmarshal(body, v)
	}
	return err
}

// look takes in what the node says now.
func (t *topView) look(ctx context.Context) error {
	frame, err := t.fetch(ctx)
	if err != nil {
		return err
	}
	t.live = live{}
	if err := json.Unmarshal(frame, &t.live); err != nil || len(t.live.Views) == 0 || len(t.live.Sample) <= len(dashboard.Columns) {
		return errors.Join(fmt.Errorf("http://%s%s is not what a node of this version says", t.node.addr, livePath), err)
	}
	if t.past == nil {
		var history liveHistory
		if err := t.read(ctx, historyPath, &history); err != nil {
			return err
		}
		for i := range history.Fine.Values[0] {
			t.add(history.Fine.Values[0][i], history.Fine.Values[1+dashboard.AnnouncesHTTP][i]+history.Fine.Values[1+dashboard.AnnouncesUDP][i])
		}
	}
	t.add(t.live.Sample[0], t.value(dashboard.AnnouncesHTTP)+t.value(dashboard.AnnouncesUDP))
	if t.mark != t.live.Events {
		var page struct{ Events []event }
		if err := t.read(ctx, "/api/v1/events", &page); err != nil {
			return err
		}
		t.events, t.mark = page.Events, t.live.Events
	}
	return nil
}

// add takes in the announces a second of a time, when it is later than the latest.
func (t *topView) add(at, announces float64) {
	const seconds = 60
	if at > t.at {
		t.at = at
		t.past = append(t.past[max(len(t.past)-seconds+1, 0):], int64(announces+0.5))
	}
}

// value is a value of the latest sample.
func (t *topView) value(place int) float64 { return t.live.Sample[1+place] }

// paints are the colours of moods on a terminal.
var paints = map[mood]string{moodGood: "\x1b[32m", moodWarn: "\x1b[1;33m", moodBad: "\x1b[1;37;41m"}

// draw draws all that fits so many columns and lines; lines 0: everything. Only a terminal has colours.
func (t *topView) draw(columns, lines int, colours bool) string {
	var b strings.Builder
	l := &t.live
	fmt.Fprintf(&b, "Node %s, version %s, up %s\n\n", l.TrackerID, l.Version, age(l.Uptime))
	head := strings.Count(b.String(), "\n")
	writeTable(&b, nil, [][]string{
		{"   serving", l.Verdicts.Serving.line()}, {"   in sync", l.Verdicts.Sync.line()}, {"   load", l.Verdicts.Load.line()},
		{"   announces", fmt.Sprintf("%s/s HTTP, %s/s UDP", figure(t.value(dashboard.AnnouncesHTTP)), figure(t.value(dashboard.AnnouncesUDP)))},
		{"   last minute", t.lastMinute()},
		{"   answered in", fmt.Sprintf("HTTP %s, UDP %s", t.took(dashboard.HTTPHalf), t.took(dashboard.UDPHalf))},
		{"   peers", fmt.Sprintf("%s IPv4, %s IPv6; %s torrents", count(l.Peers.IPv4), count(l.Peers.IPv6), count(l.Torrents))},
		{"   live sync", fmt.Sprintf("%s records/s sent, %s received; %s packets/s missed",
			figure(t.value(dashboard.RecordsSent)), figure(t.value(dashboard.RecordsReceived)), figure(t.value(dashboard.Missed)))},
		{"   memory", fmt.Sprintf("%.0f MiB", t.value(dashboard.Memory))},
	})
	for _, trouble := range l.Troubles {
		fmt.Fprintf(&b, "\n   ! %s\n", trouble)
	}
	b.WriteByte('\n')
	t.drawNodes(&b)
	if l.Pacing != nil {
		for i := range l.Pacing.Trees {
			b.WriteByte('\n')
			l.Pacing.Trees[i].draw(&b, true)
		}
	}
	if len(l.Directors) > 0 {
		b.WriteByte('\n')
		showDirectors(&b, l.Directors)
	}
	t.drawAbuse(&b)
	t.drawEvents(&b)
	t.drawSwarms(&b)
	all := strings.SplitAfter(strings.TrimSuffix(b.String(), "\n"), "\n")
	if lines > 0 {
		all = all[:min(len(all), lines-1)]
	}
	for i, line := range all {
		all[i] = cut(strings.TrimSuffix(line, "\n"), columns) + "\n"
	}
	if colours {
		for i, v := range []verdict{l.Verdicts.Serving, l.Verdicts.Sync, l.Verdicts.Load} {
			if at := head + i; at < len(all) {
				all[at] = strings.Replace(all[at], v.Word, paints[v.Mood]+v.Word+"\x1b[0m", 1)
			}
		}
	}
	return strings.Join(all, "")
}

// line is a verdict in words.
func (v verdict) line() string {
	if v.Why == "" {
		return v.Word
	}
	return v.Word + ": " + v.Why
}

// lastMinute draws how much was announced in each second.
func (t *topView) lastMinute() string {
	if len(t.past) == 0 {
		return "-"
	}
	return fmt.Sprintf("%s  at most %s/s", sparkline(t.past), count(uint64(max(slices.Max(t.past), 0))))
}

// took says in how long half of the announces were answered, and nearly all.
func (t *topView) took(half int) string {
	if t.value(half+1) == 0 {
		return "-"
	}
	return fmt.Sprintf("%.3gms, 99%% in %.3gms", t.value(half), t.value(half+1))
}

// drawNodes draws what each node of the process says of itself, when there are several, and which others this one hears.
func (t *topView) drawNodes(b *strings.Builder) {
	views := t.live.Views
	if len(views) > 1 {
		rows := make([][]string, len(views))
		for i := range views {
			v := &views[i]
			rows[i] = []string{v.ID, v.Admin, v.Serving.Word, v.Sync.Word, count(v.Peers), figure(v.Announces) + "/s", counted(len(v.Nodes), "other")}
		}
		writeTable(b, []column{{"NODE", false}, {"ADMIN", false}, {"STATE", false}, {"SYNC", false}, {"PEERS", true}, {"ANNOUNCES", true}, {"KNOWS", true}}, rows)
		b.WriteByte('\n')
	}
	var rows [][]string
	for i := range views[0].Nodes {
		n := &views[0].Nodes[i]
		row := []string{n.ID, host(n.Address), n.is(), age(n.LastHeard), count(n.Peers), "-", lag(n.Lag), fmt.Sprintf("%.1f%%", 100*n.Loss)}
		if n.Differs != nil {
			row[5] = count(*n.Differs)
		}
		rows = append(rows, row)
	}
	if len(rows) == 0 {
		b.WriteString("No other node is heard.\n")
		return
	}
	writeTable(b, []column{{"HEARS", false}, {"ADDRESS", false}, {"IS", false}, {"HEARD", true}, {"PEERS", true}, {"DIFFERS", true}, {"LAG", true}, {"LOSS", true}}, rows)
}

// is says how another node is: what it said last, unless it says nothing.
func (l *liveLink) is() string {
	if l.State == nodeHeard.String() && l.Health != "" {
		return l.Health
	}
	return l.State
}

// drawAbuse draws which clients were found to abuse the node.
func (t *topView) drawAbuse(b *strings.Builder) {
	const most = 5
	held := t.live.Abuse.Clients
	rows := make([][]string, min(len(held), most))
	for i := range rows {
		rows[i] = []string{held[i].Network, held[i].Reason, age(held[i].Left)}
	}
	if len(rows) > 0 {
		title := "IN THE JAIL"
		if t.live.Abuse.Mode != "jail" {
			title = "WATCHED"
		}
		b.WriteByte('\n')
		writeTable(b, []column{{title, false}, {"FOR", false}, {"ENDS IN", true}}, rows)
	}
}

// drawEvents draws the latest events, times without the day: it is that of now but for very few.
func (t *topView) drawEvents(b *strings.Builder) {
	const most = 8
	rows := make([][]string, min(len(t.events), most))
	for i := range rows {
		e := &t.events[i]
		text := e.Text
		if e.Count > 1 {
			text += fmt.Sprintf(" (%d times)", e.Count)
		}
		rows[i] = []string{e.Time.Local().Format(time.TimeOnly), strings.ReplaceAll(string(e.Kind), "-", " "), text}
	}
	if len(rows) > 0 {
		b.WriteByte('\n')
		writeTable(b, []column{{"WHEN", false}, {"EVENT", false}, {"", false}}, rows)
	}
}

// drawSwarms draws the torrents with the most peers.
func (t *topView) drawSwarms(b *strings.Builder) {
	rows := make([][]string, len(t.live.Top))
	for i, s := range t.live.Top {
		rows[i] = []string{s.InfoHash, count(uint64(s.Seeders)), count(uint64(s.Leechers)), count(s.Downloaded)}
	}
	if len(rows) > 0 {
		b.WriteByte('\n')
		writeTable(b, []column{{"LARGEST SWARMS", false}, {"SEEDERS", true}, {"LEECHERS", true}, {"DOWNLOADED", true}}, rows)
	}
}
