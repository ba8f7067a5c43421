package wire_test

import (
	"testing"

	"starling/wire"
)

// BenchmarkUDPAnnounce is what a UDP announce takes of bytes and values alone: the request read, and the head of its answer written.
func BenchmarkUDPAnnounce(b *testing.B) {
	h := wire.UDPHeader{ConnectionID: 1, Action: wire.ActionAnnounce, TransactionID: 2}
	a := wire.UDPAnnounce{InfoHash: wire.InfoHash{1}, Left: 3, NumWant: -1, Port: 6881}
	packet := a.Append(h.Append(nil))
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, ok := wire.ParseUDPHeader(packet); !ok {
				b.Fatal("no header")
			}
			if _, err := wire.ParseUDPAnnounce(packet); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("reply", func(b *testing.B) {
		reply := make([]byte, 0, wire.MaxUDPReply)
		b.ReportAllocs()
		for b.Loop() {
			reply = wire.AppendUDPAnnounceReply(reply[:0], 2, 1800, 3, 4)
		}
	})
}

// BenchmarkLivesync is what a record of livesync takes of bytes and values alone: written into a packet, and read from a full one.
func BenchmarkLivesync(b *testing.B) {
	r := wire.Record{InfoHash: wire.InfoHash{1}, Peer: wire.PeerFrom4([]byte{192, 0, 2, 1, 0x1a, 0xe1}), Flags: wire.Seeding}
	packet := wire.AppendLive4(nil, wire.NodeID{1})
	for range wire.MaxRecords4 {
		packet = r.Append4(packet)
	}
	b.Run("append", func(b *testing.B) {
		buf := make([]byte, 0, wire.MaxPacket)
		b.ReportAllocs()
		for b.Loop() {
			buf = r.Append4(buf[:0])
		}
	})
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			p, err := wire.ParsePacket(packet)
			if err != nil {
				b.Fatal(err)
			}
			for i := range p.Len() {
				if r := p.Record(i); r.Flags != wire.Seeding {
					b.Fatal(r)
				}
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/wire.MaxRecords4, "ns/record")
	})
}
