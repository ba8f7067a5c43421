package tracker

import (
	"net/netip"
	"time"

	"starling/tracker/pacer"
	"starling/wire"
)

// announcePaced stores the peer in w.announce with a booking, and takes what the answer costs. It is apart from what is not paced, which
// would pay for its variables.
func (w *udpWorker) announcePaced(now time.Time, from netip.Addr, packet []byte) {
	a := &w.announce
	w.toll.client(kindOf(a.Event), from, wire.UDPPeerID(packet), 1)
	b := w.pacing.book(now, w.tracker, from, a)
	w.tracker.Announce(now, a, &w.answer)
	w.pacing.booked(now, w.tracker, from, a, &w.answer, b)
	w.paceAnnounce(now)
}

// paceAnnounce takes what the answer costs, or makes it one of fewer peers. It never waits, and some answer always leaves.
func (w *udpWorker) paceAnnounce(now time.Time) {
	four, six := len(w.answer.Peers4), len(w.answer.Peers6)
	if w.toll.request.Client.Is4() {
		six = 0
	} else {
		four = 0
	}
	w.toll.peers = four/wire.Compact4 + six/wire.Compact6
	w.toll.bare = wire.UDPAnnounceReplySize
	step, peers := w.admit(now, wire.UDPAnnounceReplySize+four+six)
	if step != pacer.Serve {
		w.answer.shorten(peers)
	}
	w.pacing.settle(&w.toll, step, int64(wire.UDPAnnounceReplySize+len(w.answer.Peers4)+len(w.answer.Peers6)))
}

// paceScrape takes what the answer costs. It leaves in any case: an error would make the client wait no longer than silence does.
func (w *udpWorker) paceScrape(now time.Time, bytes int) {
	step, _ := w.admit(now, bytes)
	w.pacing.settle(&w.toll, step, int64(bytes))
}

// paceRest counts the bytes of a packet, and charges for what is neither an announce nor a scrape, such as a connect.
func (w *udpWorker) paceRest(bytes int) {
	w.pacing.recorder.RecordShard(w.toll.shard, uint64(bytes))
	if w.toll.requests != 0 {
		w.toll.requests = 0
		return
	}
	w.toll.request = pacer.Request{Kind: pacer.Bulk}
	w.pacing.enter(&w.toll)
	if side := w.toll.side; side != nil {
		side.gate.Charge(w.toll.shard, w.toll.class, int64(bytes))
	}
}

// admit takes the tokens for the whole answer, if they are there, and returns what the request gets.
func (w *udpWorker) admit(now time.Time, bytes int) (pacer.Step, int) {
	p, t := w.pacing, &w.toll
	k := p.enter(t)
	p.reclass(now, k, t)
	t.bytes = int64(bytes)
	p.try(now, t)
	if t.outcome == pacer.Admitted {
		return pacer.Serve, t.peers
	}
	return p.ladder(now, k, t, true, false)
}
