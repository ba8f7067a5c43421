package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// TestPacingPicture holds the picture of a known moment against testdata/pacing.txt; -update writes it anew.
func TestPacingPicture(t *testing.T) {
	seconds := make([]int64, 60)
	for i := range seconds {
		seconds[i] = int64(i * 50)
	}
	leaf := func(name string, depth int, rate, ceil, actual, borrowed int64, q *queueStatus) classStatus {
		return classStatus{Name: name, Depth: depth, Rate: rate, Ceil: ceil, Actual: actual, Borrowed: borrowed, Queue: q}
	}
	s := status{TrackerID: "7f3a91c2", Pacing: pacingStatus{
		Role: "active", Rate: 3_000_000, Limit: 5_000_000, Bandwidth: 4_500_000, AnnounceRate: 2000, Sharing: "fair", Waiting: 1200,
		Uplink: &uplinkStatus{Total: 9_000_000, Share: 3_000_000, Grows: 42, Members: []memberStatus{{ID: "7f3a91c2"}, {ID: "01020304"}, {ID: "05060708", Down: true}}},
		Steps:  map[string]uint64{"serve": 12345, "short": 67, "bare": 8, "redirect": 0}, Seconds: seconds, Calendar: &calendarStatus{9000, 16000},
		Jail: &jailStatus{Held: map[string]int{"early": 2, "rate": 1}, Clients: []heldStatus{{Network: "192.0.2.1/32", Reason: "early", Left: 290}}},
		Siblings: []siblingStatus{
			{URL: "http://10.0.0.2:6969/announce", Up: true, Room: true, Chosen: 77}, {URL: "http://10.0.0.3:6969/announce", Up: true},
			{URL: "http://10.0.0.4:6969/announce", Trouble: "connection refused"},
		},
		Trees: []treeStatus{{Name: "bytes", Unit: "bytes", Classes: []classStatus{
			{Name: "bytes", Rate: 3_000_000, Ceil: 3_000_000, Actual: 2_900_000, Lent: 123_456},
			{Name: "wan", Depth: 1, Rate: 2_400_000, Ceil: 3_000_000, Actual: 2_880_000},
			leaf("event", 2, 900_000, 3_000_000, 450_000, 0, &queueStatus{Scheduler: "drr", Waiting: 3, Longest: 0.18, Expired: 4, Dropped: 5}),
			leaf("regular", 2, 1_050_000, 3_000_000, 2_430_000, 123_456, &queueStatus{Scheduler: "lifo", Longest: 1.2}),
			{Name: "lan", Depth: 1, Rate: 600_000, Ceil: 3_000_000, Actual: 20_000},
			leaf("live", 2, 72_000, 1_800_000, 20_000, 0, nil),
		}}, {Name: "requests", Unit: "requests", Classes: []classStatus{
			{Name: "requests", Rate: 2000, Ceil: 2000, Actual: 1}, leaf("event", 1, 600, 2000, 1, 0, &queueStatus{Scheduler: "fifo"}),
		}}},
	}}
	got := s.drawPacing()
	const path = "testdata/pacing.txt"
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || got != string(want) {
		t.Errorf("%v; got\n%s", err, got)
	}
}

// drawsOnce runs a command that draws a node again and again: once, since a buffer is no terminal, and without a terminal's codes.
func drawsOnce(t *testing.T, command, admin string, words ...string) {
	t.Helper()
	for _, args := range [][]string{{command}, {command, "--once"}} {
		r := inTime(t, append(args, "--admin", admin)...)
		for _, word := range words {
			if !strings.Contains(r.stdout, word) {
				t.Errorf("%q: no %q in\n%s", args, word, r.stdout)
			}
		}
		if r.code != exitOK || strings.Contains(r.stdout, "\x1b") {
			t.Errorf("%q: %+v", args, r)
		}
	}
}

// TestPacingCommand draws a running node, and says what is wrong when there is none.
func TestPacingCommand(t *testing.T) {
	s := serve(t, "--livesync-interface", "none", "--tracker-id", "7f3a91c2", "--rate", "10MB/s", "--livesync-rate", "1MB/s")
	announce(t, "http", s.HTTP[0], 6881)
	drawsOnce(t, "pacing", s.Admin, "Node 7f3a91c2, active", "10MB/s of answers", "\nBYTES ", "\n+- event ", "\nLIVESYNC ", "\n+- tell ", "WAITING")
	r := inTime(t, "pacing", "--json", "--admin", s.Admin)
	var p pacingStatus
	if err := json.Unmarshal([]byte(r.stdout), &p); r.code != exitOK || err != nil || p.Rate != 10_000_000 || len(p.Trees) != 2 {
		t.Errorf("%+v, %v", r, err)
	}
	inTime(t, "pacing", "--admin", "here").wantUsageError(t, "--admin", "here")
	if r := inTime(t, "pacing", "--admin", "127.0.0.1:1"); r.code != exitFailure || strings.Count(r.stderr, "\n") != 1 {
		t.Errorf("nobody there: %+v", r)
	}
	idle := serve(t, "--livesync-interface", "none")
	if r := inTime(t, "pacing", "--admin", idle.Admin); r.code != exitOK || !strings.Contains(r.stdout, "Nothing is paced") {
		t.Errorf("nothing paced: %+v", r)
	}
}

// TestPacingMetrics: each class and each step of the ladder is there, also before anything happened.
func TestPacingMetrics(t *testing.T) {
	n := testNode(t, map[string]setting{
		"rate": {"", []string{"10MB/s"}}, "announce-rate": {"", []string{"100/s"}}, "livesync-rate": {"", []string{"1MB/s"}},
		"uplink": {"", []string{"40MB/s"}}, "sibling": {"", []string{"http://b=http://b"}},
	})
	text := ask(n, "GET", "/metrics", "localhost").Body.String()
	for _, line := range []string{
		"starling_rate_bytes_per_second 10000000", `starling_uplink_bytes_per_second{of="node"} 10000000`, `starling_answers_total{step="short"} 0`,
		`starling_class_rate_bytes_per_second{tree="bytes",class="bytes"} 10000000`, `starling_class_rate_requests_per_second{tree="requests",class="event"} 30`,
		`starling_class_ceiling_bytes_per_second{tree="livesync",class="live"} 600000`, `starling_class_overrate_bytes_per_second{tree="bytes",class="jail"} 0`,
		`starling_queue_waiting{tree="requests",class="regular"} 0`, `starling_sibling_up{sibling="http://b/announce"} 0`,
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("no %s", line)
		}
	}
	if strings.Contains(text, `starling_queue_waiting{tree="livesync"`) || strings.Contains(text, `starling_queue_waiting{tree="bytes",class="bytes"`) {
		t.Error("a queue where there is none")
	}
}
