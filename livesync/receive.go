package livesync

import (
	"net/netip"
	"time"

	"starling/wire"
)

// heardMost is how many records are applied at once at most.
const heardMost = 2048

// hear receives until the membership is over, and returns why it is. What is there at a time is taken in together.
func (n *Node) hear(conn batchConn) error {
	for {
		ds, overflowed, err := conn.ReadBatch()
		if err != nil {
			return err
		}
		now := time.Now()
		if overflowed > 0 {
			n.mu.Lock()
			n.dropped.Kernel += uint64(overflowed)
			n.mu.Unlock()
		}
		n.order.Lock()
		for i := range ds {
			n.take(now, ds[i].From, ds[i].To, ds[i].B)
		}
		n.applyHeard(now)
		n.order.Unlock()
	}
}

// receive takes in one datagram and applies its records.
func (n *Node) receive(now time.Time, from netip.AddrPort, to netip.Addr, b []byte) {
	n.order.Lock()
	defer n.order.Unlock()
	n.take(now, from, to, b)
	n.applyHeard(now)
}

// take takes in one datagram. Whatever is wrong with it is counted and never
// answered, the cheapest checks coming first. Records are applied by the caller's
// goroutine and go no further: there is no way from here to [Node.Offer].
func (n *Node) take(now time.Time, from netip.AddrPort, to netip.Addr, b []byte) {
	p, sender := n.admit(now, from, to, b)
	switch {
	case sender == nil:
	case n.keyed != nil && p.Keyed:
		n.mend(now, sender, &p, from, b)
	case p.Kind == wire.KindLive4 || p.Kind == wire.KindLive6:
		n.apply(now, sender, &p)
	}
}

// apply has the records of a packet applied, with those of others that came with it.
func (n *Node) apply(now time.Time, sender *node, p *wire.Packet) {
	mapped := p.Kind == wire.KindLive6 // those of IPv4, if any
	copies := mapped && sender.double(now)
	if len(n.heard)+p.Len() > heardMost {
		n.applyHeard(now)
	}
	var four, skipped, invalid uint64
	before := len(n.heard)
	for i := range p.Len() {
		r := p.Record(i)
		is4 := !mapped || r.Peer.Is4()
		if is4 {
			four++
		}
		switch {
		case !r.Peer.Valid():
			invalid++
		case copies && is4:
			skipped++
		default:
			n.heard = append(n.heard, r)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.received.Records += uint64(len(n.heard) - before)
	n.dropped.Address += invalid
	n.dropped.Double += skipped
	sender.records += uint64(p.Len())
	if p.Keyed {
		sender.life.lags.applied(now, p.Seq+1)
	}
	if four > 0 {
		n.speaks(now, sender, mapped)
	}
}

// applyHeard applies the records in hand.
func (n *Node) applyHeard(now time.Time) {
	if len(n.heard) > 0 {
		if n.catch != nil {
			n.catch.heard(now, n.ago, n.heard)
		}
		n.cfg.Apply(now, n.heard)
		n.heard = n.heard[:0]
	}
}

// admit checks a datagram, deals with it unless it carries records, and returns
// it with its sender's entry; the entry is nil when the datagram is dropped.
func (n *Node) admit(now time.Time, from netip.AddrPort, to netip.Addr, b []byte) (wire.Packet, *node) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case to != n.cfg.Group.Addr():
		n.dropped.Group++
		return wire.Packet{}, nil
	case n.ident.own(now, from):
		n.dropped.OwnID++
		return wire.Packet{}, nil
	case !relayed(from) && !n.listensTo(from.Addr()):
		n.dropped.Source++
		return wire.Packet{}, nil
	}
	p, err := wire.ParsePacket(b)
	if p.Kind != wire.KindLive4 && p.Kind != wire.KindLive6 {
		n.applyHeard(now) // what is told of the store next is told after these records
	}
	switch {
	case err == wire.ErrLong:
		n.dropped.Long++
		return p, nil
	case err == wire.ErrType, n.keyed == nil && p.Kind.Control():
		n.dropped.Type++
		return p, nil
	case err != nil:
		n.dropped.Short++
		return p, nil
	case n.keyed != nil && p.Keyed:
		sender := n.open(now, from, &p)
		if sender != nil {
			n.took(now, sender, &p)
		}
		return p, sender
	case n.keyed != nil && !n.takesPlain(now, from, &p):
		return p, nil
	case p.From == n.ident.id:
		n.dropped.OwnID++
		if n.keyed == nil { // else only a node that has the key counts
			n.clash(now, from)
		}
		if p.Kind == wire.KindEmpty {
			n.hearLegacy(now, p.From, from) // a tell hangs it, whatever its id
		}
		return p, nil
	}
	sender := n.nodes.heard(now, p.From, from)
	n.took(now, sender, &p)
	return p, sender
}

// took deals with a packet that is believed, unless it carries records. The caller holds n.mu.
func (n *Node) took(now time.Time, sender *node, p *wire.Packet) {
	if n.cfg.Appeared != nil && sender.silent >= AbsentAfter*n.cfg.BeaconInterval {
		n.cfg.Appeared()
	}
	n.received.Packets++
	n.control(now, sender, p)
}

// listensTo reports whether packets from a are taken. The caller holds n.mu.
func (n *Node) listensTo(a netip.Addr) bool {
	return contains(n.sources, a) || n.keyed != nil && contains(n.cfg.PlainNodes, a)
}

// speaks notes how a node writes IPv4 peers, and names it when that is not our way. The caller holds n.mu.
func (n *Node) speaks(now time.Time, sender *node, mapped bool) {
	sender.speaks(now, mapped)
	if sender.strange(now, n.cfg.Dialect) {
		n.log.Warn().Stringer("node", sender.id).Stringer("address", sender.address).
			Str("its", sender.dialect()).Stringer("ours", n.cfg.Dialect).
			Msg("a node speaks another livesync dialect")
	}
}

// control deals with the packets that carry no records. The caller holds n.mu.
func (n *Node) control(now time.Time, sender *node, p *wire.Packet) {
	switch p.Kind {
	case wire.KindEmpty:
		sender.empty = now
		n.hearLegacy(now, p.From, sender.address)
	case wire.KindBeacon:
		n.received.Beacons++
		sender.torrents = p.Torrents
		n.scrape.beacon(now, p.From, p.Torrents)
	case wire.KindInquire:
		n.received.Inquiries++
		if p.Target == n.ident.id {
			n.scrape.inquired(now)
		}
	case wire.KindTell:
		n.received.Tells++
		n.scrape.told(now, n.ident.id, p)
	case wire.KindNack, wire.KindGone, wire.KindPromise, wire.KindBye, wire.KindEdits:
		n.heedControl(now, sender, p)
	default:
		return
	}
	n.poke() // the sender's next deadline may have changed
}

// hearLegacy notes the sign of life of an opentracker of 2010, and names it if none was heard for a while. The caller holds n.mu.
func (n *Node) hearLegacy(now time.Time, id wire.NodeID, from netip.AddrPort) {
	if n.scrape.hearLegacy(now, from) {
		n.log.Warn().Stringer("node", id).Stringer("address", from).Stringer("scrape_sync", n.cfg.ScrapeSync).
			Bool("tells_withheld", n.scrape.withheld(now)).Msg("an opentracker of 2010 is there, which hangs on the first tell it hears")
	}
}

// clash deals with our own id in a packet that is not ours. The caller holds n.mu.
func (n *Node) clash(now time.Time, from netip.AddrPort) {
	c := n.ident.heard(now, from, n.rng, n.nodes.known)
	switch {
	case c.id != c.old:
		n.renamed(now)
		n.log.Warn().Stringer("old_id", c.old).Stringer("new_id", c.id).Stringer("other", from).Stringer("we", n.ident.local).
			Msg("another node has our id: we take a new one")
		if n.cfg.SaveID != nil {
			if err := n.cfg.SaveID(c.id); err != nil {
				n.log.Error().Err(err).Msg("the new id could not be kept, the next start takes the old one")
			}
		}
	case c.log && n.ident.fixed:
		n.log.Error().Stringer("id", c.id).Stringer("other", from).Stringer("we", n.ident.local).
			Msg("another node has our id, and ours is fixed: the two ignore each other, give one of them another id")
	case c.log:
		n.log.Warn().Stringer("id", c.id).Stringer("other", from).Stringer("we", n.ident.local).
			Msg("another node has our new id as well: somebody may be forging it, it stays for now")
	}
}

// renamed is told that we have another id. The caller holds n.mu.
func (n *Node) renamed(now time.Time) {
	if k := n.keyed; k != nil {
		k.rename(n.ident.id)
		k.mending.Rename(n.ident.id)
		k.state.begin(now)
		n.poke()
	}
}
