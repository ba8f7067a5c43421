package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// a node with two others, one of them silent for a while.
func exampleStatus() status {
	return status{
		TrackerID: "7f3a91c2", Version: "v1.2.3", Uptime: 7325, Ready: true,
		Torrents: 1234567, Peers: familyCounts{10, 2}, Seeders: 4,
		Announces: protocolCounts{120, 4000}, Scrapes: protocolCounts{1, 2},
		Livesync: livesyncStatus{
			Group: "224.0.42.5:9696", Interface: "eth0", Address: "10.0.0.1:40123", Mode: "plain", State: "idle",
			Sent: trafficStatus{Packets: 9, Records: 300},
		},
		Memory:    memoryStatus{Limit: 512 << 20, Resident: 412_000_000, Swarms: 20 << 20, SwarmsAtMost: 416 << 20, Pressure: "calm"},
		InSyncWhy: "only nodes with a cluster key can tell",
		Nodes: []nodeStatus{
			{ID: "01020304", Address: "10.0.0.2:9696", LastHeard: 0.8, Torrents: 3, Packets: 8, Records: 290, Dialect: "seed"},
			{ID: "a1b2c3d4", Address: "192.168.200.101:40000", LastHeard: 90000, Torrents: 3000000, Packets: 1800, Records: 93600},
		},
	}
}

func TestStatusTable(t *testing.T) {
	s := exampleStatus()
	const want = `Node 7f3a91c2, ready, up 2h2m

   torrents   1,234,567
   peers      10 IPv4, 2 IPv6; 4 of them seeders
   announces  120 over HTTP, 4,000 over UDP
   scrapes    1 over HTTP, 2 over UDP
   memory     392 MiB of 512 MiB, calm; swarms 20 MiB of 416 MiB
   live sync  plain, idle, group 224.0.42.5:9696 on eth0
   in sync    not known: only nodes with a cluster key can tell
   version    v1.2.3

NODE      ADDRESS                 HEARD   TORRENTS  PACKETS  RECORDS  LOST  DIALECT
7f3a91c2  10.0.0.1:40123         itself  1,234,567        9      300     -
01020304  10.0.0.2:9696            0.8s          3        8      290     0  seed
a1b2c3d4  192.168.200.101:40000    1d1h  3,000,000    1,800   93,600     0
`
	if got := s.table(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// TestKeyedStatusTable: one node that differs, one that has just been met, one that fell silent, one that ended, one without a key.
func TestKeyedStatusTable(t *testing.T) {
	s := exampleStatus()
	no := false
	s.InSync, s.InSyncWhy = &no, "01020304 and this node hold 5,300 peers differently"
	s.Livesync.Mode = "keyed"
	s.Peers = familyCounts{1000000, 20}
	s.Nodes = []nodeStatus{
		{ID: "01020304", Address: "10.0.0.2:9696", LastHeard: 0.8, Mode: "keyed", Peers: 994700, Records: 1290300, Lost: 3, Repaired: 1204, Lag: 0.0007,
			Health: "healthy", Divergence: &divergenceStatus{Peers: 5300, Share: 0.0053, Bound: 5064}},
		{ID: "05060708", Address: "10.0.0.3:9696", LastHeard: 0.1, Mode: "keyed", Records: 1, Lag: -12, Health: "catching up"},
		{ID: "090a0b0c", Address: "10.0.0.4:9696", LastHeard: 11, Mode: "keyed", Peers: 9, Health: "healthy"},
		{ID: "0d0e0f10", Address: "10.0.0.5:9696", LastHeard: 42, Mode: "keyed", Peers: 9, Health: "draining"},
		{ID: "a1b2c3d4", Address: "192.168.200.101:40000", LastHeard: 90, Mode: "plain", Records: 93600},
	}
	const want = `
   in sync    NO: 01020304 and this node hold 5,300 peers differently
   version    v1.2.3

NODE      ADDRESS           HEARD      PEERS  LOST  REPAIRED   LAG  DIFFERS  IS
7f3a91c2  10.0.0.1         itself  1,000,020     -         -     -        -
01020304  10.0.0.2           0.8s    994,700     3     1,204   1ms    5,300  healthy
05060708  10.0.0.3           0.1s          0     0         0  -12s        -  catching up
090a0b0c  10.0.0.4            11s          9     0         0   0ms        -  silent
0d0e0f10  10.0.0.5            42s          9     0         0   0ms        -  ended
a1b2c3d4  192.168.200.101   1m30s          -     0         0     -        -  without key
`
	if got := s.table(); !strings.HasSuffix(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	yes := true
	if s.InSync = &yes; !strings.Contains(s.table(), "\n   in sync    yes\n") {
		t.Error("a cluster in sync is not said to be")
	}
}

func TestCatchingUpLine(t *testing.T) {
	for want, c := range map[string]*catchUpStatus{
		"310,000 of 1,000,000 peers from 01020304": {Running: true, From: "01020304", Peers: 310000, Expected: 1000000},
		"failed 2 times, tried again":              {Failed: 2},
		"looking for a node to ask":                {},
		"":                                         {Ready: true},
	} {
		s := exampleStatus()
		s.Livesync.CatchUp = c
		if got := s.table(); want == "" && strings.Contains(got, "catching up") || !strings.Contains(got, want) {
			t.Errorf("%+v: got:\n%s", c, got)
		}
	}
}

func TestTroubles(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*status)
		want   string
	}{
		"none":     {func(s *status) { s.Livesync.Dropped.OwnID = 9 }, ""},
		"dropped":  {func(s *status) { s.Livesync.Dropped.Source, s.Livesync.Dropped.Queue = 3, 1000 }, "dropped: 3 source, 1,000 queue"},
		"doctor":   {func(s *status) { s.Livesync.Dropped.Type = 20 }, ""},
		"newer":    {func(s *status) { s.Livesync.Dropped.Type = 21 }, "dropped: 21 type (a node with a key, or a newer one?)"},
		"keys":     {func(s *status) { s.Livesync.Dropped.Auth, s.Livesync.Dropped.Plain = 9, 2 }, "dropped: 9 auth (another key), 2 plain (no key)"},
		"trouble":  {func(s *status) { s.Livesync.Trouble = "eth0 is down"; s.Nodes = nil }, "eth0 is down"},
		"conflict": {func(s *status) { s.Livesync.Conflict = "10.0.0.9 has our id" }, "10.0.0.9 has our id"},
		"withheld": {func(s *status) { s.Livesync.Withheld = "an opentracker of 2010" }, "an opentracker of 2010"},
		"silent":   {func(s *status) { s.Nodes = s.Nodes[1:]; s.Nodes[0].LastHeard = 61 }, "heard no node for 1m1s; "},
		"alone":    {func(s *status) { s.Nodes = nil }, "heard no node yet; "},
		"young":    {func(s *status) { s.Nodes = nil; s.Uptime = 3 }, ""},
		"off":      {func(s *status) { s.Nodes = nil; s.Livesync.Mode = "off" }, ""},
	} {
		s := exampleStatus()
		tt.change(&s)
		got := strings.Join(s.troubles(), "|")
		if tt.want == "" && got != "" || !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
		if got != "" && !strings.Contains(s.table(), "\n   ! "+got+"\n") {
			t.Errorf("%s: not in the table", name)
		}
	}
}

func TestAge(t *testing.T) {
	for s, want := range map[float64]string{0: "0.0s", 0.84: "0.8s", 9.9: "9.9s", 10: "10s", 59.9: "59s", 60: "1m0s", 3599: "59m59s", 3600: "1h0m", 86400: "1d0h"} {
		if got := age(s); got != want {
			t.Errorf("%v: got %s, want %s", s, got, want)
		}
	}
}

func TestAdminAddress(t *testing.T) {
	for in, want := range map[string]string{
		"127.0.0.1:6970": "127.0.0.1:6970", ":6970": "127.0.0.1:6970", "0.0.0.0:1": "127.0.0.1:1", "[::]:1": "127.0.0.1:1",
		"localhost:1": "localhost:1", "[fd00::1]:1": "[fd00::1]:1",
	} {
		if got, err := adminAddress(in); got != want || err != nil {
			t.Errorf("%s: got %s, %v, want %s", in, got, err, want)
		}
	}
}

// TestStatusCommand asks servers that are a node, something else, and nothing.
func TestStatusCommand(t *testing.T) {
	n := testNode(t, nil)
	node := httptest.NewServer(n.guard.protect(n.adminMux()))
	defer node.Close()
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) }))
	defer page.Close()
	gone := httptest.NewServer(nil)
	gone.Close()

	show := func(s *httptest.Server, flags ...string) result {
		return inTime(t, append([]string{"status", "--admin", s.Listener.Addr().String()}, flags...)...)
	}
	if r := show(node); r.code != exitOK || !strings.HasPrefix(r.stdout, "Node "+n.livesync.Status().ID.String()) || r.stderr != "" {
		t.Errorf("node: %+v", r)
	}
	if r := show(node, "--json"); r.code != exitOK || !strings.HasPrefix(r.stdout, `{"tracker_id":"`) || !strings.HasSuffix(r.stdout, "}\n") {
		t.Errorf("node, JSON: %+v", r)
	}
	for name, s := range map[string]*httptest.Server{"another server": other, "a page": page, "nothing": gone} {
		if r := show(s); r.code != exitFailure || strings.Count(r.stderr, "\n") != 1 || !strings.Contains(r.stderr, s.Listener.Addr().String()) {
			t.Errorf("%s: %+v", name, r)
		}
	}
}
