package repair

import (
	"math/rand/v2"
	"testing"
	"time"

	"starling/wire"
)

// BenchmarkInOrder is what repair costs a packet that is simply the next one, its copy for standing in included.
func BenchmarkInOrder(b *testing.B) {
	m := New(wire.NodeID{1}, rand.New(rand.NewPCG(1, 1)))
	m.Open(begin, wire.NodeID{2}, 1, 0, begin)
	pkt := make([]byte, 1460)
	now := begin
	var seq uint32
	take := func() {
		now = now.Add(time.Microsecond)
		if v := m.Data(now, wire.NodeID{2}, 1, seq, pkt); v != Apply || m.Waits() {
			b.Fatal(v)
		}
		seq++
	}
	for range 2 * keepLast { // until buffers are used again
		take()
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(pkt)))
	for b.Loop() {
		take()
	}
}

// BenchmarkSent is what keeping a packet costs its sender.
func BenchmarkSent(b *testing.B) {
	m := New(wire.NodeID{1}, rand.New(rand.NewPCG(1, 1)))
	pkt := make([]byte, 1460)
	now := begin
	var seq uint32
	b.ReportAllocs()
	b.SetBytes(int64(len(pkt)))
	for b.Loop() {
		now = now.Add(time.Microsecond)
		m.Sent(now, 1, seq, pkt)
		seq++
	}
}

// BenchmarkGap is what a lost packet costs its receiver: 20 packets of which one is missing, and comes at the end.
func BenchmarkGap(b *testing.B) {
	m := New(wire.NodeID{1}, rand.New(rand.NewPCG(1, 1)))
	m.Open(begin, wire.NodeID{2}, 1, 0, begin)
	pkt := make([]byte, 1460)
	out := make([]byte, 0, 1500)
	now := begin
	var seq uint32
	b.ReportAllocs()
	for b.Loop() {
		for i := range uint32(20) {
			now = now.Add(time.Millisecond)
			if i > 0 {
				m.Data(now, wire.NodeID{2}, 1, seq+i, pkt)
			}
		}
		now = now.Add(100 * time.Millisecond)
		m.Control(now, out)
		m.Data(now, wire.NodeID{2}, 1, seq, pkt)
		n := 0
		for pkt, _ := m.Ready(now); pkt != nil; pkt, _ = m.Ready(now) {
			n++
		}
		if n != 19 {
			b.Fatal(n)
		}
		seq += 20
	}
}
