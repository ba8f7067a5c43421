package load

import (
	"context"
	"net/url"
	"testing"
	"time"

	"starling/tracker"
)

// serveTracker runs a real tracker on loopback and returns its announce URLs.
func serveTracker(tb testing.TB) (http, udp *url.URL) {
	store := tracker.New(tracker.Config{}, time.Now())
	ctx, cancel := context.WithCancel(context.Background())
	tb.Cleanup(cancel)
	ln, err := tracker.ListenHTTP("127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	conn, err := tracker.ListenUDP("127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	go tracker.NewHTTP(store, tracker.HTTPConfig{}).Serve(ctx, ln)
	go tracker.NewUDP(store, tracker.UDPConfig{}).Serve(ctx, conn)
	return &url.URL{Scheme: "http", Host: ln.Addr().String(), Path: "/announce"},
		&url.URL{Scheme: "udp", Host: conn.LocalAddr().String(), Path: "/announce"}
}

// Every answer of Starling's own servers is right.
func TestAgainstStarling(t *testing.T) {
	http, udp := serveTracker(t)
	for _, target := range []*url.URL{http, udp} {
		r := shortly(t, target, long)
		if r.Right == 0 || len(r.Wrong) != 0 || len(r.Errors) != 0 {
			t.Errorf("%s: %+v", target, summary(r))
		}
	}
}
