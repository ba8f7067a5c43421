package livesync

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"starling/wire"
)

// sums is a whole sketch; different returns one that differs from it in so many peers, each in a sum of its own.
type sums [wire.SketchGroups][wire.SketchGroup]int32

func (s sums) different(n int) sums {
	for i := range n {
		s[i%wire.SketchGroups][i/wire.SketchGroups] += 1 - 2*int32(i&1)
	}
	return s
}

// hearRound gives d the STATEs of some groups, in this order.
func hearRound(d *divergence, ours, theirs *sums, groups ...int) {
	for _, g := range groups {
		d.hear(&wire.State{Group: uint8(g), Sums: theirs[g], Peers: 990}, ours[g], 1000)
	}
}

func TestDivergence(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var ours sums
	for g := range ours {
		for i := range ours[g] {
			ours[g][i] = int32(rng.Uint32()) // sums wrap around
		}
	}
	all := rng.Perm(wire.SketchGroups)
	var d divergence
	check := func(want uint64, known bool) {
		t.Helper()
		if n, ok := d.peers(); n != want || ok != known {
			t.Fatalf("%d peers differ, %v; want %d, %v", n, ok, want, known)
		}
	}
	check(0, false)
	theirs := ours.different(100)
	hearRound(&d, &ours, &theirs, all[:15]...)
	hearRound(&d, &ours, &theirs, all[:15]...) // the same one is lost again
	check(0, false)
	hearRound(&d, &ours, &theirs, all[15])
	check(100, true)
	theirs = ours.different(200)
	hearRound(&d, &ours, &theirs, all...)
	check(100, true) // the smallest of three
	theirs = ours.different(150)
	hearRound(&d, &ours, &theirs, all...)
	check(100, true)
	hearRound(&d, &ours, &theirs, all...)
	check(150, true)
	hearRound(&d, &ours, &ours, all...)
	check(0, true)
	if s := d.status(1000); s != (Divergence{Known: true, Bound: 64 + 5, More: -10}) {
		t.Errorf("status %+v", s)
	}
}

// TestDivergenceIsBounded: sums of a node that lies, or of one whose hashes are not ours, make no overflow that looks like nothing.
func TestDivergenceIsBounded(t *testing.T) {
	var d divergence
	var ours, theirs sums
	for g := range ours {
		for i := range ours[g] {
			ours[g][i], theirs[g][i] = 1<<31-1, -1<<31
		}
	}
	hearRound(&d, &ours, &theirs, rand.Perm(wire.SketchGroups)...)
	if n, _ := d.peers(); n == 0 {
		t.Error("no difference")
	}
	if s := d.status(10); s.Share < 0 || s.Share > 1 {
		t.Errorf("share %v", s.Share)
	}
}

func TestSync(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	good := NodeStatus{
		ID: wire.NodeID{1, 2, 3, 4}, Address: netip.MustParseAddrPort("10.0.0.2:1"), LastHeard: now, Mode: "keyed",
		Divergence: Divergence{Known: true, Peers: 60, Bound: 64},
	}
	other := good
	other.ID, other.Address = wire.NodeID{5}, netip.MustParseAddrPort("10.0.0.3:1")
	for name, tt := range map[string]struct {
		change     func(s *Status)
		known, yes bool
		why        string
	}{
		"yes":          {func(*Status) {}, true, true, ""},
		"off":          {func(s *Status) { s.Mode = "off" }, false, false, "live sync is off"},
		"plain":        {func(s *Status) { s.Mode = "plain" }, false, false, "only nodes with a cluster key can tell"},
		"cut off":      {func(s *Status) { s.Trouble = "eth0 is down" }, true, false, "this node is cut off"},
		"fresh":        {func(s *Status) { s.Self.Health = wire.CatchingUp }, true, false, "this node is catching up"},
		"alone":        {func(s *Status) { s.Nodes = nil }, false, false, "no other node with the key was heard"},
		"plain ones":   {func(s *Status) { s.Nodes[0].Mode, s.Nodes[1].Mode = "plain", "plain" }, false, false, "no other node"},
		"one plain":    {func(s *Status) { s.Nodes[0].Mode = "plain" }, true, true, ""},
		"apart":        {func(s *Status) { s.Nodes[1].Divergence.Peers = 65 }, true, false, "05000000 and this node hold 65 peers differently"},
		"unknown":      {func(s *Status) { s.Nodes[0].Divergence.Known = false }, false, false, "01020304 was not compared yet"},
		"no, unknown":  {func(s *Status) { s.Nodes[0].OtherKey = true; s.Nodes[1].Divergence.Peers = 65 }, true, false, "05000000"},
		"rotation":     {func(s *Status) { s.Nodes[1].OtherKey = true }, false, false, "05000000 signs with another key"},
		"another's":    {func(s *Status) { s.Nodes[1].Member.Health = wire.CatchingUp }, true, false, "05000000 is catching up"},
		"silent":       {func(s *Status) { s.Nodes[1].LastHeard = now.Add(-75 * time.Second) }, true, false, "05000000 at 10.0.0.3 has been silent for 1m15s"},
		"said so":      {func(s *Status) { s.Nodes[1].LastHeard, s.Nodes[1].Bye = now.Add(-time.Minute), true }, true, true, ""},
		"all said so":  {func(s *Status) { s.Nodes[0].Bye, s.Nodes[1].Bye = true, true }, false, false, "no other node"},
		"started anew": {func(s *Status) { s.Nodes[1].LastHeard, s.Nodes[1].Address = now.Add(-time.Minute), good.Address }, true, true, ""},
	} {
		s := Status{Mode: "keyed", Nodes: []NodeStatus{good, other}}
		tt.change(&s)
		got := s.Sync(now)
		if got.Known != tt.known || got.Yes != tt.yes || !strings.HasPrefix(got.Why, tt.why) || (got.Why == "") != got.Yes {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestLags(t *testing.T) {
	var l lags
	now := time.Unix(1_000_000, 0)
	check := func(half, most time.Duration) {
		t.Helper()
		if a, b := l.quantiles(); a != half || b != most {
			t.Fatalf("lag %s, %s; want %s, %s", a, b, half, most)
		}
	}
	check(0, 0)
	l.applied(now, 5) // nothing was said
	l.said(now, 7)
	l.applied(now.Add(time.Millisecond), 6) // one is missing
	check(0, 0)
	l.said(now.Add(time.Second), 9) // is left out
	l.applied(now.Add(1500*time.Millisecond), 8)
	check(1500*time.Millisecond, 1500*time.Millisecond)
	l.applied(now.Add(time.Hour), 9)
	check(1500*time.Millisecond, 1500*time.Millisecond)
	var all []time.Duration
	for i := range 200 {
		d := time.Duration((i*37)%200) * time.Millisecond
		l.said(now, uint32(i))
		l.applied(now.Add(d), uint32(i))
		all = append(all, d)
	}
	all = all[140:]
	slices.Sort(all)
	check(all[30], all[59])
	l.said(now, 1)
	l.applied(now.Add(-time.Second), 1) // its clock is ahead
	if half, _ := l.quantiles(); half < 0 {
		t.Error("one sample below zero made the median so")
	}
}

// answer returns what a node says of its cluster.
func answer(n *Node, now time.Time) Sync {
	s := n.status(now)
	return s.Sync(now)
}

// TestStatesCompare: a node's STATEs, one sixteenth of its sums in each, show what it holds differently and how long its packets take; a
// packet that comes again after it was lost counts from the STATE that named it.
func TestStatesCompare(t *testing.T) {
	n, _ := newKeyedListener(t)
	var ours sums
	n.cfg.Sketch = func(group int) [wire.SketchGroup]int32 { return ours[group] }
	now := epoch
	p := newPartner(t, n, now, wire.NodeID{9}, 5)
	theirs := ours.different(200)
	state := func(group int, next uint32) {
		now = now.Add(time.Second)
		st := wire.State{Sent: now.Add(-3 * time.Millisecond).UnixNano(), Group: uint8(group), Sums: theirs[group], Peers: 1000}
		st.Next[wire.SpaceData] = next
		p.send(now, st.Append(nil, p.ID()))
	}
	other := func() NodeStatus {
		s := n.status(now)
		if len(s.Nodes) != 1 {
			t.Fatalf("nodes %+v", s.Nodes)
		}
		return s.Nodes[0]
	}
	for group := range wire.SketchGroups {
		if other().Divergence.Known {
			t.Fatalf("known after %d groups", group)
		}
		state(group, 0)
	}
	if d := other().Divergence; d != (Divergence{Known: true, Peers: 200, Share: 0.2, Bound: 69, More: 1000}) {
		t.Errorf("divergence %+v", d)
	}
	if got := answer(n, now); !got.Known || got.Yes {
		t.Errorf("200 peers differ: %+v", got)
	}
	if o := other(); o.Lag != 3*time.Millisecond {
		t.Errorf("lag %s", o.Lag)
	}
	theirs = ours
	for group := range wire.SketchGroups {
		state(group, 0)
	}
	if got := answer(n, now); !got.Yes {
		t.Errorf("nothing differs: %+v", got)
	}

	r := wire.Record{InfoHash: HashOf(1), Peer: PeerOf(1)}
	lost := p.Seal(r.Append4(wire.AppendLive4(nil, p.ID())))
	state(0, 1)
	now = now.Add(40 * time.Millisecond)
	n.receive(now, p.from, wire.Group.Addr(), lost)
	if o := other(); o.LagMax != 43*time.Millisecond {
		t.Errorf("the longest lag is %s", o.LagMax)
	}
	n.cfg.Sketch = nil
	state(1, 1)
	if other().Divergence.Known {
		t.Error("known without sums of ours")
	}
}
