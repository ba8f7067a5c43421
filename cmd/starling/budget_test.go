package main

import (
	"testing"
	"time"

	"starling/livesync"
	"starling/wire"
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

// TestLivesyncRate announces far more than may be told, and measures on the group what leaves: neither more than the
// ceiling of live records nor much less, whether livesync has a rate of its own or shares one.
func TestLivesyncRate(t *testing.T) {
	for name, flags := range map[string][]string{
		"own": {"--livesync-rate", "50KB/s"},
		// The clients ask over UDP, which is charged for and does not wait: they leave livesync what is assured to it.
		"one root": {"--rate", "1MB/s", "--one-root"},
	} {
		t.Run(name, func(t *testing.T) {
			group := testGroup()
			conn, err := livesync.Listen(group, "lo")
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			type packet struct {
				at    time.Time
				bytes int
			}
			packets := make(chan packet, 10_000)
			go func() {
				defer close(packets)
				var b [wire.MaxPacket]byte
				for {
					n, _, _, err := conn.Read(b[:])
					if err != nil {
						return
					}
					packets <- packet{time.Now(), n}
				}
			}()
			s := serve(t, append(flags, "--livesync-interface", "lo", "--livesync-group", group.String(), "--livesync-node", "127.0.0.0/8")...)
			if r := inTime(t, "load", "udp://"+s.UDP[0]+"/announce", "--duration", "3s", "--torrents", "100", "--peers", "30000"); r.code != exitOK {
				t.Errorf("load: %+v", r)
			}
			st := nodeStatusOf(t, s.Admin)
			conn.Close()
			var first, last time.Time
			bytes := 0
			for p := range packets {
				if first.IsZero() {
					first = p.at
				} else {
					bytes += p.bytes
				}
				last = p.at
			}
			var live classStatus
			for _, tree := range st.Pacing.Trees {
				for _, c := range tree.Classes {
					if c.Name == "live" {
						live = c
					}
				}
			}
			rate := float64(bytes) / last.Sub(first).Seconds()
			t.Logf("%.0f bytes a second for %s, of %d up to %d; %d records discarded", rate, last.Sub(first), live.Rate, live.Ceil, st.Livesync.Dropped.Queue)
			// What comes while a busy machine does not look is not lost: see pacer.Tree.Await.
			least := 0.85 * float64(live.Ceil)
			if name == "one root" {
				least = 0.85 * float64(live.Rate)
			}
			if rate > 1.1*float64(live.Ceil) || rate < least {
				t.Error("that is out of bounds")
			}
		})
	}
}
