package cluster

import (
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"starling/tracker"
	"starling/wire"
)

// compare checks, at the end, what every node holds.
func (c *cluster) compare() {
	c.model.timely(c)
	for _, m := range c.members {
		c.count(m)
		if !m.works() || !m.plugged {
			m.fault("is not back at the end")
			continue
		}
		walked := m.holds()
		held := m.swarms(walked)
		for c, role := range walked {
			if held[c] != role {
				m.fault("walks over clients as what it does not answer with")
				break
			}
		}
		for _, f := range c.model.order {
			c.compareClient(m, f, held)
			delete(held, f.Client)
		}
		if len(held) > 0 {
			m.fault("holds %d clients that never announced", len(held))
		}
		c.compareCounts(m)
	}
}

// count adds what a node says of itself to what the run did.
func (c *cluster) count(m *member) {
	st := m.node.StatusAt(m.time())
	c.stats.Refused += st.Dropped.Auth + st.Dropped.Replay + st.Dropped.Plain
	for _, o := range st.Nodes {
		c.stats.Repaired += o.Repaired
	}
}

// compareClient checks what a node holds of one client.
func (c *cluster) compareClient(m *member, f *fate, held map[Client]state) {
	has, ok := held[f.Client]
	if !ok {
		has = absent
	}
	c.hash([]byte{byte(has)})
	want := c.model.allowed(m, f)
	if c.model.gone(f) {
		want = absent
	}
	if has&want == 0 {
		m.fault("has as %s what should be %s: %s", has, want, f)
	}
}

// compareCounts checks a node's completions.
func (c *cluster) compareCounts(m *member) {
	for i := range torrents {
		h := hashOf(i)
		counts, _ := m.store.Scrape(h)
		c.hash(binary.BigEndian.AppendUint64(nil, counts.Downloaded))
		least, most := c.model.completions(m, h)
		if counts.Downloaded < least || counts.Downloaded > most {
			m.fault("counts %d completions of %x, which should be %d to %d", counts.Downloaded, h[:8], least, most)
		}
	}
}

// completions returns how many completions of a torrent a node may count. One that all nodes had in peace counts once. A client that
// completes again without having stopped counts again only where the first time was forgotten. Others may not have
// arrived, or more than once; what doubled somewhere may have been told to all.
func (m *model) completions(by *member, h wire.InfoHash) (least, most uint64) {
	for _, f := range m.order {
		if f.Hash != h {
			continue
		}
		before := false
		for i, t := range f.tales {
			sure := !m.s.Keyed && !m.disturbed(t.at) && by.lives == 1 ||
				m.s.Keyed && !t.fragile && !t.uncounted && !m.contested(f, i) && (t.applied == 1<<m.s.Nodes-1 || !f.stopsAfter(i))
			if t.flags == wire.Stopped && sure {
				before = false
			}
			if !t.flags.Completion() {
				continue
			}
			if sure && !before {
				least++
			}
			most++
			if !sure || m.doubles {
				most += uint64(m.s.Nodes * m.times(f, t.flags))
			}
			before = true
		}
	}
	return least, most
}

// times returns how often a record of a client was told in all, or applied by the node that did so most often in all its lives.
func (m *model) times(f *fate, flags wire.Flags) int {
	n := m.counts[wire.Record{InfoHash: f.Hash, Peer: f.Peer, Flags: flags}]
	return max(n.times, slices.Max(n.ever[:]))
}

// stopsAfter reports whether the client has stopped since tale i: then no mark of its completion is left, and of two nodes that
// each counted another one while they did not hear each other the larger count is taken.
func (f *fate) stopsAfter(i int) bool {
	return slices.ContainsFunc(f.tales[i:], func(t tale) bool { return t.flags == wire.Stopped })
}

// contested reports whether another node told of the client at nearly the same time as tale i.
func (m *model) contested(f *fate, i int) bool {
	t := &f.tales[i]
	for j := range f.tales {
		if o := &f.tales[j]; o.node != t.node && (t.at-o.at).Abs() < m.window() {
			return true
		}
	}
	return false
}

// probe asks a store for its peers. It is a leecher first, who is given all of them, and then a seeder, who is given leechers.
var probe = wire.PeerFrom4([]byte{198, 19, 255, 255, 1, 1})

// fullAnswer is how many peers a member answers with at most.
const fullAnswer = 1024

// swarms returns all that a node answers with. Of a torrent with more clients than that it is what the node walks over.
func (m *member) swarms(walked map[Client]state) map[Client]state {
	held := map[Client]state{}
	for i := range torrents {
		h, full := hashOf(i), false
		for _, role := range []state{seeder, leecher} {
			var a tracker.Answer
			m.store.Announce(m.time().Add(time.Nanosecond), &tracker.Announce{
				InfoHash: h, Peer: probe, Seeder: role == leecher, NumWant: fullAnswer, BothFamilies: true,
			}, &a)
			for b := a.Peers4; len(b) > 0; b = b[wire.Compact4:] {
				held[Client{h, wire.PeerFrom4(b)}] = role
			}
			for b := a.Peers6; len(b) > 0; b = b[wire.Compact6:] {
				held[Client{h, wire.PeerFrom6(b)}] = role
			}
			full = full || len(a.Peers4)/wire.Compact4+len(a.Peers6)/wire.Compact6 == fullAnswer
		}
		if full {
			ofTorrent := func(c Client, _ state) bool { return c.Hash == h }
			maps.DeleteFunc(held, ofTorrent)
			for c, role := range walked {
				if ofTorrent(c, role) {
					held[c] = role
				}
			}
		}
	}
	return held
}

// holds returns the same without changing anything, but for clients that are to be forgotten at the next look.
func (m *member) holds() map[Client]state {
	held := map[Client]state{}
	var x wire.Excerpt
	var at tracker.Cursor
	for more := true; more; {
		x.Reset()
		more = m.store.Walk(m.time(), &at, &x)
		members := x.Members
		for _, s := range x.Swarms {
			for _, p := range members[:s.Members] {
				held[Client{s.InfoHash, p.Peer}] = stateOf(p.Flags)
			}
			members = members[s.Members:]
		}
	}
	return held
}
