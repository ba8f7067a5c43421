package pacer

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// Offence is why a client is in the jail.
type Offence uint8

const (
	// TooMany requests while others got less than they asked for.
	TooMany Offence = iota
	// TooEarly: long before the time it was told, again and again.
	TooEarly
	// OverBudget: more requests than any household or town makes, whatever the others get.
	OverBudget
	// Spraying: announces of torrents that nobody knows, by far more than a client can have.
	Spraying
	// Harvesting: the peers of one torrent after the other, to none of which it comes back.
	Harvesting
	offences
)

var offenceNames = [offences]string{TooMany: "rate", TooEarly: "early", OverBudget: "budget", Spraying: "spray", Harvesting: "harvest"}

// String returns the offence as metrics name it.
func (o Offence) String() string { return offenceNames[o] }

// Offences returns all there are.
func Offences() []Offence { return []Offence{TooMany, TooEarly, OverBudget, Spraying, Harvesting} }

const (
	// Sentence is how long a client is held after its last offence.
	Sentence = 5 * time.Minute
	// maxHeld bounds how many are held. More are counted, and served as ever.
	maxHeld = 1024

	// rateWindow is in which requests are counted, earlyWindow in which early ones.
	rateWindow  = 10 * time.Second
	earlyWindow = 10 * time.Minute

	// A client makes too many requests when it makes more than fairTimes its
	// fair share of what can be served, and more than someTorrents: so many a
	// client with many torrents may well have at once.
	fairTimes    = 4
	someTorrents = 100
	// maxEarly is how often a client may come early in a window, however seldom
	// it comes otherwise. Beyond that, most of its announces must not be early:
	// behind one address there may be many clients, some of which obey nobody.
	maxEarly = 8

	// shortageMemory is how long a shortage is remembered. Without one nobody
	// makes too many requests.
	shortageMemory = 10 * time.Second

	jailCells = 1 << 14
)

// Jail re-classes clients that misbehave, for a time. A client is what a Queue
// takes turns among: an IPv4 address or an IPv6 network.
//
//	Crowded  requests wait or are refused: requests are counted for a while
//	Request  above 4 x what can be served / clients, and 100, in 10 s -> held
//	Early    above 8, and half of its announces, in 10 min            -> held
//	Holds    is it held now?
//
// Who is held and goes on is held on; who ceases is free five minutes later.
//
// Its memory is bounded: clients share 16384 cells. In each the client that
// comes most often in a window displaces the others, who each take one off its
// count: nobody is held for what others did, and who misbehaves beside few
// others in its cell does not escape. Nobody takes a lock but to sentence.
type Jail struct {
	start time.Time
	seed  maphash.Seed
	cells [jailCells]struct{ requests, early atomic.Uint64 }
	flows [2]atomic.Uint64 // clients in this rate window and the one before: number << 32 | count
	short atomic.Int64     // until when there is a shortage, since the start
	watch atomic.Int64     // until when announces in time are counted beside early ones, likewise

	held atomic.Pointer[map[Client]held] // is replaced, never changed

	mu    sync.Mutex // guards what follows, and is held while held is replaced
	count [offences]uint64
	full  uint64
	room  time.Time // when the first of a full jail is free
}

// held is a client in the jail.
type held struct {
	offence Offence
	until   time.Time
	told    bool // another node says so
}

// NewJail returns an empty jail.
func NewJail(now time.Time) *Jail { return &Jail{start: now, seed: maphash.MakeSeed()} }

// Crowded says that a request waited or did not get everything.
func (j *Jail) Crowded(now time.Time) {
	prolong(&j.short, int64(now.Sub(j.start)+shortageMemory))
}

// prolong makes a time at least as late as another.
func prolong(t *atomic.Int64, until int64) {
	if until > t.Load() {
		t.Store(until)
	}
}

// Request counts n requests of a client, of capacity that can be served in a
// second. While there is no shortage it looks no further.
func (j *Jail) Request(now time.Time, client Client, n, capacity int64) {
	at := now.Sub(j.start)
	if int64(at) >= j.short.Load() {
		return
	}
	window := uint32(max(at, 0) / rateWindow)
	cell, tag := j.cell(client)
	was, is := bump(&j.cells[cell].requests, tag, window, uint32(min(max(n, 0), maxCount)))
	if was == 0 && is > 0 {
		add(&j.flows[window%2], window, maxCount)
	}
	clients := int64(max(tagged(&j.flows[window%2], window), tagged(&j.flows[(window+1)%2], window-1)))
	if clients < 2 || is <= someTorrents {
		return // alone it takes nobody's share
	}
	if fair := mulDiv(max(capacity, 0), int64(rateWindow/time.Second)*fairTimes, clients); int64(is) > fair {
		j.hold(now, client, TooMany)
	}
}

// Early says that a client came long before the time it was told, OnTime that
// it announced otherwise.
func (j *Jail) Early(now time.Time, client Client) {
	prolong(&j.watch, int64(now.Sub(j.start)+earlyWindow))
	word := j.bumpEarly(now, client, 1) // in the lower half are early ones, in the upper half others
	if early, others := word&0xffff, word>>16; early > maxEarly && early > others {
		j.hold(now, client, TooEarly)
	}
}

// OnTime counts for a client that came early, too.
func (j *Jail) OnTime(now time.Time, client Client) {
	if int64(now.Sub(j.start)) < j.watch.Load() {
		j.bumpEarly(now, client, 1<<16)
	}
}

// bumpEarly adds to one half of a client's count of announces. Only an early one takes a cell.
func (j *Jail) bumpEarly(now time.Time, client Client, n uint32) uint32 {
	window := uint32(max(now.Sub(j.start), 0)/earlyWindow) & windowMask
	cell, tag := j.cell(client)
	p := &j.cells[cell].early
	for {
		old := p.Load()
		mine := uint32(old>>32) == tag|window
		count := uint32(old)
		switch {
		case mine && (n == 1 && count&0xffff == 0xffff || n > 1 && count>>16 == 0xffff):
			return count
		case mine:
			count += n
		case n > 1:
			return 0
		case uint32(old>>32)&windowMask == window && count&0xffff > 1:
			if p.CompareAndSwap(old, old-1) { // another's, that comes early, too
				return 0
			}
			continue
		default:
			count = n
		}
		if p.CompareAndSwap(old, uint64(tag|window)<<32|uint64(count)) {
			return count
		}
	}
}

// A cell holds a client's tag 20 | number of the window 12 | count 32.
const (
	windowMask = 1<<12 - 1
	maxCount   = 1 << 30
)

// cell returns the number of a client's cell and its tag.
func (j *Jail) cell(client Client) (number int, tag uint32) {
	h := maphash.Comparable(j.seed, client)
	return int(h % jailCells), uint32(h>>32) &^ windowMask
}

// bump adds n to a client's count in a window, and returns what it was and is.
// In a cell that holds another's count n is taken off that first.
func bump(p *atomic.Uint64, tag, window, n uint32) (was, is uint32) {
	stamp := tag | window&windowMask
	for {
		old := p.Load()
		count := uint32(old)
		switch {
		case uint32(old>>32) == stamp:
			was, is = count, min(count+n, maxCount)
		case (uint32(old>>32)^stamp)&windowMask == 0 && count > n:
			if p.CompareAndSwap(old, old-uint64(n)) {
				return 0, 0
			}
			continue
		default:
			was, is = 0, n
		}
		if p.CompareAndSwap(old, uint64(stamp)<<32|uint64(is)) {
			return was, is
		}
	}
}
