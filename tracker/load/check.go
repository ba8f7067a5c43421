package load

import (
	"bytes"

	"starling/wire"
)

// answer is what the reply to an announce says, over either protocol. The peers point into the buffer it was read from.
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
	wrongNumber
	wrongSeeders
	wrongLeechers
	wrongInterval
	wrongnesses
)

var wrongNames = [wrongnesses]string{
	isRight:       "nothing",
	wrongStranger: "a peer that never announced to the torrent",
	wrongTwice:    "a peer twice",
	wrongSelf:     "the asker itself, though not alone",
	wrongNumber:   "more peers than wanted",
	wrongSeeders:  "more seeders than announced",
	wrongLeechers: "more leechers than announced",
	wrongInterval: "an interval of 0",
}

// checker checks answers for one worker.
type checker struct {
	pop  *population
	seen []uint64 // one bit per peer of a torrent: in the answer that is looked at; all 0 between two answers
}

func newChecker(pop *population) *checker {
	return &checker{pop: pop, seen: make([]uint64, (pop.per+63)/64)}
}

// check says what is wrong with an answer to peer k; of several things, one.
func (c *checker) check(k int, a *answer) wrongness {
	if len(a.peers4)/wire.Compact4+len(a.peers6)/wire.Compact6 > numWant {
		return wrongNumber
	}
	if wrong := c.checkPeers(k, a); wrong != isRight {
		return wrong
	}
	counts := &c.pop.counts[c.pop.torrent(k)]
	switch {
	case a.seeders > uint64(counts.seeders.Load()):
		return wrongSeeders
	case a.leechers > uint64(counts.leechers.Load()):
		return wrongLeechers
	case a.interval == 0:
		return wrongInterval
	}
	return isRight
}

func (c *checker) checkPeers(k int, a *answer) (wrong wrongness) {
	own := c.pop.local.Compact()
	peers, foreign := a.peers4, a.peers6
	if !c.pop.local.Is4() {
		peers, foreign = foreign, peers
	}
	if len(foreign) > 0 {
		return wrongStranger
	}
	size, torrent, asker := len(own), c.pop.torrent(k), c.pop.number(k)
	alone := len(peers) == size && a.seeders+a.leechers <= 1
	marked := 0
	for rest := peers; len(rest) > 0; rest = rest[size:] {
		number := numberAt(rest[size-2:])
		if !bytes.Equal(rest[:size-2], own[:size-2]) || !c.pop.hasAnnounced(torrent, number) {
			wrong = wrongStranger
			break
		}
		word, bit := &c.seen[number/64], uint64(1)<<(number%64)
		if *word&bit != 0 {
			wrong = wrongTwice
			break
		}
		if number == asker && !alone {
			wrong = wrongSelf
			break
		}
		*word |= bit
		marked++
	}
	for ; marked > 0; marked-- {
		c.seen[numberAt(peers[marked*size-2:])/64] = 0
	}
	return wrong
}
