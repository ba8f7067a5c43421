package main

import (
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"starling/tracker"
	"starling/wire"
)

// TestMemoryPressureIsSaid fills a budget and empties it again: each change is said once, in the log, among the events and in the status.
func TestMemoryPressureIsSaid(t *testing.T) {
	var log strings.Builder
	now := time.Now()
	n := &node{cfg: &config{memoryLimit: leastMemory}, log: zerolog.New(&log), budget: tracker.NewBudget(1 << 20)}
	store := tracker.New(tracker.Config{Shards: 1, Budget: n.budget}, now)
	last := tracker.Calm
	for i := range 40_000 {
		h := wire.InfoHash{byte(i >> 9), byte(i >> 1)} // each is told of twice
		store.Apply(now, wire.Record{InfoHash: h, Peer: wire.PeerFrom4([]byte{10, 0, byte(i >> 8), byte(i), 1, 1})})
		last = n.tellPressure(now, last)
	}
	full := n.memoryStatus(new(store.Stats()))
	if full.Pressure != "full" || full.Refused["new_torrent"] == 0 || !strings.Contains(full.trouble(), "memory is full") {
		t.Errorf("the status is %+v", full)
	}
	store.Expire(now.Add(2 * tracker.DefaultPeerTimeout))
	store.Expire(now.Add(3 * tracker.DefaultPeerTimeout))
	n.tellPressure(now, n.tellPressure(now, last))
	for text, times := range map[string]int{"memory is tight": 1, "memory is full": 1, "memory is calm": 1} {
		if got := strings.Count(log.String(), text); got != times {
			t.Errorf("%q is said %d times:\n%s", text, got, &log)
		}
	}
	if events := n.events.recent(10); len(events) != 3 || events[0].Kind != eventMemory {
		t.Errorf("the events are %+v", events)
	}
}

// TestCollectorTarget: a small heap may double, a large one grows by an eighth.
func TestCollectorTarget(t *testing.T) {
	for live, want := range map[uint64]int64{0: 100, 1 << 20: 100, 16 << 20: 100, 64 << 20: 25, 128 << 20: 12, 8 << 30: 12} {
		if got := targetOf(live); got != want {
			t.Errorf("%d bytes are live: target %d %%, not %d", live, got, want)
		}
	}
}

// TestMemoryParts: whatever the limit, most of it is for the swarms, and enough for the rest.
func TestMemoryParts(t *testing.T) {
	for _, limit := range []int64{leastMemory, 512 << 20, 64 << 30} {
		c := config{memoryLimit: limit}
		swarms := c.storeBudget().Status().Bytes
		if rest := limit - swarms; rest < memoryOthers+memoryProgram/2 || swarms < limit/4 {
			t.Errorf("of %d bytes the swarms get %d", limit, swarms)
		}
		if n := c.maxConnections(); n < 256 || n > tracker.DefaultMaxConnections {
			t.Errorf("with %d bytes there may be %d connections", limit, n)
		}
	}
	if c := new(config); c.storeBudget() != nil || c.maxConnections() != 0 {
		t.Error("there is a bound without a limit")
	}
}
