package tracker

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"starling/wire"
)

// TestHashOfNeighbours stores clients and torrents that count up, as those of one network or one attacker do, under many
// keys: no block of a directory is much fuller than chance makes it, and no chain much longer.
func TestHashOfNeighbours(t *testing.T) {
	const peers, names, fullest, longest = 400, 1000, 100, 16
	rng := rand.New(rand.NewPCG(rand.Uint64(), 0))
	step := rng.Uint32N(1<<16) + 1
	neighbours := map[string]func(n uint32) wire.Peer{
		"ports":          func(n uint32) wire.Peer { return peerAt(0x0a000001, uint16(1024+n)) },
		"addresses":      func(n uint32) wire.Peer { return peerAt(0x0a000001+n, 6881) },
		"networks":       func(n uint32) wire.Peer { return peerAt(0x0a000001+n<<8, 6881) },
		"any distance":   func(n uint32) wire.Peer { return peerAt(0x0a000001+n*step, 6881) },
		"IPv6":           func(n uint32) wire.Peer { return peer6(int(n)) },
		"IPv6 and ports": func(n uint32) wire.Peer { p := peer6(1); binary.BigEndian.PutUint16(p[16:], uint16(1024+n)); return p },
	}
	for range fewer(1000) {
		var seed [32]byte
		for i := range seed {
			seed[i] = byte(rng.Uint32())
		}
		for name, nth := range neighbours {
			tr := New(Config{Shards: 1, Seed: &seed}, epoch)
			for n := range uint32(peers) {
				tr.Apply(epoch, wire.Record{InfoHash: hashOf(1), Peer: nth(n)})
			}
			s := &tr.shards[0].swarms
			for _, block := range s.directories[0].blocks {
				if n := block.count(); n > fullest {
					t.Fatalf("%s, step %d, seed %x: a block holds %d of %d peers", name, step, seed, n, peers)
				}
			}
		}
		table := torrents{key: New(Config{Seed: &seed}, epoch).key}
		for n := range uint32(names) {
			h := wire.InfoHash{}
			binary.BigEndian.PutUint32(h[16:], n*step)
			table.add(table.key.infoHash(&h), &h, 1)
		}
		for i := range table.count {
			n := 0
			for id := *table.head(i); id != 0; id = table.record(id).next {
				n++
			}
			if n > longest {
				t.Fatalf("step %d, seed %x: a chain has %d of %d torrents", step, seed, n, names)
			}
		}
	}
}

// peerAt returns a client at an IPv4 address.
func peerAt(addr uint32, port uint16) wire.Peer {
	p := wire.Peer{10: 0xff, 11: 0xff}
	binary.BigEndian.PutUint32(p[12:], addr)
	binary.BigEndian.PutUint16(p[16:], port)
	return p
}
