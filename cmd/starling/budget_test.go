package main

import (
	"math/rand/v2"
	"testing"
	"time"

	"starling/livesync"
)

// TestTellDebt: a tell is charged whole and drains at what its lane may have; until then no other is asked for, of whichever tracker.
// What did not come is given back. Without a rate nothing is owed.
func TestTellDebt(t *testing.T) {
	if n := testNode(t, map[string]setting{"rate": {"", []string{"1MB/s"}}}); n.tells != nil {
		t.Error("livesync has no rate, and a debt")
	}
	for name, rates := range map[string]map[string]setting{
		"own":      {"livesync-rate": {"", []string{"100KB/s"}}},
		"one root": {"rate": {"", []string{"100KB/s"}}, "one-root": {"", []string{"true"}}},
	} {
		n := testNode(t, rates)
		owe, settle := n.syncConfig(n.tracker).Owe, n.syncConfig(n.tracker).Settle
		now := n.started
		if wait := owe(now, 300_000); wait != 0 {
			t.Fatalf("%s: the first waits %v", name, wait)
		}
		if wait := n.syncConfig(n.tracker).Owe(now, 1); wait < 9*time.Second || wait > 11*time.Second {
			t.Errorf("%s: at 30 KB/s the next waits %v", name, wait)
		}
		settle(now, -150_000)
		if wait := owe(now, 1); wait < 4*time.Second || wait > 6*time.Second {
			t.Errorf("%s: half of it did not come, and the next waits %v", name, wait)
		}
		if wait := owe(now.Add(6*time.Second), 1); wait != 0 {
			t.Errorf("%s: it is paid off, and the next waits %v", name, wait)
		}
		if name == "one root" {
			owe(now.Add(7*time.Second), 1<<40)
			n.steering.setLimit(now, 10_000) // of which 3000 are for tells
			if wait := owe(now.Add(8*time.Second), 1); wait < 3000*24*time.Hour {
				t.Errorf("at 3 KB/s a terabyte takes %v", wait)
			}
		}
	}
	for rate, want := range map[int64]int64{0: 0, 1: 1, 1000: 300} {
		if got := lanCeil(rate, livesync.TellLane); got != want {
			t.Errorf("of %d tells may have %d, want %d", rate, got, want)
		}
	}
}

// TestLivesyncRate: a lane that has more to tell than it may sends as much as its class may have at most, whether livesync has a rate of its own or shares one, however late it asks again.
func TestLivesyncRate(t *testing.T) {
	const rate, packet, length = 1_000_000, 1000, 20 * time.Second
	for name, flags := range map[string]map[string]setting{
		"own":      {"livesync-rate": {"", []string{"1MB/s"}}},
		"one root": {"rate": {"", []string{"1MB/s"}}, "one-root": {"", []string{"true"}}},
	} {
		for _, lane := range []livesync.Lane{livesync.LiveLane, livesync.TellLane} {
			n := testNode(t, flags)
			budget, rng := n.syncConfig(n.tracker).Budget, rand.New(rand.NewPCG(1, 1))
			sent, now := 0, n.started
			for now.Sub(n.started) < length {
				if wait := budget(now, lane, packet); wait > 0 {
					now = now.Add(wait + time.Duration(rng.IntN(int(20*time.Millisecond))))
				} else {
					sent += packet
				}
			}
			got, ceil := float64(sent)/now.Sub(n.started).Seconds(), float64(lanCeil(rate, lane))
			if got > 1.05*ceil || got < 0.93*ceil {
				t.Errorf("%s: %s sends %.0f bytes a second, want %.0f", name, lane, got, ceil)
			}
		}
	}
}
