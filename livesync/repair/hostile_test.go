package repair

import (
	"math/rand/v2"
	"testing"
	"time"

	"starling/wire"
)

// TestOldRepetitionIsNoAnswer: who plays a recording of a node that does not answer any more does not keep others from standing in for it.
func TestOldRepetitionIsNoAnswer(t *testing.T) {
	dead, m := wire.NodeID{1}, New(wire.NodeID{2}, rand.New(rand.NewPCG(1, 1)))
	m.Open(begin, dead, 1, 0, begin)
	packet := func(seq uint32) []byte { return sealed(wire.AppendLive4(nil, dead), 1, seq) }
	m.Data(begin, dead, 1, 0, packet(0))
	now := begin.Add(bound + time.Second)
	m.Data(now, dead, 1, 1, packet(1)) // its last
	ask := &wire.Nack{Target: dead, Epoch: 1, Ranges: []wire.Range{{First: 1, Last: 1}}}
	m.Nack(now, ask)
	for range 4 {
		now = now.Add(answer / 4)
		if v := m.Data(now, dead, 1, 0, packet(0)); v != Duplicate {
			t.Fatalf("a recording is %v", v)
		}
	}
	if m.Nack(now, ask); len(m.pending) != 1 {
		t.Error("it is taken for the node's answer")
	}
}

// BenchmarkMadNack is a NACK of a node that has gone mad: as many ranges as it can name, each of everything a silent node sent.
func BenchmarkMadNack(b *testing.B) {
	dead, m := wire.NodeID{1}, New(wire.NodeID{2}, rand.New(rand.NewPCG(1, 1)))
	m.Open(begin, dead, 1, 0, begin)
	for seq := range uint32(keepLast) {
		m.Data(begin, dead, 1, seq, sealed(wire.AppendLive4(nil, dead), 1, seq))
	}
	now := begin.Add(silence)
	nack := &wire.Nack{Target: dead, Epoch: 1, Ranges: make([]wire.Range, wire.MaxRanges)}
	for i := range nack.Ranges {
		nack.Ranges[i] = everything
	}
	for b.Loop() {
		m.pending = m.pending[:0]
		m.Nack(now, nack)
	}
}
