package load

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

// A tracker that stops for a while holds up the requests that were to be made meanwhile: in an open loop they are all late, and said to be.
func TestLatencyCountsFromWhenARequestWasDue(t *testing.T) {
	const stall = 400 * time.Millisecond
	tracker := &fakeTracker{}
	var n atomic.Int32
	target := serveHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) == 20 {
			tracker.mu.Lock()
			time.AfterFunc(stall, tracker.mu.Unlock)
		}
		tracker.ServeHTTP(w, r)
	}))
	cfg := Config{Target: target, Duration: time.Second, Torrents: 3, Peers: 50, InFlight: 2, Rate: 500, Timeout: long}
	r, err := Run(t.Context(), cfg)
	for err == nil && r.Right < 300 && cfg.Duration < time.Minute { // a busy machine
		n.Store(0)
		cfg.Duration *= 2
		r, err = Run(t.Context(), cfg)
	}
	if err != nil || r.Right < 300 || len(r.Wrong) != 0 || len(r.Errors) != 0 {
		t.Fatalf("%+v, %v", summary(r), err)
	}
	// 200 requests were due during the stall, a median one in the middle of it. Of two connections only two requests could have been slow.
	if late := r.Latency.Quantile(1 - 100/float64(r.Right)); late < stall/4 {
		t.Errorf("the hundredth slowest of %d answers took %v, want a good part of %v", r.Right, late, stall)
	}
}

func TestOpenLoopKeepsItsRate(t *testing.T) {
	http, udp := serveTracker(t)
	for _, cfg := range []Config{{Target: http}, {Target: udp}, {Target: http, Fresh: true, Sources: 3}, {Target: udp, Sources: 3}} {
		cfg.Duration, cfg.Peers, cfg.Rate, cfg.Timeout = time.Second, 3000, 300, long
		cfg.InFlight = 90 // no more than a socket holds, when a busy machine makes up for a second at once
		began := time.Now()
		r, err := Run(t.Context(), cfg)
		took := time.Since(began).Seconds()
		for err == nil && r.Right < 150 && cfg.Duration < time.Minute { // a machine too busy for half of it
			cfg.Duration *= 2
			began = time.Now()
			r, err = Run(t.Context(), cfg)
			took = time.Since(began).Seconds()
		}
		if err != nil || len(r.Wrong) != 0 || len(r.Errors) != 0 || float64(r.Right) > 300*took+2 || r.Right < 150 {
			t.Errorf("%s in %.1f s: %+v, %v", cfg.Target, took, summary(r), err)
		}
	}
}

func TestFillingIn(t *testing.T) {
	http, udp := serveTracker(t)
	for _, cfg := range []Config{{Target: http}, {Target: udp, Sources: 8}, {Target: http, Fresh: true, Sources: 2, InFlight: 7}} {
		cfg.Peers, cfg.Torrents, cfg.Fill, cfg.Timeout = 2000, 40, true, long
		r, err := atLeast(1, func(length time.Duration) (*Report, error) {
			cfg.Duration = length
			return Run(t.Context(), cfg)
		})
		if err != nil || r.Right == 0 || len(r.Wrong) != 0 || len(r.Errors) != 0 || r.Filled == 0 {
			t.Errorf("%s: %+v, %v", cfg.Target, summary(r), err)
		}
	}
}

// What was announced in one run, over whichever protocol, is known in the next.
func TestSeveralRunsOfOneWorld(t *testing.T) {
	http, udp := serveTracker(t)
	cfg := Config{Target: udp, Torrents: 10, Peers: 500, Sources: 2, Timeout: long}
	world, err := NewWorld(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	for i, cfg := range []Config{{Target: udp, Fill: true}, {Target: http}, {Target: http, Fresh: true, InFlight: 5}, {Target: udp, Rate: 200}} {
		cfg.Timeout = long
		r, err := atLeast(1, func(length time.Duration) (*Report, error) {
			cfg.Duration = length
			return world.Run(t.Context(), cfg)
		})
		if err != nil || r.Right == 0 || len(r.Wrong) != 0 || len(r.Errors) != 0 {
			t.Errorf("run %d: %+v, %v", i, summary(r), err)
		}
	}
}
