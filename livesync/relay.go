package livesync

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"time"

	"starling/livesync/catchup"
	"starling/wire"
)

// Relay is a second way to nodes of the keyed mode, beside the segment, to those of other segments. See package relay, which makes
// one; livesync knows of it no more than this. What it hands in goes to [Node.Relayed].
type Relay struct {
	// Send takes a copy of a sealed packet that leaves. It neither blocks nor fails: what cannot leave is lost as on any network.
	Send func(pkt []byte)
	// Dial opens a connection to who was heard from an address that [RelayAddress] made, for catching up.
	Dial catchup.Dial
	// Listen returns where those connections arrive at this node. One listener is open at a time.
	Listen func() net.Listener
}

// relayPrefix is where nodes are that are heard by the relay: no packet on any network comes from there (RFC 6666).
var relayPrefix = netip.MustParsePrefix("100::/64")

// RelayAddress returns the address of whoever has that number at the relay.
func RelayAddress(number uint64) netip.AddrPort {
	a := relayPrefix.Addr().As16()
	binary.BigEndian.PutUint64(a[8:], number)
	return netip.AddrPortFrom(netip.AddrFrom16(a), 0)
}

// RelayNumber returns the number of an address that RelayAddress made; ok is false for all others.
func RelayNumber(a netip.Addr) (number uint64, ok bool) {
	b := a.As16()
	return binary.BigEndian.Uint64(b[8:]), relayPrefix.Contains(a)
}

// Relayed takes in a packet that came by the relay from whoever has that number there. Nothing keeps b.
func (n *Node) Relayed(now time.Time, number uint64, b []byte) {
	n.receive(now, RelayAddress(number), n.cfg.Group.Addr(), b)
}

// relayed reports whether packets from an address come by the relay.
func relayed(from netip.AddrPort) bool { return relayPrefix.Contains(from.Addr()) }

// relay hands packets that leave to the relay, but for those without a tag.
func (n *Node) relay(pkts [][]byte) {
	if n.cfg.Relay == nil || n.keyed == nil {
		return
	}
	for _, b := range pkts {
		if p, err := wire.ParsePacket(b); err == nil && p.Keyed {
			n.cfg.Relay.Send(b)
		}
	}
}

// ways is how many bytes a packet costs in all. The caller holds n.mu, as that of the next.
func (n *Node) ways(kind wire.Kind, bytes int) int {
	if n.cfg.Relay == nil || kind == wire.KindBeacon || kind == wire.KindInquire {
		return bytes
	}
	return 2 * bytes
}

// again counts a packet that was here before. From a node of our own segment that is at the relay too everything comes twice.
func (n *Node) again(now time.Time, id wire.NodeID, from netip.AddrPort, replay *uint64) {
	sender := n.nodes.byID[id]
	switch {
	case sender == nil && relayed(from), // nobody knows yet by which ways it comes
		sender != nil && within(now, sender.way[otherWay(from)], bothWays):
		n.dropped.Twice++
	default:
		*replay++
	}
}

// bothWays is how long after a packet came by one way what comes by the other may be its copy.
const bothWays = 10 * time.Second

// thisWay and otherWay are indices of node.way.
func thisWay(from netip.AddrPort) int {
	if relayed(from) {
		return 1
	}
	return 0
}

func otherWay(from netip.AddrPort) int { return 1 - thisWay(from) }

// dial opens a connection to where a node can be caught up from.
func (n *Node) dial(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	if r := n.cfg.Relay; r != nil && relayed(addr) {
		return r.Dial(ctx, addr)
	}
	return catchup.DialTCP(ctx, addr)
}
