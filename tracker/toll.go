package tracker

import (
	"net/netip"
	"time"

	"starling/tracker/pacer"
	"starling/wire"
)

// toll is what one request costs and what it has paid. A connection and a UDP
// worker have one each and use it for one request after the other.
//
//	request --> store --> answer --> toll --> wait or try --> ladder --> settle
//	            (always)             its      tokens for      what it    what the
//	                                 class    the whole       gets       answer had
//
// The state change of a request is stored before all this, whatever the client
// is told, and so the whole answer is there when it is asked what it costs.
type toll struct {
	shard    int // of the leases and counters
	waiter   *pacer.Waiter
	request  pacer.Request
	class    int
	announce bool
	requests int64 // tokens for the announces that it counts as; 0: it is no announce and no scrape, but something that is wrong
	bytes    int64 // of the whole answer
	peers    int   // in it
	bare     int64 // bytes of the answer without peers

	side    *byteSide // nil: bytes are not paced
	paid    int64     // bytes that were taken before the answer
	outcome pacer.Outcome
	waited  time.Duration
}

// enter finds the class of a request. What is wrong in itself is of the class of documents.
func (p *Pacing) enter(t *toll) *kinds {
	k := p.classes.Load()
	t.class = k.classifier.Classify(&t.request)
	t.side, t.paid, t.outcome, t.waited = p.bytes.Load(), 0, pacer.Admitted, 0
	return k
}

// wait takes the tokens for the whole answer of an HTTP request, and waits for them in one
// queue if it has to: one that stood for its request does not stand for its bytes again.
func (p *Pacing) wait(now time.Time, t *toll) {
	if q := p.requests; q != nil && !q.gate.Try(now, t.shard, t.class, t.requests) {
		t.outcome = unpaced(q.gate.Wait(now, t.waiter, t.shard, t.class, pacer.ClientOf(t.request.Client), t.requests))
		t.waited = max(time.Since(now), 1)
		if t.outcome != pacer.Admitted {
			return
		}
		now = now.Add(t.waited)
	}
	switch {
	case t.side == nil:
		return
	case t.side.gate.Try(now, t.shard, t.class, t.bytes):
	case t.waited > 0:
		t.outcome = pacer.Late
		return
	default:
		t.outcome = unpaced(t.side.gate.Wait(now, t.waiter, t.shard, t.class, pacer.ClientOf(t.request.Client), t.bytes))
		t.waited = max(time.Since(now), 1)
	}
	if t.outcome == pacer.Admitted {
		t.paid = t.bytes
	}
}

// unpaced makes a request go that waited when the limit was taken away, or when the server ends: nothing stands in its way any more.
func unpaced(o pacer.Outcome) pacer.Outcome {
	if o == pacer.Closed {
		return pacer.Admitted
	}
	return o
}

// try takes the tokens for the whole answer of a UDP request, if they are there.
func (p *Pacing) try(now time.Time, t *toll) {
	switch q := p.requests; {
	case q != nil && !q.gate.Try(now, t.shard, t.class, t.requests):
		t.outcome = pacer.Full
	case t.side == nil:
	case t.side.gate.TryWhole(now, t.shard, t.class, t.bytes):
		t.paid = t.bytes
	default:
		t.outcome = pacer.Full
	}
}

// ladder returns what the request gets, and with how many peers. Who comes here did not get everything at once.
func (p *Pacing) ladder(now time.Time, k *kinds, t *toll, udp, sibling bool) (pacer.Step, int) {
	step, peers := p.decide(now, k, t, udp, sibling)
	p.crowded(now, k, t, step)
	return step, peers
}

func (p *Pacing) decide(now time.Time, k *kinds, t *toll, udp, sibling bool) (pacer.Step, int) {
	if t.outcome == pacer.Admitted {
		if n := pacer.Shorter(t.peers, t.waited, k.waits[t.class]); t.announce && t.paid > 0 && n < t.peers {
			return pacer.Short, n
		}
		return pacer.Serve, t.peers
	}
	s := pacer.Situation{
		Kind: t.request.Kind, Outcome: t.outcome, UDP: udp, Jail: t.class == k.jail, Sibling: sibling, NumWant: t.peers,
	}
	if t.side != nil && t.peers > 0 {
		s.Base, s.PerPeer = t.bare, (t.bytes-t.bare+int64(t.peers)-1)/int64(t.peers)
		s.Available = t.side.gate.Available(now, t.class)
	}
	return pacer.Decide(s)
}

// settle books what the answer really has, which is less or more than was paid, and counts it.
func (p *Pacing) settle(t *toll, step pacer.Step, bytes int64) {
	if t.side != nil && bytes != t.paid {
		t.side.gate.Charge(t.shard, t.class, bytes-t.paid)
	}
	p.count(t.shard, step)
}

// kindOf returns the kind of request that an announce is.
func kindOf(e wire.Event) pacer.Kind {
	switch e {
	case wire.EventStarted:
		return pacer.Started
	case wire.EventCompleted:
		return pacer.Completed
	case wire.EventStopped:
		return pacer.Stopped
	}
	return pacer.Regular
}

// thin keeps n of the peers of a compact list, from all over it: a list has the leechers first and the seeders behind.
func thin(peers []byte, size, n int) []byte {
	all := len(peers) / size
	n = min(n, all)
	for i := range n {
		from := i * all / n * size
		copy(peers[i*size:], peers[from:from+size])
	}
	return peers[:n*size]
}

// shorten keeps n of all peers of an answer, of each family its part.
func (a *Answer) shorten(n int) {
	four, six := len(a.Peers4)/wire.Compact4, len(a.Peers6)/wire.Compact6
	if all := four + six; n < all {
		keep := (n*four + all/2) / all
		a.Peers4 = thin(a.Peers4, wire.Compact4, keep)
		a.Peers6 = thin(a.Peers6, wire.Compact6, n-keep)
	}
}

// client names the client of a request to the pacing.
func (t *toll) client(kind pacer.Kind, from netip.Addr, peerID []byte, requests int64) {
	t.request.Kind, t.request.Client, t.request.PeerID = kind, from, peerID
	t.announce, t.requests, t.peers = kind != pacer.Scrape, requests*perRequest, 0
}
