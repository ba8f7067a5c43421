package load

import "starling/wire"

// answer is what the reply to an announce or to a scrape of one torrent says, over either protocol. The peers point into
// the buffer it was read from.
type answer struct {
	interval          uint64
	seeders, leechers uint64
	peers4, peers6    []byte // whole compact peers
}

// wrongness is what is wrong with an answer.
type wrongness uint8

const (
	isRight wrongness = iota
	wrongStranger
	wrongTwice
	wrongSelf
	wrongGone
	wrongNumber
	wrongSeeders
	wrongLeechers
	wrongFew
	wrongInterval
	wrongnesses
)

var wrongNames = [wrongnesses]string{
	isRight:       "nothing",
	wrongStranger: "a peer that never announced to the torrent",
	wrongTwice:    "a peer twice",
	wrongSelf:     "the asker itself, though not alone",
	wrongGone:     "a peer that had stopped before",
	wrongNumber:   "more peers than wanted",
	wrongSeeders:  "more seeders than announced",
	wrongLeechers: "more leechers than announced",
	wrongFew:      "fewer seeders and leechers than there are",
	wrongInterval: "an interval of 0",
}

// checker checks answers for one worker.
type checker struct {
	pop     *population
	numWant int
	slack   uint64   // requests that may be under way, and so counted here and not by the tracker yet
	seen    []uint64 // one bit per peer of a torrent: in the answer that is looked at; all 0 between two answers
}

// forgets is how long after the start of a run a tracker may begin to forget peers that fell silent, in milliseconds.
const forgets = 10 * 60 * 1000

func newChecker(pop *population, cfg *Config) *checker {
	return &checker{pop: pop, numWant: cfg.NumWant, slack: uint64(cfg.InFlight), seen: make([]uint64, (pop.most+63)/64)}
}

// check says what is wrong with the answer to a deed; of several things, one.
func (c *checker) check(d *deed, a *answer) wrongness {
	counts := &c.pop.counts[c.pop.torrent(d.peer)]
	switch {
	case a.seeders > uint64(counts.seeders.Load()):
		return wrongSeeders
	case a.leechers > uint64(counts.leechers.Load()):
		return wrongLeechers
	case d.made < forgets && int64(a.seeders+a.leechers+c.slack) < int64(min(d.present, counts.present.Load())):
		return wrongFew
	case d.scrape:
		return isRight
	case len(a.peers4)/wire.Compact4+len(a.peers6)/wire.Compact6 > c.numWant:
		return wrongNumber
	case a.interval == 0 && d.event != wire.EventStopped:
		return wrongInterval
	}
	return c.checkPeers(d, a)
}

func (c *checker) checkPeers(d *deed, a *answer) (wrong wrongness) {
	peers, foreign, size := a.peers4, a.peers6, wire.Compact4
	if !c.pop.sources[0].Is4() {
		peers, foreign, size = foreign, peers, wire.Compact6
	}
	if len(foreign) > 0 {
		return wrongStranger
	}
	torrent := c.pop.torrent(d.peer)
	alone := len(peers) == size && a.seeders+a.leechers <= 1
	checked := 0
	for ; checked < len(peers) && wrong == isRight; checked += size {
		wrong = c.checkPeer(d, torrent, peers[checked:checked+size], alone)
	}
	for i := 0; i < checked; i += size {
		if k := c.pop.find(torrent, peers[i:i+size]); k >= 0 {
			c.seen[(k-int(c.pop.first[torrent]))/64] = 0
		}
	}
	return wrong
}

// checkPeer checks one peer of an answer and marks it as seen.
func (c *checker) checkPeer(d *deed, torrent int, peer []byte, alone bool) wrongness {
	k := c.pop.find(torrent, peer)
	if k < 0 || !c.pop.has(k, wasSeeder|wasLeecher) {
		return wrongStranger
	}
	n := k - int(c.pop.first[torrent])
	word, bit := &c.seen[n/64], uint64(1)<<(n%64)
	switch {
	case *word&bit != 0:
		return wrongTwice
	case k == d.peer && !alone:
		return wrongSelf
	case k != d.peer && c.pop.gone(k, d.made):
		return wrongGone
	}
	*word |= bit
	return isRight
}
