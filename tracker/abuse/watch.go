package abuse

import (
	"math/bits"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"time"

	"starling/tracker/pacer"
)

// Bound is an allowance: so many at once, and so many a second more.
type Bound struct{ Burst, Rate uint32 }

// Bounds are the allowances of an IPv4 address and of an IPv6 network of 64 bits. One of 56 bits has twice as much.
type Bounds struct {
	Requests, Unknown, Joins Bound
	// Failures are connection ids that were never given. Beyond them an address is answered Connects.
	Failures, Connects Bound
}

// Usual returns the bounds that no town behind one address meets, see the package's comment: 5,000 clients with 20 torrents each announce 56 times
// a second, and 100,000 times when they all come at once; one torrent in four may be one that they leech.
func Usual() Bounds {
	return Bounds{
		Requests: Bound{200_000, 500}, Unknown: Bound{100_000, 20}, Joins: Bound{50_000, 10},
		Failures: Bound{20_000, 20}, Connects: Bound{200, 200},
	}
}

// What is counted of a client.
const (
	requests = iota
	unknown
	joins
	failures
	connects
	counters
)

const (
	cellBits = 14
	cells    = 1 << cellBits
	// restarted is for how long after the start no connection id is an offence: it may be one of the process before.
	restarted = 15 * time.Minute
)

// Watch counts what clients do. Its methods may be called from any number of goroutines.
type Watch struct {
	start  time.Time
	keys   [2]uint64
	bounds [2][counters]Bound // of a client, and of a network of 56 bits
	jail   *pacer.Jail
	jails  bool

	failed, dampened atomic.Uint64

	cells [cells]cell
}

// cell is on one cache line.
type cell [8]atomic.Uint64

// New returns a watch that has seen nobody. It names offenders to a jail; unless it jails, nobody is to heed who is in there.
func New(now time.Time, b Bounds, jail *pacer.Jail, jails bool) *Watch {
	w := &Watch{start: now, keys: [2]uint64{rand.Uint64(), rand.Uint64()}, jail: jail, jails: jails}
	w.bounds[0] = [counters]Bound{b.Requests, b.Unknown, b.Joins, b.Failures, b.Connects}
	for i, b := range w.bounds[0] {
		w.bounds[1][i] = Bound{2 * b.Burst, 2 * b.Rate}
	}
	return w
}

// Jail returns the jail that offenders are named to.
func (w *Watch) Jail() *pacer.Jail { return w.jail }

// Jails reports whether those in the jail are to be treated otherwise.
func (w *Watch) Jails() bool { return w.jails }

// Holds reports whether a client is to be treated otherwise.
func (w *Watch) Holds(now time.Time, client netip.Addr) bool {
	return w.jails && w.jail.Holds(now, pacer.ClientOf(client))
}

// Request counts a request of a client that has proved where it is.
func (w *Watch) Request(now time.Time, client netip.Addr) {
	w.charge(now, pacer.ClientOf(client), requests, 1, pacer.OverBudget)
}

// Deed is what an announce did.
type Deed struct {
	Unknown bool // to a torrent that was not known
	Stayed  bool // of a peer that was known, and had not been heard of for a while
	Joined  bool // of a leecher that was not known, and was given peers
}

// Announced counts what an announce did, beside its request.
func (w *Watch) Announced(now time.Time, client netip.Addr, d Deed) {
	c := pacer.ClientOf(client)
	switch {
	case d.Unknown:
		w.charge(now, c, unknown, 1, pacer.Spraying)
	case d.Stayed:
		w.charge(now, c, joins, -1, pacer.Harvesting)
	case d.Joined:
		w.charge(now, c, joins, 1, pacer.Harvesting)
	}
}

// charge counts n for a client and the network it is in, and sentences the one that is beyond its bound.
func (w *Watch) charge(now time.Time, c pacer.Client, counter int, n int32, offence pacer.Offence) {
	if w.count(now, c, 0, counter, n) {
		w.jail.Sentence(now, c, offence)
	}
	if wide := c.Wide(); wide != c && w.count(now, wide, 1, counter, n) {
		w.jail.Sentence(now, wide, offence)
	}
}

// count counts n for a client and reports whether it is beyond its bound.
func (w *Watch) count(now time.Time, c pacer.Client, wide, counter int, n int32) bool {
	p, tag := w.find(c, counter)
	return w.bounds[wide][counter].charge(p, tag, w.second(now), n)
}

// Failed counts a request from an address with a connection id that was never given to it.
func (w *Watch) Failed(now time.Time, from netip.Addr) {
	if now.Sub(w.start) < restarted {
		return
	}
	w.failed.Add(1)
	c := pacer.ClientOf(from)
	w.count(now, c, 0, failures, 1)
	if wide := c.Wide(); wide != c {
		w.count(now, wide, 1, failures, 1)
	}
}

// Dampens reports whether an address is not to get a connection id now: it, or who writes it on packets, failed with too many.
func (w *Watch) Dampens(now time.Time, from netip.Addr) bool {
	if w.failed.Load() < uint64(w.bounds[0][failures].Burst) {
		return false // nobody can have
	}
	c := pacer.ClientOf(from)
	over := w.dampens(now, c, 0)
	if wide := c.Wide(); wide != c && !over {
		over = w.dampens(now, wide, 1)
	}
	if over {
		w.dampened.Add(1)
	}
	return over && w.jails
}

func (w *Watch) dampens(now time.Time, c pacer.Client, wide int) bool {
	p, tag := w.find(c, failures)
	return w.bounds[wide][failures].full(p.Load(), tag, w.second(now)) && w.count(now, c, wide, connects, 1)
}

// find returns where a counter of a client is, and the tag it has there.
func (w *Watch) find(c pacer.Client, counter int) (p *atomic.Uint64, tag uint64) {
	bitsOf, kind := c.Words()
	hi, lo := bits.Mul64(bitsOf^w.keys[0], (kind^w.keys[1])|1)
	hi, lo = bits.Mul64(hi^lo^w.keys[1], w.keys[0]|1)
	h := hi ^ lo
	return &w.cells[h>>(64-cellBits)][counter], h & (1<<tagBits - 1)
}

func (w *Watch) second(now time.Time) uint64 {
	return uint64(max(now.Sub(w.start), 0)/time.Second) & (1<<timeBits - 1)
}

// Stats is what there is to see of a watch, beside its jail.
type Stats struct {
	Failed   uint64 // connection ids that were never given to who used them
	Dampened uint64 // connection ids that were not given for that, or would not have been
}

// Stats returns the figures of now.
func (w *Watch) Stats() Stats { return Stats{w.failed.Load(), w.dampened.Load()} }
