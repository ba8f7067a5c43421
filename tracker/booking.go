package tracker

import (
	"math/rand/v2"
	"time"

	"starling/tracker/pacer"
	"starling/wire"
)

// book returns in how many seconds a client is to come back, 0 when it does not matter, and the place that
// the calendar keeps for it.
func (p *Pacing) book(now time.Time, t *Tracker, a *Announce) pacer.Booking {
	if p == nil || p.requests == nil || a.Event == wire.EventStopped {
		return pacer.Booking{}
	}
	q, table := peerOf(&a.Peer), familyOf(&a.Peer)
	spread := uint64(p.key.peer(q.words(width(table)))) << 32
	b := p.requests.calendar.Book(now, t.cfg.Interval, t.maxBooked(), spread, rand.Uint64())
	a.Booked = uint32(b.Interval / time.Second)
	return b
}

// booked tells the calendar and the jail what is known of a client now that its announce is stored: who came early, without
// an event that called for it, is expected to do so again.
func (p *Pacing) booked(now time.Time, t *Tracker, a *Announce, ans *Answer, b pacer.Booking) {
	if p.requests == nil || !ans.New && ans.Early == 0 {
		return
	}
	c, base, latest := p.requests.calendar, t.cfg.Interval, t.maxBooked()
	if ans.New {
		c.New(now, base, latest, b, rand.Uint64())
		return
	}
	c.Return(now.Add(ans.Early), t.shards[0].seen.unit, rand.Uint64())
	if kindOf(a.Event) == pacer.Regular {
		c.Again(now, base, latest)
	}
}

// unbook frees the place of a client that was sent elsewhere.
func (p *Pacing) unbook(b pacer.Booking) {
	if b.Interval > 0 {
		p.requests.calendar.Cancel(b.Slot)
	}
}
