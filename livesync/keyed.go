package livesync

import (
	"net/netip"
	"time"

	"starling/livesync/seal"
	"starling/wire"
)

// complaintInterval is how often the log says that packets are not believed.
const complaintInterval = 10 * time.Minute

// keyedMemory is for how long after its last STATE nobody without a key may have a node's id.
const keyedMemory = time.Minute

// keyed is what a node with a cluster key has beside one without. The node's lock guards it.
type keyed struct {
	keys       seal.Keys
	started    uint64 // the first epoch of this start; those of spaces that ran out follow it
	sealer     *seal.Sealer
	opener     *seal.Opener
	challenges seal.Challenges
	state      stating
	mending    *mending
	member     Member      // what our latest STATE says
	echoes     []wire.Echo // scratch, of a STATE that is read or written
	farewell   farewell

	authQuiet, plainQuiet, deafQuiet time.Time // until when complaints are not logged
}

// newKeyed returns nil for a node without a key.
func newKeyed(cfg *Config) *keyed {
	if len(cfg.Keys) == 0 {
		return nil
	}
	return &keyed{
		keys: cfg.Keys, started: cfg.Epoch,
		sealer: seal.NewSealer(cfg.Keys[0], cfg.ID, cfg.Epoch), opener: seal.NewOpener(cfg.Keys),
		echoes: make([]wire.Echo, 0, wire.MaxEchoes),
	}
}

// mine reports whether an epoch is one of this start.
func (k *keyed) mine(epoch uint64) bool { return epoch >= k.started && epoch <= k.sealer.Epoch() }

// rename makes packets leave under another id, whose sequences begin anew.
func (k *keyed) rename(id wire.NodeID) {
	k.sealer = seal.NewSealer(k.keys[0], id, k.sealer.Epoch())
}

// seal seals a packet that leaves its lane. Beacons and inquiries leave as they are, for nodes without a key. The caller holds n.mu.
func (n *Node) seal(now time.Time, pkt []byte, kind wire.Kind) []byte {
	if n.keyed == nil || kind == wire.KindBeacon || kind == wire.KindInquire {
		return pkt
	}
	pkt = n.keyed.sealer.Seal(pkt)
	if wire.SpaceOf(pkt) == wire.SpaceData {
		n.sealed(now, pkt)
	}
	return pkt
}

// open says who sent a packet with a trailer, once it is sure that it was sent by a node that has the key and lives now; else it
// counts why the packet is dropped and returns nil. A STATE is taken in on the way. The caller holds n.mu.
func (n *Node) open(now time.Time, from netip.AddrPort, p *wire.Packet) *node {
	k := n.keyed
	if p.From == n.ident.id && k.mine(p.Epoch) {
		n.dropped.OwnID++ // a reflection, or another node stands in for us
		return nil
	}
	verdict := k.opener.Open(now, from.Addr(), p)
	switch verdict {
	case seal.Forged, seal.Busy:
		n.dropped.Auth++
		n.complain(now, &k.authQuiet, from, "a packet's tag does not verify: another cluster key there, or somebody forges packets")
		return nil
	case seal.Replayed:
		n.again(now, p.From, from, &n.dropped.Replay)
		return nil
	case seal.Unproven:
		n.dropped.Unproven++
		return nil
	}
	if p.Kind == wire.KindState {
		return n.hearState(now, from, p, verdict == seal.Proven)
	}
	sender := n.nodes.byID[p.From]
	switch {
	case p.From == n.ident.id:
		n.dropped.OwnID++
		return nil
	case sender == nil || sender.life.epoch != p.Epoch && sender.life.epoch != p.Epoch+1: // its STATE has to come first
		n.dropped.Unproven++
		return nil
	}
	sender.packets++
	sender.way[thisWay(from)] = now
	if from == sender.address { // else another node sends it again
		sender.heard, sender.silent = now, now.Sub(sender.heard)
	}
	return sender
}

// takesPlain reports whether a packet without a trailer may be taken in: from the nodes that are known to have no key, and not
// under the id of one that has and was heard lately. The caller holds n.mu.
func (n *Node) takesPlain(now time.Time, from netip.AddrPort, p *wire.Packet) bool {
	sender := n.nodes.byID[p.From]
	believed := sender != nil && sender.life.epoch != 0 && now.Sub(sender.life.said) < keyedMemory
	switch {
	case !believed && !relayed(from) && contains(n.cfg.PlainNodes, from.Addr()):
		if sender != nil {
			sender.life = life{} // it had a key
		}
		return true
	case believed && (p.Kind == wire.KindBeacon || p.Kind == wire.KindInquire) && sender.address.Addr() == from.Addr():
		return false // it says the same in its STATE
	}
	n.dropped.Plain++
	n.complain(now, &n.keyed.plainQuiet, from, "a packet without a tag is ignored; if that node has no key and is to be believed, name it with livesync-node-plain")
	return false
}

// complain logs, now and then, that somebody is not believed.
func (n *Node) complain(now time.Time, quiet *time.Time, from netip.AddrPort, what string) {
	if now.Before(*quiet) {
		return
	}
	*quiet = now.Add(complaintInterval)
	n.log.Warn().Stringer("from", from).Msg(what)
}

// contains reports whether one of the prefixes has the address.
func contains(prefixes []netip.Prefix, a netip.Addr) bool {
	for _, p := range prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
