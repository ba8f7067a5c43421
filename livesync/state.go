package livesync

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"starling/wire"
)

const (
	// stateInterval is how often a node says what it is, give or take a tenth.
	stateInterval = time.Second
	// stateHurry is how soon at most another STATE follows one, when a node was heard that waits for an echo.
	stateHurry = 200 * time.Millisecond
	// stateSpread keeps all nodes that heard the same newcomer from answering at the same moment.
	stateSpread = 50 * time.Millisecond
	// returnTime is after how long a node that is heard should have returned our challenge.
	returnTime = 10 * time.Second
)

// stating is when a node's STATEs leave.
type stating struct {
	at    time.Time // the next one
	last  time.Time // the latest; zero: none
	count uint32    // of those so far
}

// begin makes a STATE due: the group was joined, or the node has another id.
func (s *stating) begin(now time.Time) { s.at = now }

// hurry makes the next STATE leave early, but not sooner after the last than stateHurry: who plays recordings to us must
// not make us send as much as he does.
func (s *stating) hurry(now time.Time, rng *rand.Rand) {
	at := now.Add(time.Duration(rng.Int64N(int64(stateSpread))))
	if soonest := s.last.Add(stateHurry); !s.last.IsZero() && now.After(s.last) && at.Before(soonest) {
		at = soonest
	}
	if at.Before(s.at) {
		s.at = at
	}
}

// due reports whether a STATE is to be made now, and sets the time of the next.
func (s *stating) due(now time.Time, rng *rand.Rand) bool {
	if now.Before(s.at) && s.at.Sub(now) < 2*stateInterval { // further off: the clock was set back
		return false
	}
	s.last, s.at = now, now.Add(stateInterval*9/10+time.Duration(rng.Int64N(int64(stateInterval)/5)))
	s.count++
	return true
}

// appendState appends what this node is to b. The caller holds n.mu.
func (n *Node) appendState(now time.Time, b []byte) []byte {
	k := n.keyed
	k.sealer.Turn()
	st := wire.State{
		Sent: now.UnixNano(), Torrents: n.cfg.Torrents(), Inquired: n.scrape.ask.inquires(), Challenge: k.challenges.Now(now, n.rng),
		Round: (k.state.count - 1) / wire.SketchGroups, Group: uint8((k.state.count - 1) % wire.SketchGroups),
	}
	for space := range wire.Spaces {
		st.Next[space] = k.sealer.Next(space)
	}
	st.Next[wire.SpaceControl]++ // this one
	k.member = n.member()
	m := &k.member
	st.Peers, st.Capacity, st.Role, st.Health, st.CatchUpPort = m.Peers, m.Capacity, m.Role, m.Health, m.CatchUpPort
	st.Version, st.URL = []byte(m.Version), []byte(m.URL)
	if n.cfg.Sketch != nil {
		st.Sums = n.cfg.Sketch(int(st.Group))
	}
	k.echoes = k.opener.Echoes(now, k.echoes, st.EchoRoom())
	st.Echoes = k.echoes
	return st.Append(b, n.ident.id)
}

// member returns what this node says of itself.
func (n *Node) member() Member {
	var m Member
	if n.cfg.Member != nil {
		m = n.cfg.Member()
	}
	if n.catch != nil {
		n.catch.describe(&m)
	}
	return m
}

// hearState takes in a STATE whose tag verifies, and returns its sender's entry; nil when the sender is not believed yet or nothing is to
// be done. The caller holds n.mu.
func (n *Node) hearState(now time.Time, from netip.AddrPort, p *wire.Packet, proven bool) *node {
	k := n.keyed
	st, err := p.State(k.echoes)
	if err != nil {
		n.dropped.Short++
		return nil
	}
	k.echoes = st.Echoes
	if !k.opener.Heard(now, p, &st) { // it was overtaken
		n.again(now, p.From, from, &n.dropped.Replay)
		return nil
	}
	first, since := st.Next, now
	if !proven {
		waits := k.opener.Waits(now, p.From, p.Epoch)
		if waits == 0 { // it waits for our echo
			k.state.hurry(now, n.rng)
			n.poke()
		}
		drawn, ok := n.returned(now, st.Echoes)
		if ok {
			first, since, ok = k.opener.Prove(now, drawn, p, &st)
		}
		if !ok {
			n.dropped.Unproven++
			if waits >= returnTime {
				n.complain(now, &k.deafQuiet, from, "a node has the cluster key and does not return our challenge: it does not hear us, or somebody plays recordings of it")
			}
			return nil
		}
		k.challenges.Renew()
	}
	if p.From == n.ident.id { // there is another node with our id, and it lives now
		n.dropped.OwnID++
		n.clash(now, from)
		return nil
	}
	if was := n.nodes.byID[p.From]; was != nil && was.life.epoch == p.Epoch {
		from = was.place(now, from)
	}
	sender := n.nodes.heard(now, p.From, from)
	sender.way[thisWay(from)] = now
	if before := sender.life.epoch; before != p.Epoch {
		if before+1 == p.Epoch {
			first = [wire.Spaces]uint32{} // its sequences ran out and begin anew
		}
		sender.life, sender.there = life{epoch: p.Epoch}, now
		n.believed(now, sender, first[wire.SpaceData], since)
	}
	n.heedState(now, sender, &st)
	return sender
}

// returned returns when the challenge of ours was drawn that is one of the echoes; ok is false when none is.
func (n *Node) returned(now time.Time, echoes []wire.Echo) (drawn time.Time, ok bool) {
	for i := range echoes {
		if echoes[i].ID == n.ident.id {
			if drawn, ok = n.keyed.challenges.Drawn(now, echoes[i].Challenge); ok {
				return drawn, true
			}
		}
	}
	return drawn, false
}

// heedState does what the STATE of a believed node asks for.
func (n *Node) heedState(now time.Time, sender *node, st *wire.State) {
	sender.torrents = st.Torrents
	sender.life.hear(now, st)
	n.heedOther(now, sender, st)
	n.keyed.mending.State(now, sender.id, sender.life.epoch, st.Next[wire.SpaceData])
	n.compare(now, sender, st)
	if st.CatchUpPort == 0 && n.keyed.member.Health != wire.CatchingUp { // else the counts come with the peers
		n.scrape.beacon(now, sender.id, st.Torrents)
	}
	// An inquiry stands in every STATE until it is answered: it counts when it comes up, and again when it stays.
	asks, l := st.Inquired == n.ident.id, &sender.life
	if asks && (!l.asks || now.Sub(l.inquired) >= n.cfg.BeaconInterval) {
		l.inquired = now
		n.received.Inquiries++
		n.scrape.inquired(now)
	}
	l.asks = asks
	n.poke()
}

// compare takes from a STATE how long its sender's packets take and how far its peers are from ours. The caller holds n.mu.
func (n *Node) compare(now time.Time, sender *node, st *wire.State) {
	l := &sender.life
	l.lags.said(time.Unix(0, st.Sent), st.Next[wire.SpaceData])
	l.lags.applied(now, n.keyed.mending.Next(sender.id))
	l.otherKey = !n.keyed.opener.SignsLikeUs(sender.id)
	if n.cfg.Sketch == nil || l.otherKey {
		l.diverges = divergence{}
		return
	}
	l.diverges.hear(st, n.cfg.Sketch(int(st.Group)), n.keyed.member.Peers)
}
