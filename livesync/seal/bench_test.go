package seal

import (
	"testing"

	"starling/wire"
)

func TestAllocations(t *testing.T) {
	s, o := NewSealer(testKey, them, 7), NewOpener(Keys{testKey})
	believe(t, o, noon, s)
	buf := make([]byte, 0, wire.MaxPacket)
	plain := live()
	allocs := testing.AllocsPerRun(100, func() {
		p, err := wire.ParsePacket(s.Seal(append(buf, plain...)))
		if err != nil || o.Open(noon, host, &p) != Proven {
			t.Fatal(err)
		}
	})
	if allocs != 0 {
		t.Errorf("%.0f allocations to seal and open a packet", allocs)
	}
}

func fullPacket() []byte {
	b := wire.AppendLive4(make([]byte, 0, wire.MaxPacket), them)
	r := wire.Record{Peer: wire.PeerFrom4([]byte{192, 0, 2, 1, 0x1a, 0xe1})}
	for range wire.MaxKeyed4 {
		b = r.Append4(b)
	}
	return b
}

func BenchmarkSeal(b *testing.B) {
	s, pkt := NewSealer(testKey, them, 7), fullPacket()
	b.ReportAllocs()
	for b.Loop() {
		s.Seal(pkt)
	}
}

func BenchmarkOpen(b *testing.B) {
	s, o := NewSealer(testKey, them, 7), NewOpener(Keys{testKey})
	believe(b, o, noon, s)
	pkt := s.Seal(fullPacket())
	b.ReportAllocs()
	for b.Loop() {
		p, err := wire.ParsePacket(pkt)
		if err != nil || o.Open(noon, host, &p) != Proven {
			b.Fatal(err)
		}
	}
}
