package livesync

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"starling/wire"
)

// BenchmarkOffer is what an announce pays for having the others told, alone and with all processors at it.
func BenchmarkOffer(b *testing.B) {
	n, _ := newListener(b)
	rs := strangers(1 << 12)
	empty := func() {
		for n.next(epoch) != nil {
		}
	}
	b.Run("alone", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if n.Offer(rs[i%len(rs)]); i%512 == 0 {
				b.StopTimer()
				empty()
				b.StartTimer()
			}
		}
	})
	b.Run("full", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			n.Offer(rs[i%len(rs)])
		}
	})
	empty()
	b.Run("coalesced", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			n.Offer(rs[i%4096])
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				n.Offer(rs[i%len(rs)])
			}
		})
	})
}

// strangers returns records of so many different peers and torrents.
func strangers(n int) []wire.Record {
	rng := rand.New(rand.NewPCG(1, 1))
	rs := make([]wire.Record, n)
	for i := range rs {
		for j := range rs[i].InfoHash {
			rs[i].InfoHash[j] = byte(rng.Uint32())
		}
		rs[i].Peer = PeerOf(i)
	}
	return rs
}

// BenchmarkBatch is the sender's way from the queue to a packet, a record an operation.
func BenchmarkBatch(b *testing.B) {
	for _, dialect := range []Dialect{Seed, Modern, Both} {
		b.Run(dialect.String(), func(b *testing.B) {
			n, _ := newListener(b)
			n.cfg.Dialect = dialect
			n.outbox.batch = newBatch(dialect, time.Hour, plainLimits)
			n.queue = n.outbox.batch.q
			rs := strangers(1 << 12)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				n.Offer(rs[i%len(rs)])
				if i%wire.MaxRecords6 == 0 {
					for n.next(epoch) != nil {
					}
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// BenchmarkReceive is the receiver's way from a full packet to the store, which does nothing.
func BenchmarkReceive(b *testing.B) {
	n, _ := newListener(b)
	n.cfg.Apply = func(time.Time, []wire.Record) {}
	pkt := packetOf(wire.MaxRecords4)
	b.ReportAllocs()
	for b.Loop() {
		n.receive(epoch, another, wire.Group.Addr(), pkt)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/wire.MaxRecords4, "ns/record")
}

// BenchmarkAnnounceToVisible is how much longer than the flush interval it takes from an announce at one
// node until another has applied it, on real multicast.
func BenchmarkAnnounceToVisible(b *testing.B) {
	const flush = 10 * time.Millisecond
	visible := make(chan time.Time, 1)
	group := netip.AddrPortFrom(netip.AddrFrom4([4]byte{239, 254, byte(os.Getpid() >> 8), byte(os.Getpid())}), 29697)
	var nodes []*Node
	for i := range 2 {
		m := NewModel()
		cfg := Config{
			ID: wire.NodeID{byte(i + 1)}, Group: group, Interface: "lo",
			Flush: flush, BeaconInterval: time.Minute, FirstBeaconDelay: time.Hour,
		}
		m.Join(&cfg)
		if i == 1 {
			cfg.Apply = func(time.Time, []wire.Record) { visible <- time.Now() }
		}
		n := New(cfg)
		nodes = append(nodes, n)
		ctx, cancel := context.WithCancel(b.Context())
		done := make(chan error)
		go func() { done <- n.Run(ctx) }()
		defer func() { cancel(); <-done }()
		for deadline := time.Now().Add(5 * time.Second); n.Status().Trouble != ""; {
			if time.Now().After(deadline) {
				b.Skipf("SKIPPED, NOT MEASURED: real multicast on lo does not work here: %s", n.Status().Trouble)
			}
		}
	}
	var took []time.Duration
	for b.Loop() {
		announced := time.Now()
		nodes[0].Offer(wire.Record{InfoHash: HashOf(1), Peer: PeerOf(1)})
		took = append(took, (<-visible).Sub(announced)-flush)
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "us-median")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "us-p99")
	b.ReportMetric(0, "ns/op") // says the flush interval, mostly
}
