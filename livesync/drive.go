package livesync

import (
	"net/netip"
	"time"
)

// The steps of a node's life. [Node.Run] takes them as the clock and the sockets have it; whoever has clocks and sockets of
// its own, as a simulation has, takes them itself, from one goroutine and without Run:
//
//	Start(now, link)              the group was joined; again after each Lost
//	Next(now)                     until it returns nil: after Start, when Woken says so, and when Due has come
//	Receive(now, from, to, b)     for each datagram
//	Lost(why)                     the membership is over; Next returns nil until it is back, and yet wants to be called when it is due
//	End(now)                      Next returns what is left, and once Due is zero nothing more

// Start is told that the group was joined on link.
func (n *Node) Start(now time.Time, link Link) {
	if !n.started {
		n.start(now)
	}
	n.joined(now, link)
}

// Next returns a packet to be sent now, nil when there is none. It is valid until the next call.
func (n *Node) Next(now time.Time) []byte {
	if n.ending {
		return n.nextLast(now)
	}
	pkt := n.next(now)
	n.applyRipe(now)
	return pkt
}

// Due returns when Next has to be called again, the zero time for not before something is offered or heard.
func (n *Node) Due(now time.Time) time.Time { return n.due(now) }

// Woken reports, once, that something was offered or heard for which Next has to be called. Run waits for it instead.
func (n *Node) Woken() bool {
	select {
	case <-n.wake:
		return true
	default:
		return false
	}
}

// Receive takes in a datagram that came from an address and was sent to a group. Nothing keeps b.
func (n *Node) Receive(now time.Time, from netip.AddrPort, to netip.Addr, b []byte) {
	n.receive(now, from, to, b)
}

// Lost is told why the membership is over.
func (n *Node) Lost(why error) { n.lost(why) }

// End makes Next return the records that were offered before the end, and nothing else. It asks no budget: the queue bounds
// what leaves, and an end that waits for tokens would be cut short by whoever waits for it. With a key a farewell follows, and Due
// says until when others may still ask for what they miss of it.
func (n *Node) End(now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ending = true
	n.outbox.batch.leave()
	n.outbox.backlog, n.outbox.lanes[LiveLane].at = 0, time.Time{}
}

// StatusAt returns what [Node.Status] would at that time.
func (n *Node) StatusAt(now time.Time) Status { return n.status(now) }
