package livesync

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"starling/wire"
)

// identityHold is how long an id is kept at least before another clash may change it, and
// how often a clash is logged: whoever forges our id must not make us change it all the time.
const identityHold = 10 * time.Minute

// inFlight is how long a datagram may be on its way on one segment.
const inFlight = 5 * time.Second

// identity is who we are on the segment. Nodes are told apart by id, so two with
// the same one ignore each other; that is found out by hearing our own id from an
// (address, port) that is not our sending socket's, and cured by taking another id.
type identity struct {
	id       wire.NodeID
	fixed    bool
	local    netip.AddrPort // our sending socket
	previous netip.AddrPort // the one before
	closed   time.Time      // when that was closed: its last packets may still be on their way
	held     time.Time      // until when the id stays; zero: it may change
	quiet    time.Time      // until when clashes are not logged
	clashed  time.Time      // when the last clash was heard that did not change the id
	with     netip.AddrPort // whom it was with
}

// clash is what came of hearing our own id from somebody else.
type clash struct {
	old, id wire.NodeID // the same when it was not changed
	log     bool        // it has not been said lately
}

// moved is told that we send from another socket from now on.
func (i *identity) moved(now time.Time, local netip.AddrPort) {
	i.previous, i.local, i.closed = i.local, local, now
}

// own reports whether a packet came out of our own socket, whatever id it carries. Another
// program may get the port of a socket that was closed, so that one is not ours for long.
func (i *identity) own(now time.Time, from netip.AddrPort) bool {
	return from == i.local || from == i.previous && now.Sub(i.closed) < inFlight
}

// heard is told of our own id in a packet from another node. Ids for which taken is true are not chosen.
func (i *identity) heard(now time.Time, from netip.AddrPort, rng *rand.Rand, taken func(wire.NodeID) bool) clash {
	c := clash{old: i.id, id: i.id}
	if i.fixed || now.Before(i.held) {
		i.clashed, i.with = now, from
		if c.log = !now.Before(i.quiet); c.log {
			i.quiet = now.Add(identityHold)
		}
		return c
	}
	for c.id == i.id || taken(c.id) {
		c.id = newID(rng)
	}
	i.id, i.held, i.quiet, c.log = c.id, now.Add(identityHold), now.Add(identityHold), true
	return c
}

// conflict returns who was lately heard with our fixed id; not valid when nobody was.
func (i *identity) conflict(now time.Time) netip.AddrPort {
	if !i.fixed || i.clashed.IsZero() || now.Sub(i.clashed) >= identityHold {
		return netip.AddrPort{}
	}
	return i.with
}

// newID draws an id that is not zero.
func newID(rng *rand.Rand) wire.NodeID {
	for {
		v := rng.Uint32()
		if v != 0 {
			return wire.NodeID{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}
		}
	}
}
