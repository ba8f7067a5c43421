package main

import (
	"testing"
	"time"

	"starling/livesync"
	"starling/wire"
)

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
			// A busy machine may be slow to send; what a rate must not do is let more through, or next to nothing.
			least := 0.5 * float64(live.Ceil)
			if name == "one root" {
				least = 0.5 * float64(live.Rate)
			}
			if rate > 1.1*float64(live.Ceil) || rate < least {
				t.Error("that is out of bounds")
			}
		})
	}
}
