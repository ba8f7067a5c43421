package tracker

import (
	"math"
	"net/netip"
	"slices"
	"time"

	"starling/tracker/access"
	"starling/tracker/pacer"
	"starling/wire"
)

// The most peers that fit into an answer.
const (
	maxUDPPeers4 = (wire.MaxUDPReply - wire.UDPAnnounceReplySize) / wire.Compact4 // 202
	maxUDPPeers6 = (wire.MaxUDPReply - wire.UDPAnnounceReplySize) / wire.Compact6 // 67
)

// udpWorker answers the packets of one socket. It holds what an answer needs
// on the way, so that nothing is allocated for a packet.
type udpWorker struct {
	*UDP
	tally    *tally
	scratch  connScratch
	announce Announce
	answer   Answer
	watched  bool    // the client of this packet, for abuse
	held     bool    // it is in the jail, if it is watched
	pacing   *Pacing // the server's, since the last packet; nil: nothing is paced
	toll     toll    // with pacing only
	ahead    ahead   // in a large store only
	replies  [batch][wire.MaxUDPReply]byte
}

// handle returns the answer to a packet, appended to dst, or nothing when there is none to give.
func (w *udpWorker) handle(now time.Time, from netip.Addr, packet, dst []byte) []byte {
	h, ok := wire.ParseUDPHeader(packet)
	switch {
	case !ok:
		w.tally.refuse(refuseShort)
		return dst
	case len(packet) > maxUDPRequest:
		w.tally.refuse(refuseLong)
		return dst
	case h.Action == wire.ActionConnect:
		if h.ConnectionID != wire.ProtocolID {
			w.tally.refuse(refuseProtocol)
			return dst
		}
		if w.abuse != nil && w.dampens(now, from) {
			return dst
		}
		w.tally.connects.Add(1)
		return wire.AppendUDPConnectReply(dst, h.TransactionID, w.ids.make(now, from, &w.scratch))
	case !w.ids.valid(now, from, h.ConnectionID, &w.scratch):
		w.tally.refuse(refuseConnectionID)
		if w.abuse != nil {
			w.failed(now, from, h.ConnectionID)
		}
		return dst
	case w.abuse != nil && w.turnsAway(now, from):
		return dst
	case h.Action == wire.ActionAnnounce:
		return w.handleAnnounce(now, from, packet, h.TransactionID, dst)
	case h.Action == wire.ActionScrape:
		return w.handleScrape(now, from, packet, h.TransactionID, dst)
	}
	w.tally.refuse(refuseAction)
	return wire.AppendUDPError(dst, h.TransactionID, "action: unknown")
}

// handleAnnounce stores the peer and answers others of the packet's family
// (BEP 15), which the address field of an announce, IPv4 only, cannot change.
func (w *udpWorker) handleAnnounce(now time.Time, from netip.Addr, packet []byte, transaction uint32, dst []byte) []byte {
	q, err := wire.ParseUDPAnnounce(packet)
	if err != nil {
		return w.refuseParameter(dst, transaction, err.Error())
	}
	if q.Port == 0 {
		return w.refuseParameter(dst, transaction, "port: 0, nobody can connect to it")
	}
	from = from.Unmap()
	rules := w.tracker.Access()
	if rules != nil {
		if v := w.verdict(now, rules, &q, from); v != access.Served {
			return w.refuse(dst, transaction, v)
		}
	}
	if q.IP != [4]byte{} && from.Is4() && w.sources.mayNameIP(from) {
		from = netip.AddrFrom4(q.IP)
	}
	a := &w.announce
	*a = Announce{
		InfoHash: q.InfoHash,
		Peer:     wire.PeerFrom(netip.AddrPortFrom(from, q.Port)),
		Event:    q.Event,
		Seeder:   q.Left == 0,
		Checked:  rules,
		Watched:  w.watched,
		Held:     w.watched && w.held,
	}
	if !a.Peer.Valid() {
		return w.refuseParameter(dst, transaction, "ip: not the address of a client")
	}
	a.NumWant = w.numWant(&q, from)
	// The peers are written where they stand in the answer, behind room for its head.
	dst = slices.Grow(dst, wire.MaxUDPReply)
	start, end := len(dst)+wire.UDPAnnounceReplySize, len(dst)+wire.MaxUDPReply
	room := dst[start:start:end]
	w.answer = Answer{Peers4: room, Peers6: room}
	if w.pacing == nil {
		w.tracker.Announce(now, a, &w.answer)
	} else {
		w.announcePaced(now, from, packet)
	}
	a.Checked = nil // else a worker without clients keeps lists in memory that hold no more
	if w.answer.Refused != access.Served {
		return w.refuse(dst, transaction, w.answer.Refused)
	}
	if w.watched {
		w.abuse.Announced(now, from, deedOf(a, &w.answer))
	}
	w.tally.announces.Add(1)
	dst = wire.AppendUDPAnnounceReply(dst, transaction, w.answer.Interval, w.answer.Leechers, w.answer.Seeders)
	if from.Is4() {
		return append(dst, w.answer.Peers4...)
	}
	return append(dst, w.answer.Peers6...)
}

// numWant returns how many peers to answer: as many as the client or, when it leaves it
// to the tracker, the configuration says, and never more than the packet holds.
func (w *udpWorker) numWant(q *wire.UDPAnnounce, client netip.Addr) int {
	want := int(q.NumWant)
	switch {
	case q.Event == wire.EventStopped:
		want = 0
	case want < 0:
		want = w.tracker.cfg.NumWant
	}
	if client.Is4() {
		return min(want, maxUDPPeers4)
	}
	return min(want, maxUDPPeers6)
}

// handleScrape answers the counts of every torrent asked for, zeros for one that is not known.
func (w *udpWorker) handleScrape(now time.Time, from netip.Addr, packet []byte, transaction uint32, dst []byte) []byte {
	n, err := wire.ParseUDPScrape(packet)
	if err != nil {
		return w.refuseParameter(dst, transaction, err.Error())
	}
	if rules := w.tracker.Access(); rules != nil {
		if v := scrapeVerdict(rules, from); v != access.Served {
			return w.refuse(dst, transaction, v)
		}
	}
	dst = wire.AppendUDPScrapeReply(dst, transaction)
	for i := range n {
		c, _ := w.tracker.Scrape(wire.UDPScrapeHash(packet, i))
		completed := uint32(min(c.Downloaded, math.MaxUint32))
		dst = wire.AppendUDPScrapeEntry(dst, c.Seeders, completed, c.Leechers)
	}
	w.tally.scrapes.Add(1)
	if w.pacing != nil {
		w.toll.client(pacer.Scrape, from, nil, int64(n))
		w.paceScrape(now, len(dst))
	}
	return dst
}

// refuseParameter answers and counts a request that is wrong.
func (w *udpWorker) refuseParameter(dst []byte, transaction uint32, reason string) []byte {
	w.tally.refuse(refuseParameter)
	return wire.AppendUDPError(dst, transaction, reason)
}
