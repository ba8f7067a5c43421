package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"starling/tracker"
	"starling/tracker/client"
	"starling/wire"
)

const someHash = "0123456789abcdef0123456789abcdef01234567"

// outcome runs the program in this process to its end.
func outcome(t *testing.T, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), append([]string{"starling"}, args...), nil, &stdout, &stderr)
	return result{code, stdout.String(), stderr.String()}
}

// serveTracker runs a tracker on loopback and returns its URLs, http and udp.
func serveTracker(t *testing.T) []string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	store := tracker.New(tracker.Config{}, time.Now())
	lns, err := tracker.ListenHTTP("127.0.0.1:0", 1)
	if err != nil {
		t.Fatal(err)
	}
	conns, err := tracker.ListenUDP("127.0.0.1:0", 1)
	if err != nil {
		t.Fatal(err)
	}
	go tracker.NewHTTP(store, tracker.HTTPConfig{}).Serve(ctx, lns[0])
	go tracker.NewUDP(store, tracker.UDPConfig{}).Serve(ctx, conns[0])
	return []string{"http://" + lns[0].Addr().String() + "/announce", "udp://" + conns[0].LocalAddr().String()}
}

func TestAnnounceAndScrape(t *testing.T) {
	for i, url := range serveTracker(t) {
		hash := fmt.Sprintf("%040x", 0xabcd00+i)
		if r := outcome(t, "announce", url, "--info-hash", hash, "--event", "started", "--left", "0", "--port", "1001"); r.code != exitOK || r.stderr != "" {
			t.Fatalf("%s: %+v", url, r)
		}
		r := outcome(t, "announce", url, "--info-hash", hash, "--json")
		var got client.AnnounceReply
		if err := json.Unmarshal([]byte(r.stdout), &got); err != nil || r.code != exitOK {
			t.Fatalf("%s: %+v, %v", url, r, err)
		}
		peer := client.Peer{IP: netip.MustParseAddr("127.0.0.1"), Port: 1001}
		if *got.Complete != 1 || *got.Incomplete != 1 || !reflect.DeepEqual(got.Peers, []client.Peer{peer}) {
			t.Errorf("%s: %s", url, r.stdout)
		}
		r = outcome(t, "scrape", url, hash, "--json")
		if want := `{"files":{"` + hash + `":{"complete":1,"incomplete":1,"downloaded":0,"downloaders":`; !strings.HasPrefix(r.stdout, want) {
			t.Errorf("%s: %s, want %s...", url, r.stdout, want)
		}
		r = outcome(t, "scrape", url, hash)
		if !strings.Contains(r.stdout, hash+"            1            1            0\n") {
			t.Errorf("%s: %s", url, r.stdout)
		}
	}
}

func TestAnnounceArguments(t *testing.T) {
	const url = "udp://127.0.0.1:6969"
	for _, test := range []struct {
		args  string
		words []string
	}{
		{"announce", []string{"announce:", "URL"}},
		{"announce " + url, []string{"--info-hash", "missing"}},
		{"announce " + url + " --info-hash 12", []string{"--info-hash", `"12"`}},
		{"announce " + url + " --info-hash " + someHash + " " + url, []string{"one URL"}},
		{"announce ftp://127.0.0.1 --info-hash " + someHash, []string{"ftp", "udp"}},
		{"announce udp://127.0.0.1 --info-hash " + someHash, []string{"no port"}},
		{"announce " + url + " --info-hash " + someHash + " --event begun", []string{"--event", `"begun"`}},
		{"announce " + url + " --info-hash " + someHash + " --port 0", []string{"--port", "65535"}},
		{"announce " + url + " --info-hash " + someHash + " --left -1", []string{"--left", `"-1"`}},
		{"announce " + url + " --info-hash " + someHash + " --numwant -2", []string{"--numwant"}},
		{"announce " + url + " --info-hash " + someHash + " --ip here", []string{"--ip", `"here"`}},
		{"announce " + url + " --info-hash " + someHash + " --ip fd00::1", []string{"--ip", "IPv6"}},
		{"announce " + url + " --info-hash " + someHash + " --timeout 0s", []string{"--timeout"}},
		{"announce " + url + " --info-hash " + someHash + " --peers 7", []string{"--peers", "announce --help"}},
		{"scrape", []string{"scrape:", "URL"}},
		{"scrape " + url, []string{"0 info hashes"}},
		{"scrape " + url + strings.Repeat(" "+someHash, 75), []string{"75 info hashes", "74"}},
		{"scrape " + url + " xyz", []string{`"xyz"`}},
		{"load", []string{"load:", "tracker"}},
		{"load http://127.0.0.1/", []string{"port"}},
		{"load https://127.0.0.1:443/", []string{"http or udp"}},
		{"load " + url + " --peers 0", []string{"--peers"}},
		{"load " + url + " --torrents 1 --peers 100000", []string{"100000"}},
		{"load " + url + " --duration 0s", []string{"--duration"}},
		{"dump here", []string{`"here"`}},
		{"dump --livesync-interface none", []string{"--livesync-interface"}},
		{"dump --livesync-interface nosuch0", []string{"--livesync-interface", "nosuch0"}},
		{"dump --livesync-interface lo --livesync-group 127.0.0.1:1", []string{"--livesync-group", "127.0.0.1"}},
	} {
		r := outcome(t, strings.Fields(test.args)...)
		r.wantUsageError(t, test.words...)
	}
}

// A tracker that fails or refuses is exit code 1 and one line that says what was attempted.
func TestTrackerFailures(t *testing.T) {
	nobody, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer nobody.Close()
	url := "udp://" + nobody.LocalAddr().String()
	http := serveTracker(t)[0]
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"announce", url, "--info-hash", someHash, "--timeout", "70ms"}, "starling: announce to " + url + "/announce: no answer in"},
		{[]string{"scrape", url, someHash, "--timeout", "70ms"}, "starling: scrape of " + url + "/announce: no answer in"},
		{[]string{"announce", http + "?port=0", "--info-hash", someHash}, "starling: announce to " + http + "?port=0: the tracker refuses: \"port: "},
		{[]string{"scrape", http + "x", someHash}, "starling: scrape of " + http + "x: the tracker answers with status \"404"},
		{[]string{"load", "http://127.0.0.1:1", "--duration", "1s"}, "starling: load: http://127.0.0.1:1/announce cannot be reached: "},
	} {
		r := outcome(t, test.args...)
		if r.code != exitFailure || !strings.HasPrefix(r.stderr, test.want) || strings.Count(r.stderr, "\n") != 1 || r.stdout != "" {
			t.Errorf("%v: %+v, want %q", test.args, r, test.want)
		}
	}
}

func TestLoad(t *testing.T) {
	for _, url := range serveTracker(t) {
		r := outcome(t, "load", url, "--duration", "100ms", "--torrents", "5", "--peers", "50", "--in-flight", "5")
		// A machine that stands still for that long answers nothing within it.
		for d := time.Second; d < patience && strings.HasSuffix(r.stderr, "answered nothing\n"); d *= 3 {
			r = outcome(t, "load", url, "--duration", d.String(), "--torrents", "5", "--peers", "50", "--in-flight", "5")
		}
		if r.code != exitOK || !strings.Contains(r.stdout, "wrong answers                0\n") || !strings.Contains(r.stdout, "p99.9") {
			t.Errorf("%s: %+v", url, r)
		}
	}
}

func TestAnnounceText(t *testing.T) {
	three, four := uint64(3), uint64(4)
	full := &client.AnnounceReply{
		Interval: 1752, MinInterval: 900, Complete: &three, Incomplete: &four, Downloaded: &four, Warning: "slow\ndown",
		ExternalIP: netip.MustParseAddr("192.0.2.1"),
		Peers:      []client.Peer{{IP: netip.MustParseAddr("192.0.2.7"), Port: 6881}, {IP: netip.MustParseAddr("2001:db8::7"), Port: 1}},
	}
	want := `warning       "slow\ndown"
seeders       3
leechers      4
downloaded    4
announce in   29 minutes 12 seconds
not before    15 minutes
seen as       192.0.2.1
peers         2
   192.0.2.7:6881
   [2001:db8::7]:1
`
	if got := announceText(full); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if got, want := announceText(&client.AnnounceReply{Interval: 1}), "announce in   1 second\npeers         none\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestInWords(t *testing.T) {
	for seconds, want := range map[uint32]string{
		0: "0 seconds", 1: "1 second", 60: "1 minute", 61: "1 minute 1 second", 1800: "30 minutes", 3600: "1 hour",
		3661: "1 hour 1 minute", 86400 + 7200 + 59: "1 day 2 hours", 4294967295: "49710 days 6 hours",
	} {
		if got := inWords(seconds); got != want {
			t.Errorf("%d: %q, want %q", seconds, got, want)
		}
	}
}

func TestScrapeText(t *testing.T) {
	a, b := wire.InfoHash{1}, wire.InfoHash{2}
	two := uint64(2)
	got := scrapeText(&client.ScrapeReply{Files: map[wire.InfoHash]client.ScrapeFile{a: {Complete: 1, Incomplete: 5, Downloaded: 7, Downloaders: &two}}}, []wire.InfoHash{a, b})
	want := `info hash                                     seeders     leechers   downloaded
0100000000000000000000000000000000000000            1            5            7   3 leechers want no more
0200000000000000000000000000000000000000   not known to the tracker
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
