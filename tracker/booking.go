package tracker

import (
	"math/rand/v2"
	"net/netip"
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

// booked tells the calendar and the jail what is known of a client now that its announce is stored. One that came early although
// nothing had happened is expected to do so again.
func (p *Pacing) booked(now time.Time, t *Tracker, from netip.Addr, a *Announce, ans *Answer, b pacer.Booking) {
	if p.requests == nil {
		return
	}
	q, base, latest := p.requests, t.cfg.Interval, t.maxBooked()
	switch {
	case ans.New:
		q.calendar.New(now, base, latest, b, rand.Uint64())
	case ans.Early > 0:
		q.calendar.Return(now.Add(ans.Early), t.shards[0].seen.unit, rand.Uint64())
		if kindOf(a.Event) != pacer.Regular {
			return
		}
		q.calendar.Again(now, base, latest)
		if ans.Early > t.cfg.MinInterval && watched(from) {
			q.jail.Early(now, pacer.ClientOf(from))
		}
	default:
		q.jail.OnTime(now, pacer.ClientOf(from))
	}
}

// watched reports whether a client can be put into the jail. From this host come tests, and proxies that nobody declared.
func watched(client netip.Addr) bool { return !client.Unmap().IsLoopback() }

// reclass counts a request, and makes it one of the jail when its client is in there. Without a class of that name nobody is.
func (p *Pacing) reclass(now time.Time, k *kinds, t *toll) {
	q := p.requests
	if q == nil || k.jail < 0 || !watched(t.request.Client) {
		return
	}
	client := pacer.ClientOf(t.request.Client)
	q.jail.Request(now, client, t.requests/perRequest, p.cfg.AnnounceRate)
	if q.jail.Holds(now, client) {
		t.class = k.jail
	}
}

// crowded tells the jail of a request that waited or did not get everything, unless it is of those that are in the jail.
func (p *Pacing) crowded(now time.Time, k *kinds, t *toll) {
	if p.requests != nil && t.class != k.jail {
		p.requests.jail.Crowded(now)
	}
}

// unbook frees the place of a client that was sent elsewhere.
func (p *Pacing) unbook(b pacer.Booking) {
	if b.Interval > 0 {
		p.requests.calendar.Cancel(b.Slot)
	}
}
