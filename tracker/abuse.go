package tracker

import (
	"net/netip"
	"time"

	"starling/tracker/abuse"
	"starling/wire"
)

// watches reports whether it is looked at what a client does: not for those of this host, of private networks and proxies, behind which
// there may be any number, and where an operator knows whom to ask.
func watches(s *sources, client netip.Addr) bool {
	return client.IsValid() && !s.mayNameIP(client) && !client.IsLinkLocalUnicast()
}

// deedOf returns what an announce did that was carried out.
func deedOf(a *Announce, ans *Answer) abuse.Deed {
	return abuse.Deed{
		Unknown: ans.Unknown, Stayed: ans.Stayed,
		Joined: ans.New && !a.Seeder && len(ans.Peers4)+len(ans.Peers6) > 0,
	}
}

// jails reports whether those in the jail have a class of their own, which is nobody's without pacing of requests.
func (p *Pacing) jails() bool { return p != nil && p.requests != nil && p.classes.Load().jail >= 0 }

// jailed is the failure reason of a client in the jail, where there is no class for it.
const jailed = "too many requests from your address, ask again later"

// jailedFor is for how many seconds such a client is asked to stay away, as long as a sentence is.
const jailedFor = 300

// turnsAway counts a request of a client that is watched, and refuses it when the client is in the jail and there is no class for it. In the class for it
// the client is served, but brings no torrents in.
func (x *exchange) turnsAway(now time.Time, client netip.Addr) bool {
	x.abuse.Request(now, client)
	if x.held = x.abuse.Holds(now, client); !x.held || x.pacing.jails() {
		return false
	}
	x.tally.refuse(refuseJail)
	x.body = wire.AppendRetry(x.body, jailed, jailedFor, jailedFor, jailedFor/60)
	return true
}

// turnsAway counts a request with a good connection id, and reports whether it is left unanswered: the client is in the jail, and there is no
// class for it.
func (w *udpWorker) turnsAway(now time.Time, from netip.Addr) bool {
	from = from.Unmap()
	if w.watched = watches(&w.sources, from); !w.watched {
		return false
	}
	w.abuse.Request(now, from)
	if w.held = w.abuse.Holds(now, from); !w.held || w.pacing.jails() {
		return false
	}
	w.tally.refuse(refuseJail)
	return true
}

// failed counts a connection id that was never given to the address it came from.
func (w *udpWorker) failed(now time.Time, from netip.Addr, id uint64) {
	if watches(&w.sources, from.Unmap()) && !w.ids.wasValid(now, from, id, &w.scratch) {
		w.abuse.Failed(now, from)
	}
}

// dampens reports whether an address gets no connection id now, because of the wrong ones that came from it.
func (w *udpWorker) dampens(now time.Time, from netip.Addr) bool {
	if !watches(&w.sources, from.Unmap()) || !w.abuse.Dampens(now, from) {
		return false
	}
	w.tally.refuse(refuseConnect)
	return true
}
