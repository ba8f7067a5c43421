package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"testing"
	"time"

	"starling/tracker"
	"starling/tracker/client"
	"starling/wire"
)

// serveTracker runs a real tracker on loopback and returns its announce URLs by protocol and family.
func serveTracker(t *testing.T) map[string]*url.URL {
	store := tracker.New(tracker.Config{}, time.Now())
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	targets := map[string]*url.URL{}
	for family, host := range map[string]string{"ipv4": "127.0.0.1:0", "ipv6": "[::1]:0"} {
		if probe, err := net.Listen("tcp", host); err != nil {
			t.Logf("no %s here: %v", family, err)
			continue
		} else {
			probe.Close()
		}
		lns, err := tracker.ListenHTTP(host, 1)
		if err != nil {
			t.Fatal(err)
		}
		conns, err := tracker.ListenUDP(host, 1)
		if err != nil {
			t.Fatal(err)
		}
		go tracker.NewHTTP(store, tracker.HTTPConfig{}).Serve(ctx, lns[0])
		go tracker.NewUDP(store, tracker.UDPConfig{}).Serve(ctx, conns[0])
		targets["http "+family] = mustParse(t, "http://"+lns[0].Addr().String())
		targets["udp "+family] = mustParse(t, "udp://"+conns[0].LocalAddr().String())
	}
	return targets
}

func mustParse(t *testing.T, s string) *url.URL {
	u, err := client.ParseURL(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// Starling's own servers are trackers like others: a seeder announced over each protocol is handed to a leecher over the same.
func TestAgainstStarling(t *testing.T) {
	c := client.Client{FirstWait: 2 * time.Second, Tries: 3}
	n := uint16(0)
	for name, u := range serveTracker(t) {
		n++
		hash := wire.InfoHash{0: byte(n), 19: ' '}
		if _, err := c.Announce(t.Context(), u, &client.Announce{InfoHash: hash, Port: 2000 + n, Event: wire.EventStarted, NumWant: -1}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		a, err := c.Announce(t.Context(), u, &client.Announce{InfoHash: hash, Port: 3000 + n, Left: 5, NumWant: -1})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		host, _ := netip.ParseAddr(u.Hostname())
		want := fmt.Sprint([]client.Peer{{IP: host, Port: 2000 + n}})
		if fmt.Sprint(a.Peers) != want || *a.Complete != 1 || *a.Incomplete != 1 || a.Interval < 60 {
			t.Errorf("%s: %+v, want the peers %s", name, a, want)
		}
		s, err := c.Scrape(t.Context(), u, []wire.InfoHash{hash, {19: 99}})
		if err != nil || s.Files[hash].Complete != 1 || s.Files[hash].Incomplete != 1 {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
	}
}

func TestStarlingsRefusals(t *testing.T) {
	c := client.Client{FirstWait: 2 * time.Second, Tries: 3}
	for name, u := range serveTracker(t) {
		_, err := c.Announce(t.Context(), u, &client.Announce{Port: 0})
		var fe *client.FailureError
		if !errors.As(err, &fe) {
			t.Errorf("%s, port 0: %v, want a FailureError", name, err)
		}
	}
}
