package tracker

import (
	"net/netip"
	"time"

	"starling/tracker/pacer"
	"starling/wire"
)

// overloaded is the failure reason of a request for which there is nothing left.
const overloaded = "the tracker has more requests than it can answer, ask again later"

// announcePaced stores the peer in x.announce with a booking. It is apart from what is not paced, which would pay for its variables.
func (x *exchange) announcePaced(now time.Time, store *Tracker, client netip.Addr) {
	a := &x.announce
	x.toll.client(kindOf(a.Event), client, x.query.PeerID[:], 1)
	x.booking = x.pacing.book(now, store, client, a)
	store.Announce(now, a, &x.answer)
	x.pacing.booked(now, store, client, a, &x.answer, x.booking)
}

// paceRequest waits until the answer in x.body may leave, or makes it one that may leave at once. It returns how long
// it waited.
func (x *exchange) paceRequest(now time.Time, from netip.Addr, r *wire.Request, h *responseHead) (waited time.Duration) {
	p, t := x.pacing, &x.toll
	if t.requests == 0 {
		return x.paceWrong(now, from, r, h)
	}
	t.request.Path = r.Path
	k := p.enter(t)
	p.reclass(now, k, t)
	t.bytes = x.answerSize(r, h)
	if t.announce {
		t.peers = len(x.answer.Peers4)/wire.Compact4 + len(x.answer.Peers6)/wire.Compact6
	}
	p.wait(now, t)
	step, size := pacer.Serve, t.bytes
	if t.outcome != pacer.Admitted || t.waited > 0 {
		step = x.lessThanAll(now.Add(t.waited), k, r, h)
		size = x.answerSize(r, h)
	}
	p.settle(t, step, size)
	t.requests = 0
	return t.waited
}

// paceWrong waits until the answer to a request that is wrong in itself may leave: a flood of them would else take from the others what is
// assured to them. One that finds no room is answered, and the connection closed, which costs the client more.
func (x *exchange) paceWrong(now time.Time, from netip.Addr, r *wire.Request, h *responseHead) (waited time.Duration) {
	t := &x.toll
	t.request = pacer.Request{Kind: pacer.Bulk, Client: from}
	x.pacing.enter(t)
	if t.side == nil {
		return 0
	}
	n := x.answerSize(r, h)
	if t.side.gate.Try(now, t.shard, t.class, n) {
		return 0
	}
	switch t.side.gate.Wait(now, t.waiter, t.shard, t.class, pacer.ClientOf(from), n) {
	case pacer.Admitted, pacer.Closed:
	default:
		h.close = true
		t.side.gate.Charge(t.shard, t.class, x.answerSize(r, h))
	}
	return max(time.Since(now), 1)
}

// answerSize returns how many bytes the answer to a request has.
func (x *exchange) answerSize(r *wire.Request, h *responseHead) int64 {
	n := int64(h.size(len(x.body)))
	if string(r.Method) != "HEAD" {
		n += int64(len(x.body))
	}
	return n
}

// lessThanAll makes the answer in x.body what the ladder says.
func (x *exchange) lessThanAll(now time.Time, k *kinds, r *wire.Request, h *responseHead) pacer.Step {
	p, t := x.pacing, &x.toll
	refused, sibling := t.outcome != pacer.Admitted, false
	if refused && p.cfg.Redirect != nil && x.store(r) == x.tracker { // under a sibling's name a Host would be lost
		x.location, sibling = p.cfg.Redirect(now, x.location[:0], r.Path, r.Query)
	}
	if refused && t.announce {
		x.writeBare(t.request.Client)
		t.bare = x.answerSize(r, h)
	}
	step, peers := p.ladder(now, k, t, false, sibling)
	switch step {
	case pacer.Short:
		x.answer.shorten(peers)
		x.body = x.appendReply(x.body[:0], t.request.Client)
	case pacer.Redirect:
		p.unbook(x.booking)
		h.status, h.location = 302, x.location
		x.body = append(x.body[:0], "another node of this tracker has room\n"...)
	case pacer.Fail:
		interval := uint32(x.tracker.cfg.Interval / time.Second)
		if t.announce {
			interval = x.answer.Interval
		}
		x.body = wire.AppendRetry(x.body[:0], overloaded, interval, interval/2, (interval+59)/60)
	}
	return step
}

// writeBare writes the answer to an announce without its peers to the body, and leaves them where they are.
func (x *exchange) writeBare(client netip.Addr) {
	four, six := x.answer.Peers4, x.answer.Peers6
	x.answer.Peers4, x.answer.Peers6 = four[:0], six[:0]
	x.body = x.appendReply(x.body[:0], client)
	x.answer.Peers4, x.answer.Peers6 = four, six
}
