package livesync

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"time"

	"starling/wire"
)

const (
	// oldestTell bounds the age of a told torrent, in minutes: a tracker keeps none longer.
	oldestTell = 24 * 60
	// legacyMemory is how long tells are withheld after a sign of life of an opentracker of 2010,
	// which hangs on the first tell it hears.
	legacyMemory = time.Hour
)

// scrapeSync is the state machine that brings download counts to nodes that lack them: beacons
// say how many torrents a node serves, asking decides whom to ask, telling answers,
// and better corrects what others tell. It takes the time, and returns what to send.
type scrapeSync struct {
	cfg           *Config
	rng           *rand.Rand
	beaconAt      time.Time
	ask           asking
	tell          telling
	better        better
	legacy        time.Time // when an opentracker of 2010 was last heard
	legacyAddress netip.AddrPort
	entries       [wire.MaxTells]wire.Tell
}

func newScrapeSync(cfg *Config, rng *rand.Rand) scrapeSync {
	s := scrapeSync{cfg: cfg, rng: rng, ask: newAsking(cfg.BeaconInterval), better: newBetter()}
	s.ask.owe, s.ask.settle = cfg.Owe, cfg.Settle
	return s
}

// start is told that the node runs. The first beacon waits, so that a node
// that was restarted hears of the others first.
func (s *scrapeSync) start(now time.Time) {
	if s.cfg.ScrapeSync != Off {
		s.beaconAt = now.Add(s.cfg.FirstBeaconDelay)
	}
}

// beacon is told that another node serves that many torrents.
func (s *scrapeSync) beacon(now time.Time, from wire.NodeID, torrents uint64) {
	if s.cfg.ScrapeSync != Off && exceeds(torrents, s.cfg.Torrents(), s.cfg.InquireThreshold) {
		s.ask.beacon(now, from, torrents, s.jitter())
	}
}

// inquired is told that another node asks us for all our torrents.
func (s *scrapeSync) inquired(now time.Time) {
	if s.cfg.ScrapeSync != Off && !s.withheld(now) {
		s.tell.inquired(now)
	}
}

// told takes in a tell of another node; self is our id.
func (s *scrapeSync) told(now time.Time, self wire.NodeID, p *wire.Packet) {
	if s.cfg.ScrapeSync == Off {
		return
	}
	learned := false
	for i := range p.Len() {
		e := p.Tell(i)
		e.Age = min(e.Age, oldestTell)
		if s.cfg.Learn(now, e) {
			learned = true
		}
		if ours, ok := s.cfg.Lookup(now, e.InfoHash); ok && ours.Downloaded > e.Downloaded {
			s.better.add(e.InfoHash, e.Downloaded)
		} else {
			s.better.drop(e.InfoHash)
		}
	}
	quiet := now.Add(s.cfg.BeaconInterval + s.jitter())
	s.ask.told(now, int64(wire.HeaderSize+p.Len()*wire.TellSize), learned)
	s.better.told(quiet)
	if bytes.Compare(p.From[:], self[:]) < 0 {
		s.tell.lowerTold(quiet)
	}
}

// hearLegacy is told of a sign of life of an opentracker of 2010, and reports whether it is the first in a while.
func (s *scrapeSync) hearLegacy(now time.Time, from netip.AddrPort) (first bool) {
	first = !within(now, s.legacy, legacyMemory)
	s.legacy, s.legacyAddress = now, from
	return first
}

// withheld reports whether no tell may leave.
func (s *scrapeSync) withheld(now time.Time) bool {
	return s.cfg.ScrapeSync == Auto && within(now, s.legacy, legacyMemory)
}

// nextControl appends the beacon or inquiry that is due to b and says what it is and whom it is for; nil when neither is.
func (s *scrapeSync) nextControl(now time.Time, self wire.NodeID, b []byte) (pkt []byte, kind wire.Kind, target wire.NodeID) {
	if !s.beaconAt.IsZero() && !now.Before(s.beaconAt) {
		s.beaconAt = now.Add(s.cfg.BeaconInterval + s.jitter())
		return wire.AppendBeacon(b, self, s.cfg.Torrents()), wire.KindBeacon, target
	}
	if target, ok := s.ask.next(now); ok {
		return wire.AppendInquire(b, self, target), wire.KindInquire, target
	}
	return nil, 0, target
}

// nextTell appends the tell that is due to b; nil when none is.
func (s *scrapeSync) nextTell(now time.Time, self wire.NodeID, b []byte) []byte {
	n := s.nextTells(now)
	if n == 0 {
		return nil
	}
	b = wire.AppendTell(b, self)
	for i := range n {
		b = s.entries[i].Append(b)
	}
	return b
}

// nextTells puts what is to be told now into s.entries and returns how many there are.
func (s *scrapeSync) nextTells(now time.Time) int {
	if s.withheld(now) {
		s.tell = telling{}
		s.better.clear()
	}
	if !s.tell.active && s.better.len() > 0 && !now.Before(s.better.at) {
		s.tell.correct(now)
	}
	if !s.tell.ready(now) {
		return 0
	}
	if !s.tell.all {
		n := s.better.fill(now, s.entries[:], s.cfg.Lookup)
		s.tell.corrected(now, s.better.len() == 0)
		return n
	}
	n := s.tell.fill(now, s.entries[:], s.cfg.Tells)
	for i := range n {
		s.better.drop(s.entries[i].InfoHash)
	}
	return n
}

// controlDue returns when nextControl will have something to do, the zero time for never.
func (s *scrapeSync) controlDue() time.Time { return earliest(s.beaconAt, s.ask.at) }

// tellDue returns when nextTell will.
func (s *scrapeSync) tellDue() time.Time {
	if s.tell.active {
		return s.tell.due()
	}
	return s.better.due()
}

// state names what the machine does, for people.
func (s *scrapeSync) state(now time.Time) string {
	switch {
	case s.tell.active && now.Before(s.tell.quiet):
		return "waiting"
	case s.tell.active:
		return "telling"
	}
	return s.ask.state.String()
}

// jitter is up to a tenth of an interval. It keeps nodes that wait for the same thing from acting at the same moment.
func (s *scrapeSync) jitter() time.Duration {
	return time.Duration(s.rng.Int64N(int64(s.cfg.BeaconInterval)/10 + 1))
}
