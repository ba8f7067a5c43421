package tracker

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"starling/tracker/pacer"
	"starling/wire"
)

// book returns in how many seconds a client is to come back, 0 when it does not matter, and the place that
// the calendar keeps for it: none for a client that is in the jail, which could fill the calendar.
func (p *Pacing) book(now time.Time, t *Tracker, from netip.Addr, a *Announce) pacer.Booking {
	if p.requests == nil || a.Event == wire.EventStopped {
		return pacer.Booking{}
	}
	if p.classes.Load().jail >= 0 && p.requests.jail.Holds(now, pacer.ClientOf(from)) {
		a.Booked = uint32(t.cfg.Interval / time.Second)
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
	q, base, latest, early := p.requests, t.cfg.Interval, t.maxBooked(), false
	switch {
	case ans.New && b.Interval > 0:
		q.calendar.New(now, base, latest, b, rand.Uint64())
	case ans.Early > 0:
		q.calendar.Return(now.Add(ans.Early), t.shards[0].seen.unit, rand.Uint64())
		if kindOf(a.Event) != pacer.Regular {
			break
		}
		if early = ans.Early > t.cfg.MinInterval; b.Interval > 0 {
			q.calendar.Again(now, base, latest)
		}
	}
	switch {
	case !watched(from):
	case early:
		q.jail.Early(now, pacer.ClientOf(from))
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

// crowded takes note of a request that waited or did not get everything. Those of the jail say nothing about the others.
func (p *Pacing) crowded(now time.Time, k *kinds, t *toll, step pacer.Step) {
	if t.class == k.jail {
		return
	}
	if p.requests != nil {
		p.requests.jail.Crowded(now)
	}
	if at := now.UnixNano(); step != pacer.Serve && at != p.less.Load() {
		p.less.Store(at)
	}
}

// Less returns when a request got less than everything last, one of the jail apart; zero: none did.
func (p *Pacing) Less() time.Time {
	if at := p.less.Load(); at != 0 {
		return time.Unix(0, at)
	}
	return time.Time{}
}

// unbook frees the place of a client that was sent elsewhere.
func (p *Pacing) unbook(b pacer.Booking) {
	if b.Interval > 0 {
		p.requests.calendar.Cancel(b.Slot)
	}
}
