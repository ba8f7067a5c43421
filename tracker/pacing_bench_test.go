package tracker

import (
	"context"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"starling/tracker/pacer"
	"starling/wire"
)

// pacings are the settings that are measured side by side in one run. The rates are never reached.
var pacings = []struct {
	name string
	cfg  *PacingConfig
}{
	{"off", nil},
	{"rate", &PacingConfig{Rate: 1 << 50}},
	{"announce-rate", &PacingConfig{AnnounceRate: 1 << 40}},
	{"both", &PacingConfig{Rate: 1 << 50, AnnounceRate: 1 << 40}},
}

// processor returns how much processor time the process had, which says more than the wall clock on a machine that others use.
func processor() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// comparePacings measures an operation with each setting, in turns, so that what else the machine does meets all of them alike,
// and reports the processor time of each beyond that of the first.
func comparePacings(b *testing.B, prepare func(p *Pacing) (op func())) {
	const batch = 2000
	ops, least := make([]func(), len(pacings)), make([]time.Duration, len(pacings))
	for i, s := range pacings {
		var p *Pacing
		if s.cfg != nil {
			p = newPacing(b, *s.cfg, time.Now())
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error, 1)
			go func() { done <- p.Run(ctx) }()
			defer func() {
				cancel()
				<-done
			}()
		}
		ops[i], least[i] = prepare(p), time.Hour
	}
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		for i, op := range ops {
			start := processor()
			for range batch {
				op()
			}
			least[i] = min(least[i], processor()-start)
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(least[0])/batch, "off-ns")
	for i, s := range pacings[1:] {
		b.ReportMetric(float64(least[i+1]-least[0])/batch, s.name+"+ns")
	}
}

// BenchmarkPacedHTTP is an announce over HTTP from its parsed head to its answer, without the system's part. The client starts each
// time: its last booking is given back, and it is no offence to be early.
func BenchmarkPacedHTTP(b *testing.B) {
	comparePacings(b, func(p *Pacing) func() {
		x := testHTTP(testConfig)
		x.pacing, x.toll.waiter = p, pacer.NewWaiter()
		fill(x.tracker, wire.InfoHash{1}, 300, false, false)
		request, out, now := []byte(get(announceTarget(1, "compact", "1", "event", "started"))), make([]byte, 0, 4096), time.Now()
		return func() { x.handle(now, testAddr4, request, out) }
	})
}

// BenchmarkPacedUDP is the same over UDP.
func BenchmarkPacedUDP(b *testing.B) {
	comparePacings(b, func(p *Pacing) func() {
		w := testUDP(testConfig)
		w.pacing = p
		fill(w.tracker, hashOf(1), 300, false, false)
		packet := w.announceRequest(testAddr4, wire.UDPAnnounce{InfoHash: hashOf(1), NumWant: -1, Port: 1, Event: wire.EventStarted})
		out := make([]byte, 0, wire.MaxUDPReply)
		return func() {
			reply := w.handle(testStart, testAddr4, packet, out)
			if w.pacing != nil {
				w.paceRest(len(reply))
			}
		}
	})
}

// BenchmarkToll is what an admitted announce pays for pacing, beside nothing: its class, its tokens, their settlement and its place in
// the counts.
func BenchmarkToll(b *testing.B) {
	for _, s := range pacings[1:] {
		b.Run(s.name, func(b *testing.B) {
			p := newPacing(b, *s.cfg, time.Now())
			t := toll{waiter: pacer.NewWaiter()}
			client, now := netip.MustParseAddr("192.0.2.1"), time.Now()
			b.ReportAllocs()
			start := processor()
			for range b.N {
				t.client(pacer.Regular, client, nil, 1)
				p.enter(&t)
				t.bytes = 500
				p.wait(now, &t)
				p.settle(&t, pacer.Serve, 500)
				if t.outcome != pacer.Admitted {
					b.Fatal("refused")
				}
			}
			b.ReportMetric(float64(processor()-start)/float64(b.N), "cpu-ns/op")
		})
	}
}
