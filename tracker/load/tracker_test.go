package load

import (
	"context"
	"fmt"
	"net/url"
	"testing"
	"time"

	"starling/tracker"
	"starling/wire"
)

// serveTracker runs a real tracker on loopback and returns its announce URLs.
func serveTracker(tb testing.TB) (http, udp *url.URL) {
	store := tracker.New(tracker.Config{}, time.Now())
	ctx, cancel := context.WithCancel(context.Background())
	tb.Cleanup(cancel)
	lns, err := tracker.ListenHTTP("127.0.0.1:0", 1)
	if err != nil {
		tb.Fatal(err)
	}
	conns, err := tracker.ListenUDP("127.0.0.1:0", 1)
	if err != nil {
		tb.Fatal(err)
	}
	go tracker.NewHTTP(store, tracker.HTTPConfig{}).Serve(ctx, lns[0])
	go tracker.NewUDP(store, tracker.UDPConfig{}).Serve(ctx, conns[0])
	return &url.URL{Scheme: "http", Host: lns[0].Addr().String(), Path: "/announce"},
		&url.URL{Scheme: "udp", Host: conns[0].LocalAddr().String(), Path: "/announce"}
}

// A tracker that starts anew does not know the connection ids it gave before: they are asked for again, not used for a minute.
func TestANewConnectionIDAfterSilence(t *testing.T) {
	soon(t, func(timeout time.Duration) (wrong string) {
		ids := uint64(0)
		target := answerUDP(t, func(h wire.UDPHeader) []byte {
			switch {
			case h.Action == wire.ActionConnect:
				ids++
				return wire.AppendUDPConnectReply(nil, h.TransactionID, ids)
			case h.ConnectionID < 4: // the id of the probe, and of both workers
				return nil
			case h.Action == wire.ActionScrape:
				return wire.AppendUDPScrapeEntry(wire.AppendUDPScrapeReply(nil, h.TransactionID), 0, 0, 0)
			}
			return wire.AppendUDPAnnounceReply(nil, h.TransactionID, 1800, 0, 0)
		})
		r, err := Run(t.Context(), Config{Target: target, Duration: 8 * timeout, Peers: 30, InFlight: 2 * window, Timeout: timeout})
		if err != nil || r.Right == 0 || len(r.Errors) != 1 || len(r.Wrong) != 0 {
			wrong = fmt.Sprintf("%+v, %v", summary(r), err)
		}
		return wrong
	})
}

// Every answer of Starling's own servers is right.
func TestAgainstStarling(t *testing.T) {
	http, udp := serveTracker(t)
	for _, target := range []*url.URL{http, udp} {
		r := patiently(t, target)
		if r.Right == 0 || len(r.Wrong) != 0 || len(r.Errors) != 0 {
			t.Errorf("%s: %+v", target, summary(r))
		}
	}
}
