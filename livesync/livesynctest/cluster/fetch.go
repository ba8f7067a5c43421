package cluster

import (
	"errors"
	"io"
	"slices"
	"time"

	"starling/livesync"
	"starling/livesync/catchup"
	"starling/tracker"
	"starling/wire"
)

// How a stream of catching up goes over a network that is only numbers.
const (
	roundTrip   = time.Millisecond       // to connect and ask
	pieceTime   = 2 * time.Millisecond   // for a block to be made and to arrive, without noise
	lookAgain   = 100 * time.Millisecond // at a network that lets nothing through
	connectTime = 5 * time.Second        // until one who does not answer is given up
)

// Why a stream ends early.
var (
	errNobody = errors.New("nobody answers")
	errBroken = errors.New("the connection broke")
	errStill  = errors.New("the stream stands still")
)

// fetching is a stream on its way from one node to another, as it would be over TLS.
type fetching struct {
	to, from *member
	life     int // of from
	teller   *catchup.Teller
	came     []byte
}

// catchUp joins catching up to the store, as the program does.
func (m *member) catchUp() *livesync.CatchUp {
	store := m.store
	return &livesync.CatchUp{
		Since: m.knows, Part: m.part, Memory: m.memory, Recalled: m.time(), Timeout: m.Timeout,
		Store: catchup.Store{
			Walk: func(within time.Duration) catchup.Walk {
				at := tracker.Cursor{Within: within}
				return func(now time.Time, dst *wire.Excerpt) bool { return store.Walk(now, &at, dst) }
			},
			Restore: func(peers uint64) catchup.Restore {
				r := store.Restorer(peers)
				return catchup.Restore{Swarms: r.Restore, Leavers: r.Leave, Prune: r.Prune}
			},
			Apply: func(now time.Time, rs []wire.Record) {
				for i := range rs {
					store.Apply(now, rs[i])
				}
			},
			Count: func() (torrents, peers uint64) {
				st := store.Stats()
				return st.Torrents, st.Peers4 + st.Peers6
			},
		},
	}
}

// fetch begins the stream that the node wants, if it wants one.
func (m *member) fetch() {
	if !m.works() || !m.plugged || m.fetching != nil {
		return
	}
	want, request := m.node.Fetch(m.time())
	if want == nil {
		return
	}
	f := &fetching{to: m}
	for _, o := range m.members {
		if o.address().Addr() == want.Addr.Addr() && o.id == want.ID {
			f.from, f.life = o, o.lives
		}
	}
	m.fetching = f
	m.log("asks %s for what happened since %s", want.ID, want.Since.Sub(epoch))
	f.later(max(want.After.Sub(m.time()), 0)+roundTrip, func() { f.ask(request, m.now) })
}

// later goes on with the stream after a time, unless it is over by then.
func (f *fetching) later(d time.Duration, do func()) {
	f.to.at(f.to.now+d, func() {
		if f.to.fetching == f {
			do()
		}
	})
}

// through reports whether packets get through in both directions.
func (f *fetching) through() bool {
	a, b := f.to, f.from
	return a.works() && b.works() && b.plugged && !slices.ContainsFunc(a.active, func(e Event) bool {
		return e.Kind == Cut && a.now < e.end() && (e.cuts(a.number, b.number) || e.cuts(b.number, a.number))
	})
}

// ask has the request answered.
func (f *fetching) ask(request []byte, since time.Duration) {
	switch {
	case f.from == nil || !f.from.up || f.life != f.from.lives:
		f.over(errNobody)
	case !f.through() && f.to.now-since >= connectTime:
		f.over(errNobody)
	case !f.through():
		f.later(lookAgain, func() { f.ask(request, since) })
	default:
		r, err := catchup.ParseRequest(request)
		if err == nil {
			f.teller, err = f.from.node.Answer(f.from.time(), r)
		}
		if err != nil {
			f.over(err)
			return
		}
		f.step()
	}
}

// step has the next block made and sent.
func (f *fetching) step() {
	switch {
	case !f.from.up || f.life != f.from.lives:
		f.over(errBroken)
	case f.to.node.FetchStalled(f.to.time()):
		f.over(errStill)
	case !f.through():
		f.later(lookAgain, f.step)
	default:
		piece := slices.Clone(f.teller.Next(f.from.time()))
		if len(piece) > 0 && f.spoilt(piece) {
			f.over(errBroken)
			return
		}
		f.later(pieceTime+f.noise(), func() { f.arrive(piece) })
	}
}

// spoilt damages a piece when streams are spoilt, and reports whether the connection breaks instead.
func (f *fetching) spoilt(piece []byte) bool {
	for _, e := range f.to.active {
		if e.Kind != Spoil || f.to.now >= e.end() || f.to.rng.Float64() >= e.Loss {
			continue
		}
		if f.to.rng.IntN(2) == 0 {
			return true
		}
		piece[f.to.rng.IntN(len(piece))] ^= 1 << f.to.rng.IntN(8)
	}
	return false
}

// noise is how much longer a piece takes while packets are lost and late.
func (f *fetching) noise() (d time.Duration) {
	for _, e := range f.to.active {
		if e.Kind == Noise && f.to.now < e.end() {
			d += time.Duration(f.to.rng.Int64N(int64(e.Delay)+1)) + time.Duration(e.Loss*float64(time.Second))
		}
	}
	return d
}

// arrive hands over what came.
func (f *fetching) arrive(piece []byte) {
	m := f.to
	if !m.works() {
		f.later(lookAgain, func() { f.arrive(piece) })
		return
	}
	f.came = append(f.came, piece...)
	m.model.changed(m) // its store may have changed
	for n := m.node.FetchSize(); n > 0 && len(f.came) >= n; n = m.node.FetchSize() {
		if err := m.node.Fetched(m.time(), f.came[:n]); err != nil {
			f.over(err)
			return
		}
		f.came = f.came[n:]
	}
	switch {
	case m.node.FetchSize() == 0:
		f.over(nil)
	case len(piece) == 0:
		f.over(io.ErrUnexpectedEOF)
	default:
		f.step()
	}
}

// over ends the stream.
func (f *fetching) over(err error) {
	m := f.to
	m.fetching = nil
	m.log("has no stream any more: %v", err)
	if err == nil {
		m.stats.CaughtUp++
	}
	m.node.FetchOver(m.time(), err)
	m.pump()
}
