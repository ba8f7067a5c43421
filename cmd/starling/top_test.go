package main

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"starling/cmd/starling/dashboard"
	"starling/tracker/ondemand"
)

// someTop is a node with all there is to see.
func someTop() *topView {
	differs := uint64(5300)
	t := &topView{past: []int64{0, 10, 500, 597}, at: 1000}
	t.live = live{
		TrackerID: "7f3a91c2", Version: "v1.2.3", Uptime: 4000, Torrents: 300, Peers: familyCounts{10_421, 12},
		Verdicts: verdicts{
			verdict{moodGood, "Serving", "up 1h6m"}, verdict{moodBad, "Not in sync", "01020304 and this node hold 5300 peers differently"},
			verdict{moodWarn, "Pressed", "12 a second answered with less; 80% of 2 processors busy"},
		},
		Troubles: []string{"dropped: 3 auth (another key)"},
		Sample:   make([]float64, len(dashboard.Columns)+1),
		Views: []liveView{{ID: "7f3a91c2", Nodes: []liveLink{
			{ID: "01020304", Address: "10.0.0.3:9696", State: "heard", Health: "healthy", LastHeard: 0.4, Peers: 15_700, Lag: 0.003, Loss: 0.021, Differs: &differs},
			{ID: "05060708", Address: "10.0.0.4:9696", State: "silent", Health: "healthy", LastHeard: 42},
		}}},
		Pacing: &pacingStatus{Trees: []treeStatus{{Name: "requests", Unit: "requests", Classes: []classStatus{
			{Name: "requests", Rate: 2000, Ceil: 2000, Actual: 1500},
			{Name: "regular", Parent: "requests", Depth: 1, Rate: 1000, Ceil: 2000, Actual: 1400, Borrowed: 400},
		}}}},
		Directors: []directorStatus{{Entry: ondemand.Entry{Name: "films", Hostname: "films.example", Port: 6969}, Torrents: 12, Peers: familyCounts{300, 4},
			Livesync: ondemand.Sync{Group: "224.0.42.5:36212", State: "idle", Nodes: 2}}},
		Abuse: jailAnswer{Mode: "jail", Clients: []heldStatus{{Network: "192.0.2.7/32", Reason: "spray", Left: 290}}},
		Top:   []liveTorrent{{strings.Repeat("ab", 20), 100, 20, 7}},
	}
	t.live.Sample[1+dashboard.AnnouncesHTTP], t.live.Sample[1+dashboard.AnnouncesUDP] = 96, 501
	t.live.Sample[1+dashboard.UDPHalf], t.live.Sample[1+dashboard.UDPMost] = 0.02, 0.151
	t.events = []event{{Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local), Kind: eventLost, Count: 2, Text: "05060708 at 10.0.0.4 has fallen silent"}}
	return t
}

// TestTopLooks compares with what was looked at; go test -update writes it.
func TestTopLooks(t *testing.T) {
	got := someTop().draw(80, 0, false)
	const path = "testdata/top.txt"
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || got != string(want) {
		t.Errorf("%v; got\n%s", err, got)
	}
	for line := range strings.Lines(got) {
		if len(line) > 81 {
			t.Errorf("wider than 80 columns: %s", line)
		}
	}
}

// TestTopFits: whatever the size of the terminal, nothing is drawn beyond it, and a line is left for the cursor.
func TestTopFits(t *testing.T) {
	v := someTop()
	for range 500 {
		columns, lines := 1+rand.IntN(120), 1+rand.IntN(60)
		got := v.draw(columns, lines, true)
		for _, colour := range []string{paints[moodGood], paints[moodWarn], paints[moodBad], "\x1b[0m"} {
			got = strings.ReplaceAll(got, colour, "")
		}
		if strings.Contains(got, "\x1b") || strings.Count(got, "\n") >= max(lines, 2) {
			t.Fatalf("%dx%d: %q", columns, lines, got)
		}
		for line := range strings.Lines(got) {
			if len(line) > columns+1 {
				t.Fatalf("%dx%d: %q", columns, lines, line)
			}
		}
	}
}

// TestTopCommand looks at a running node: once where there is no terminal, as JSON, and says what is wrong when there is none.
func TestTopCommand(t *testing.T) {
	s := serve(t, "--livesync-interface", "none", "--tracker-id", "7f3a91c2")
	announce(t, "http", s.HTTP[0], 6881)
	drawsOnce(t, "top", s.Admin, "Node 7f3a91c2", "Serving", "Live sync is off", "1 IPv4", "No other node is heard", "started")
	r := inTime(t, "top", "--json", "--admin", s.Admin)
	var l live
	if err := json.Unmarshal([]byte(r.stdout), &l); r.code != exitOK || err != nil || l.TrackerID != "7f3a91c2" || l.Peers.IPv4 != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	inTime(t, "top", "--admin", "here").wantUsageError(t, "--admin", "here")
	if r := inTime(t, "top", "--admin", "127.0.0.1:1"); r.code != exitFailure || strings.Count(r.stderr, "\n") != 1 {
		t.Errorf("nobody there: %+v", r)
	}
}
