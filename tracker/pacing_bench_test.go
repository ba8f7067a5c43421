package tracker

import (
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync/atomic"
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

// endless is a connection that asks the same thing again and again, so many times, and takes all answers.
type endless struct {
	net.Conn
	request []byte
	left    int
}

func (c *endless) Read(b []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	c.left--
	return copy(b, c.request), nil
}

func (c *endless) Write(b []byte) (int, error)      { return len(b), nil }
func (c *endless) SetDeadline(time.Time) error      { return nil }
func (c *endless) SetWriteDeadline(time.Time) error { return nil }

// BenchmarkPacedConnection is an announce over HTTP with all that a connection does for it: what is read is paid for, and what is written asked for.
func BenchmarkPacedConnection(b *testing.B) {
	comparePacings(b, func(p *Pacing) func() {
		x := testHTTP(testConfig)
		x.ending = new(atomic.Bool)
		x.HTTP.Pace(p)
		fill(x.tracker, wire.InfoHash{1}, 300, false, false)
		c := &endless{request: []byte(get(announceTarget(1, "compact", "1", "event", "started")))}
		const each = 200
		n := 0
		return func() {
			if n++; n%each == 0 {
				c.left = each
				x.converse(b.Context(), c, testAddr4, readOn)
			}
		}
	})
}

// widths are how the fast path is measured.
var widths = []struct{ procs, goroutines int }{{1, 1}, {2, 2}, {2, 64}}

// BenchmarkToll is what an admitted announce over HTTP pays for pacing, beside nothing: its class, its tokens, their settlement, its place in
// the counts, and the bytes that its connection reads and writes. pays-ns is that alone, and x_add how many uncontended atomic additions
// all of it is, measured in the same run.
func BenchmarkToll(b *testing.B) {
	for _, s := range pacings[1:] {
		for _, width := range widths {
			b.Run(fmt.Sprintf("%s/%dprocs-%dgoroutines", s.name, width.procs, width.goroutines), func(b *testing.B) {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(width.procs))
				p := newPacing(b, *s.cfg, time.Now())
				ctx := b.Context()
				go p.Run(ctx)
				server := NewHTTP(New(testConfig, time.Now()), HTTPConfig{Pacing: p})
				var number atomic.Int64
				b.SetParallelism(width.goroutines / width.procs)
				b.ReportAllocs()
				start := processor()
				b.RunParallel(func(pb *testing.PB) {
					x := &exchange{HTTP: server, pacing: p, ending: new(atomic.Bool)}
					x.tally, x.toll.shard = &x.tallies[0], int(number.Add(1))
					c := &endless{}
					x.meet(c)
					now, answer := time.Now(), make([]byte, 500)
					for pb.Next() {
						x.payAll(b, c, now, answer)
					}
				})
				b.StopTimer()
				perOp := float64(processor()-start) / float64(b.N)
				b.ReportMetric(perOp, "cpu-ns/op")
				b.ReportMetric(perOp-unpaid(), "pays-ns/op")
				b.ReportMetric(perOp/addition(), "x_add")
			})
		}
	}
}

// unpaid returns how many nanoseconds of BenchmarkToll are spent without pacing, too: on the loop and the write.
func unpaid() float64 {
	const n = 1_000_000
	x, c := &exchange{}, &endless{}
	answer := make([]byte, 500)
	best := time.Hour
	for range 10 {
		start := processor()
		for range n {
			x.payNothing(c, answer)
		}
		best = min(best, processor()-start)
	}
	return float64(best) / n
}

// payNothing is payAll without pacing.
//
//go:noinline
func (x *exchange) payNothing(c net.Conn, answer []byte) {
	x.out = answer
	if _, err := c.Write(x.out); err != nil {
		panic(err)
	}
}

// payAll is what pacing does in the course of one exchange.
func (x *exchange) payAll(b *testing.B, c *endless, now time.Time, answer []byte) {
	p, t := x.pacing, &x.toll
	t.client(pacer.Regular, testAddr4, nil, 1)
	p.enter(t)
	t.bytes = int64(len(answer))
	p.wait(now, t)
	p.settle(t, pacer.Serve, t.bytes)
	x.out = answer
	if err := x.writePaced(c, now); err != nil || t.outcome != pacer.Admitted {
		b.Fatal("refused")
	}
	x.unpaid += 200
	x.payRead(c, now)
}

// addition returns how many nanoseconds an uncontended atomic addition takes.
func addition() float64 {
	const n = 1_000_000
	var word atomic.Int64
	best := time.Hour
	for range 10 {
		start := processor()
		for range n {
			word.Add(1)
		}
		best = min(best, processor()-start)
	}
	return float64(best) / n
}
