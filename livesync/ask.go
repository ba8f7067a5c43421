package livesync

import (
	"math/bits"
	"time"

	"starling/wire"
)

const (
	// maxTries is how often one node is asked before it is left alone.
	maxTries = 3
	// maxBackOff is the longest that a node is left alone.
	maxBackOff = time.Hour
	// maxBackOffs bounds how many nodes are left alone at once: ids are free to forge.
	maxBackOffs = 256
)

// askState is where the asking half of scrape sync stands.
type askState uint8

const (
	idle      askState = iota // we serve as many torrents as anybody, as far as we know
	collect                   // somebody serves many more: wait for all beacons to ask the one with the most
	asked                     // wait for the first tell
	receiving                 // wait for the last
)

var askStateNames = [...]string{idle: "idle", collect: "collect", asked: "asked", receiving: "receiving"}

func (s askState) String() string { return askStateNames[s] }

// asking decides when to ask which node to tell.
//
//	idle -beacon-> collect -timeout-> asked -tell-> receiving -quiet-> idle
//	                  |                 |
//	                  +-tell-> idle     +-three times in vain-> idle
//
// While an earlier tell is not paid off collect goes on: a tell is charged whole when it is asked for.
//
// A node that did not answer, or whose answer held no news, is left alone for
// a back-off that doubles each time: it may be gone, or it may serve torrents that our access list refuses, for ever.
type asking struct {
	interval time.Duration
	state    askState
	at       time.Time   // when the state times out; zero while idle
	target   wire.NodeID // collect: of the largest beacon. Else: whom we asked
	torrents uint64      // that it serves
	tries    int
	learned  bool // a tell brought news
	backOffs map[wire.NodeID]backOff

	owe     func(now time.Time, bytes int64) (wait time.Duration) // Config.Owe
	settle  func(now time.Time, bytes int64)                      // Config.Settle
	charged int64                                                 // for the tell that was asked for
	came    int64                                                 // of it, and of others at the time
}

// maxOwed bounds what a beacon may make us believe a tell to have: torrents enough for any tracker, and a number that adds up.
const maxOwed = 1 << 40

// tellBytes returns how many bytes a tell of so many torrents has.
func tellBytes(torrents uint64) int64 {
	torrents = min(torrents, maxOwed/wire.TellSize)
	packets := (torrents + wire.MaxTells - 1) / wire.MaxTells
	return int64(torrents*wire.TellSize + packets*wire.HeaderSize)
}

// pay asks for leave to inquire, and returns for how long there is none. What was charged is settled when the tell is over.
func (a *asking) pay(now time.Time) (wait time.Duration) {
	if a.owe == nil {
		return 0
	}
	a.charged, a.came = tellBytes(a.torrents), 0
	return a.owe(now, a.charged)
}

// end ends the asking for this time.
func (a *asking) end(now time.Time) {
	if a.settle != nil && a.charged != a.came {
		a.settle(now, a.came-a.charged)
	}
	a.state, a.at = idle, time.Time{}
}

type backOff struct {
	length time.Duration
	until  time.Time
}

func newAsking(interval time.Duration) asking {
	return asking{interval: interval, backOffs: make(map[wire.NodeID]backOff)}
}

// beacon is told of a node that serves enough more torrents than we do to be asked.
func (a *asking) beacon(now time.Time, from wire.NodeID, torrents uint64, jitter time.Duration) {
	if now.Before(a.backOffs[from].until) {
		return
	}
	switch {
	case a.state == idle:
		a.state, a.at = collect, now.Add(2*a.interval+jitter)
	case a.state != collect || torrents <= a.torrents:
		return
	}
	a.target, a.torrents = from, torrents
}

// told is told of a packet of a tell, whoever sent it, that has so many bytes; learned says whether it held news.
func (a *asking) told(now time.Time, bytes int64, learned bool) {
	a.came += bytes
	switch a.state {
	case collect:
		a.state, a.at = idle, time.Time{}
	case asked:
		a.state, a.at, a.learned = receiving, now.Add(2*a.interval), learned
	case receiving:
		a.at, a.learned = now.Add(2*a.interval), a.learned || learned
	}
}

// next returns the node to be asked now, if it is time for that.
func (a *asking) next(now time.Time) (target wire.NodeID, ok bool) {
	if a.state == idle || now.Before(a.at) {
		return target, false
	}
	switch {
	case a.state == collect:
		if wait := a.pay(now); wait > 0 {
			a.at = now.Add(min(wait, maxBackOff))
			return target, false
		}
		a.state, a.tries = asked, 0
	case a.state == receiving && a.learned:
		delete(a.backOffs, a.target)
		a.end(now)
		return target, false
	case a.state == receiving || a.tries == maxTries:
		a.leaveAlone(now)
		a.end(now)
		return target, false
	}
	a.tries++
	a.at = now.Add(a.interval)
	return a.target, true
}

// inquires returns who is asked and has not answered, the zero id when nobody is.
func (a *asking) inquires() wire.NodeID {
	if a.state != asked {
		return wire.NodeID{}
	}
	return a.target
}

// leaveAlone starts the target's back-off, twice as long as its last one if that is not long past.
func (a *asking) leaveAlone(now time.Time) {
	for id, b := range a.backOffs {
		if now.Sub(b.until) >= maxBackOff+8*a.interval {
			delete(a.backOffs, id)
		}
	}
	b, again := a.backOffs[a.target]
	if !again && len(a.backOffs) >= maxBackOffs {
		a.forgetShortest()
	}
	b.length = min(max(2*b.length, 2*a.interval), max(maxBackOff, 2*a.interval))
	b.until = now.Add(b.length)
	a.backOffs[a.target] = b
}

// forgetShortest drops the back-off that ends first.
func (a *asking) forgetShortest() {
	var first wire.NodeID
	var until time.Time
	for id, b := range a.backOffs {
		if until.IsZero() || b.until.Before(until) {
			first, until = id, b.until
		}
	}
	delete(a.backOffs, first)
}

// exceeds reports whether remote is more than percent percent above own: remote x 100 > own x (100 + percent), without overflow.
func exceeds(remote, own uint64, percent int) bool {
	hi, lo := bits.Mul64(remote, 100)
	ownHi, ownLo := bits.Mul64(own, uint64(100+percent))
	return hi > ownHi || hi == ownHi && lo > ownLo
}
