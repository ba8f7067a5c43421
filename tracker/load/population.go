package load

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"time"

	"starling/wire"
)

const (
	firstPort  = 1024
	portsPer   = 1<<16 - firstPort // peers of one address in one torrent
	maxSources = 1 << 12
)

// population is all peers and torrents of a run, and what each has announced so far. It is shared by all workers.
//
// Peers are numbered by torrent: those of torrent t are first[t] ... first[t+1]-1. Peer k announces from the
// address of number k mod S and listens on a port that k div S gives, so a peer in an answer leads back to its number.
type population struct {
	sources  []wire.Peer // the addresses peers have, port 0
	hashes   []wire.InfoHash
	first    []uint32        // where the peers of a torrent begin; one more than there are torrents
	torrents []uint32        // the torrent of each peer
	states   []atomic.Uint32 // per peer; only the worker that the peer belongs to writes it
	counts   []counts        // per torrent
	most     int             // the most peers of one torrent
	scrapes  bool            // the tracker's URL leads to one for scrapes
}

// counts bounds what an answer about a torrent may tell.
type counts struct {
	seeders, leechers atomic.Uint32 // peers that ever announced as such, counted before they do
	present           atomic.Int32  // peers whose start was answered and whose stop was not sent
}

// The bits of a peer's state. The upper ones say when its last stop was answered, in milliseconds since the start of the run.
const (
	isPresent    = 1 << iota // it has announced and not stopped
	isSeeder                 // it has nothing left
	wasLeecher               // it is counted among the leechers, and so among both once it is a seeder
	wasSeeder                // it is counted among the seeders
	isBusy                   // an announce of it is under way
	stateBits    = iota
	stoppedLimit = 1<<(32-stateBits) - 1
)

// newPopulation deals out the peers.
func newPopulation(cfg Config, sources []netip.Addr) *population {
	p := &population{
		hashes:   make([]wire.InfoHash, cfg.Torrents),
		first:    make([]uint32, cfg.Torrents+1),
		torrents: make([]uint32, cfg.Peers),
		states:   make([]atomic.Uint32, cfg.Peers),
		counts:   make([]counts, cfg.Torrents),
	}
	for _, a := range sources {
		p.sources = append(p.sources, wire.PeerFrom(netip.AddrPortFrom(a, 0)))
	}
	rng := rand.New(rand.NewPCG(cfg.Seed, 0))
	for i := range p.hashes {
		for j := range p.hashes[i] {
			p.hashes[i][j] = byte(rng.Uint32())
		}
	}
	p.deal(cfg)
	for k := range p.states {
		if seederAtFirst(k) {
			p.states[k].Store(isSeeder)
		}
	}
	return p
}

// deal gives torrent number i a share of the peers that falls with i to the power of the skew, and at least one if there is one for each.
func (p *population) deal(cfg Config) {
	sum := shares(cfg)
	spare := max(cfg.Peers-cfg.Torrents, 0)
	dealt, share := 0, 0.0
	for i := range cfg.Torrents {
		p.first[i] = uint32(dealt)
		share += math.Pow(float64(i+1), -max(cfg.Skew, 0)) / sum
		until := min(i+1+int(math.Round(share*float64(spare))), cfg.Peers)
		if i == cfg.Torrents-1 {
			until = cfg.Peers
		}
		p.most = max(p.most, until-dealt)
		for ; dealt < until; dealt++ {
			p.torrents[dealt] = uint32(i)
		}
	}
	p.first[cfg.Torrents] = uint32(dealt)
}

// shares returns the sum of what deal gives peers in proportion to, of which the first torrent has 1.
func shares(cfg Config) (sum float64) {
	for i := range cfg.Torrents {
		sum += math.Pow(float64(i+1), -max(cfg.Skew, 0))
	}
	return sum
}

// largest returns how many peers a torrent gets at most.
func largest(cfg Config) int {
	if cfg.Torrents == 1 {
		return cfg.Peers
	}
	spare := max(cfg.Peers-cfg.Torrents, 0)
	return 1 + int(math.Ceil(float64(spare)/shares(cfg))) // what deal gives is rounded, up or down
}

// seederAtFirst says what peer k starts as: three of four are seeders, whichever way peers are dealt out to torrents.
func seederAtFirst(k int) bool { return uint64(k)*0x9e3779b97f4a7c15>>62 != 0 }

func (p *population) peers() int               { return len(p.torrents) }
func (p *population) torrent(k int) int        { return int(p.torrents[k]) }
func (p *population) hash(k int) wire.InfoHash { return p.hashes[p.torrents[k]] }
func (p *population) port(k int) uint16        { return uint16(firstPort + k/len(p.sources)%portsPer) }
func (p *population) has(k int, bit uint32) bool {
	return p.states[k].Load()&bit != 0
}

// find returns the number of the peer of a torrent whose compact form is b, -1 when there is none.
func (p *population) find(torrent int, b []byte) int {
	s, port := p.source(b[:len(b)-2]), int(binary.BigEndian.Uint16(b[len(b)-2:]))-firstPort
	if s < 0 || port < 0 {
		return -1
	}
	// The one number k = q n + s of this torrent with q mod portsPer = port: the first such q that is not below the torrent's.
	n, first, end := len(p.sources), int(p.first[torrent]), int(p.first[torrent+1])
	least := max(first-s+n-1, 0) / n
	q := least + (port-least%portsPer+portsPer)%portsPer
	if k := q*n + s; k < end {
		return k
	}
	return -1
}

// source returns the number of an address, -1 when no peer has it.
func (p *population) source(address []byte) int {
	s := 0
	if len(p.sources) > 1 && len(address) == 4 {
		s = int(binary.BigEndian.Uint16(address[2:]))
	}
	if s < len(p.sources) {
		own := p.sources[s].Compact()
		if bytes.Equal(own[:len(own)-2], address) {
			return s
		}
	}
	return -1
}

// A deed is one request that a worker makes, with what must be known when its answer comes.
type deed struct {
	peer    int
	scrape  bool
	event   wire.Event
	left    uint64
	present int32  // peers known to be in the torrent when it was made
	made    uint32 // when, in milliseconds since the start of the run
}

// Of the announces of peers that are there so many in a thousand are stops, of leechers' so many are completions;
// so many requests in a thousand are scrapes.
const (
	stopsPerMille       = 40
	completionsPerMille = 30
	scrapesPerMille     = 30
)

// begin chooses what peer k does, and notes all that answers may tell from now on. The caller owns k, and calls finish once there
// is an answer or none is waited for any more.
func (p *population) begin(k int, rng *rand.Rand, mixed bool, now uint32) deed {
	state, c := &p.states[k], &p.counts[p.torrents[k]]
	s := state.Load()
	d := deed{peer: k, present: c.present.Load(), made: now}
	roll := 1000
	if mixed {
		roll = rng.IntN(1000)
	}
	switch {
	case p.scrapes && roll < scrapesPerMille:
		d.scrape = true
	case s&isPresent == 0:
		d.event = wire.EventStarted
	case roll < scrapesPerMille+stopsPerMille:
		d.event = wire.EventStopped
		c.present.Add(-1)
	case roll < scrapesPerMille+stopsPerMille+completionsPerMille && s&isSeeder == 0:
		d.event = wire.EventCompleted
		s |= isSeeder
	}
	if !d.scrape && d.event != wire.EventStopped {
		s = c.count(s) | isPresent
	}
	state.Store(s | isBusy)
	if s&isSeeder == 0 {
		d.left = 1 << 30
	}
	return d
}

// count counts a peer that announces as what it is, once as each, and returns its new state.
func (c *counts) count(s uint32) uint32 {
	switch {
	case s&isSeeder != 0 && s&wasSeeder == 0:
		c.seeders.Add(1)
		return s | wasSeeder
	case s&isSeeder == 0 && s&wasLeecher == 0:
		c.leechers.Add(1)
		return s | wasLeecher
	}
	return s
}

// finish notes the end of a deed; answered: the tracker has done it.
func (p *population) finish(d *deed, answered bool, now uint32) {
	state, c := &p.states[d.peer], &p.counts[p.torrents[d.peer]]
	s := state.Load() &^ isBusy
	switch {
	case d.event == wire.EventStopped:
		// Without an answer it may be there still: it starts again, and until then nobody says that it must not be seen.
		s &^= isPresent
		stopped := uint32(stoppedLimit)
		if answered {
			stopped = min(now, stoppedLimit)
		}
		s = s&(1<<stateBits-1) | stopped<<stateBits
	case d.event == wire.EventStarted && answered:
		c.present.Add(1)
	case d.event == wire.EventStarted:
		s &^= isPresent // it starts again; whether it is there meanwhile nobody knows
		s |= stoppedLimit << stateBits
	}
	state.Store(s)
}

// gone reports whether peer k has left, and its stop was answered, before the time given.
func (p *population) gone(k int, now uint32) bool {
	s := p.states[k].Load()
	return s&isPresent == 0 && s>>stateBits < now
}

// since returns the milliseconds from the start of a run.
func since(start, now time.Time) uint32 {
	return uint32(min(now.Sub(start)/time.Millisecond, stoppedLimit-1))
}

// loopbackSources returns n addresses of this host that peers may announce from.
func loopbackSources(n int, local netip.Addr) ([]netip.Addr, error) {
	if n == 1 {
		return []netip.Addr{local}, nil
	}
	if !local.Is4() || !local.IsLoopback() {
		return nil, errors.New("several sources are possible only for a tracker at 127.0.0.1, where every address of 127.0.0.0/8 is ours")
	}
	sources := make([]netip.Addr, n)
	for i := range sources {
		sources[i] = netip.AddrFrom4([4]byte{127, 1, byte(i >> 8), byte(i)})
	}
	return sources, nil
}
