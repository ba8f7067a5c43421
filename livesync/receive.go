package livesync

import (
	"net/netip"
	"time"

	"starling/wire"
)

// hear receives until the membership is over, and returns why it is.
func (n *Node) hear(conn Conn) error {
	b := make([]byte, wire.MaxPacket+1) // a longer datagram is cut to a length that is too long
	for {
		k, from, to, err := conn.Read(b)
		if err != nil {
			return err
		}
		n.Receive(time.Now(), from, to, b[:k])
	}
}

// receive takes in one datagram. Whatever is wrong with it is counted and never
// answered, the cheapest checks coming first. Records are applied by the caller's
// goroutine and go no further: there is no way from here to [Node.Offer].
func (n *Node) receive(now time.Time, from netip.AddrPort, to netip.Addr, b []byte) {
	p, sender := n.admit(now, from, to, b)
	switch {
	case sender == nil || p.Kind != wire.KindLive4 && p.Kind != wire.KindLive6:
	case n.keyed != nil && p.Keyed:
		n.mend(now, sender, &p)
	default:
		n.apply(now, sender, &p)
	}
}

// apply applies the records of a packet.
func (n *Node) apply(now time.Time, sender *node, p *wire.Packet) {
	copies := p.Kind == wire.KindLive6 && sender.double(now)
	var four, skipped, invalid uint64
	rs := n.heard[:0]
	for i := range p.Len() {
		r := p.Record(i)
		is4 := r.Peer.Is4()
		if is4 {
			four++
		}
		switch {
		case !r.Peer.Valid():
			invalid++
		case copies && is4:
			skipped++
		default:
			rs = append(rs, r)
		}
	}
	if len(rs) > 0 {
		n.cfg.Apply(now, rs)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.received.Records += uint64(len(rs))
	n.dropped.Address += invalid
	n.dropped.Double += skipped
	sender.records += uint64(p.Len())
	if four > 0 {
		n.speaks(now, sender, p.Kind == wire.KindLive6)
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
	case !n.listensTo(from.Addr()):
		n.dropped.Source++
		return wire.Packet{}, nil
	}
	p, err := wire.ParsePacket(b)
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
	case wire.KindNack, wire.KindGone, wire.KindPromise, wire.KindBye:
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
		k.state.begin(now)
		n.poke()
	}
}
