package load

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"

	"starling/wire"
)

const (
	firstPort     = 1024
	maxPerTorrent = 1<<16 - firstPort
)

// population is all peers and torrents of a run, and who has announced yet. It is shared by all workers.
type population struct {
	local     wire.Peer // the address all peers have, port 0
	hashes    []wire.InfoHash
	peers     int
	per       int             // the most peers of one torrent
	announced []atomic.Uint64 // one bit per peer, those of a torrent next to each other
	counts    []counts        // per torrent
}

// counts is how many peers of a torrent have announced as what.
type counts struct{ seeders, leechers atomic.Uint32 }

func newPopulation(cfg Config, local netip.Addr) *population {
	per := perTorrent(cfg)
	p := &population{
		local:     wire.PeerFrom(netip.AddrPortFrom(local, 0)),
		hashes:    make([]wire.InfoHash, cfg.Torrents),
		peers:     cfg.Peers,
		per:       per,
		announced: make([]atomic.Uint64, (cfg.Torrents*per+63)/64),
		counts:    make([]counts, cfg.Torrents),
	}
	rng := rand.New(rand.NewPCG(cfg.Seed, 0))
	for i := range p.hashes {
		for j := range p.hashes[i] {
			p.hashes[i][j] = byte(rng.Uint32())
		}
	}
	return p
}

// perTorrent returns how many peers the torrents have that have most.
func perTorrent(cfg Config) int { return (cfg.Peers + cfg.Torrents - 1) / cfg.Torrents }

func (p *population) torrent(k int) int        { return k % len(p.hashes) }
func (p *population) hash(k int) wire.InfoHash { return p.hashes[p.torrent(k)] }
func (p *population) number(k int) int         { return k / len(p.hashes) } // among those of its torrent
func (p *population) port(k int) uint16        { return uint16(firstPort + p.number(k)) }

// numberAt returns the number of the peer whose port stands at the start of b; it may be out of range.
func numberAt(b []byte) int { return int(binary.BigEndian.Uint16(b)) - firstPort }

// seeder says what peer k is: three of four are seeders, whichever way peers are dealt out to torrents.
func (p *population) seeder(k int) bool {
	return uint64(k)*0x9e3779b97f4a7c15>>62 != 0
}

// left is what peer k has still to download.
func (p *population) left(k int) uint64 {
	if p.seeder(k) {
		return 0
	}
	return 1 << 30
}

// announce marks peer k as announced, which must be done before the announce is sent, and returns its event.
func (p *population) announce(k int) wire.Event {
	word, bit := p.mark(p.torrent(k), p.number(k))
	if word.Load()&bit != 0 {
		return wire.EventNone
	}
	c := &p.counts[p.torrent(k)]
	if p.seeder(k) {
		c.seeders.Add(1)
	} else {
		c.leechers.Add(1)
	}
	// Two workers that announce a new peer at the same moment both have counted it: one takes it back, which
	// leaves the bound that answers are checked against too high for an instant, but never too low.
	if word.Or(bit)&bit == 0 {
		return wire.EventStarted
	}
	if p.seeder(k) {
		c.seeders.Add(^uint32(0))
	} else {
		c.leechers.Add(^uint32(0))
	}
	return wire.EventNone
}

// mark returns where it is marked that the peer of the given torrent and number there has announced.
func (p *population) mark(torrent, number int) (word *atomic.Uint64, bit uint64) {
	i := torrent*p.per + number
	return &p.announced[i/64], 1 << (i % 64)
}

// hasAnnounced reports whether there is a peer of that number in the torrent, and it has announced.
func (p *population) hasAnnounced(torrent, number int) bool {
	if number < 0 || number >= p.per {
		return false
	}
	word, bit := p.mark(torrent, number)
	return word.Load()&bit != 0
}
