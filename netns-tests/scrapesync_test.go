package netnstests

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// interval is the beacon interval of these tests, a minute in real life.
const interval = time.Second

// quick are the flags that make scrape sync run in seconds.
var quick = []string{"--beacon-interval", interval.String(), "--first-beacon-delay", interval.String()}

// finish has a client complete a number of torrents at a tracker.
func (n *node) finish(client *host, torrents int) {
	n.t.Helper()
	for i := range torrents {
		p := peer{client, hash(i), 7001}
		p.announce(n.ip4, 1000, "started")
		p.announce(n.ip4, 0, "completed")
	}
}

// knows waits until a tracker serves so many torrents and then has one
// completion counted for each, as finish made them.
func (n *node) knows(client *host, torrents int) {
	n.t.Helper()
	n.until(fmt.Sprintf("%d torrents", torrents), func(s status) error {
		if s.Torrents != uint64(torrents) {
			return fmt.Errorf("it has %d", s.Torrents)
		}
		return nil
	})
	for i := range torrents {
		complete, incomplete, downloaded, err := client.scrape(n.ip4, hash(i))
		if err != nil || complete != 0 || incomplete != 0 || downloaded != 1 {
			n.t.Errorf("%s counts %d %d %d (%v) for torrent %d, want a told one's 0 0 1", n.name, complete, incomplete, downloaded, err, i)
		}
	}
}

// TestLateJoinerIsTold: a tracker that starts when all is over gets to know
// what was downloaded, by beacon, inquire and tell, in this order.
func TestLateJoinerIsTold(t *testing.T) {
	n := newNetwork(t, "a", "b", "x")
	a := n.hosts["a"].serve(quick...)
	a.finish(n.hosts["x"], 3)
	n.wire.atLeast(1, "the completions", both(a.sent("live4"), about(hash(2))))
	n.wire.first("a beacon of three", both(a.sent("beacon"), func(f frame) bool { return f.sync.torrents == 3 }))
	b := n.hosts["b"].serve(quick...)
	joined := time.Now()
	b.knows(n.hosts["x"], 3)

	ask := n.wire.first("the inquire", b.sent("inquire"))
	told := n.wire.first("the tell", a.sent("tell"))
	seen := n.wire.all(both(a.sent("beacon"), after(joined)))
	if ask.sync.target != a.id {
		t.Errorf("b asked %s, a is %s", ask.sync.target, a.id)
	}
	if len(seen) == 0 || !seen[0].at.Before(ask.at) || !ask.at.Before(told.at) {
		t.Errorf("not beacon, inquire, tell: %d beacons, asked %s, told %s", len(seen), ask.at, told.at)
	} else if wait := ask.at.Sub(seen[0].at); wait < 2*interval-interval/10 {
		t.Errorf("b asked %s after a's beacon; others must have two intervals to be heard", wait)
	}
	var hashes []string
	for _, entry := range told.sync.tells {
		hashes = append(hashes, entry.hash)
		if entry.downloaded != 1 || entry.minutes != 0 {
			t.Errorf("told %+v", entry)
		}
	}
	slices.Sort(hashes)
	if want := []string{hash(0), hash(1), hash(2)}; !slices.Equal(hashes, want) {
		t.Errorf("told of %v, want %v", hashes, want)
	}
}

// TestTwoJoinersOneTell: the second joiner hears what the first one asked for.
func TestTwoJoinersOneTell(t *testing.T) {
	n := newNetwork(t, "a", "b", "c", "x")
	a := n.hosts["a"].serve(quick...)
	a.finish(n.hosts["x"], 3)
	n.wire.first("a beacon of three", both(a.sent("beacon"), func(f frame) bool { return f.sync.torrents == 3 }))
	b := n.hosts["b"].serve(quick...)
	b.state("collect")
	c := n.hosts["c"].serve(quick...)
	b.knows(n.hosts["x"], 3)
	c.knows(n.hosts["x"], 3)

	// Another round of beacons, so that whoever still wants to ask has done so.
	last := time.Now()
	n.wire.atLeast(4, "beacons after the tell", both(a.sent("beacon"), after(last)))
	if asked := len(n.wire.all(b.sent("inquire"))) + len(n.wire.all(c.sent("inquire"))); asked != 1 {
		t.Errorf("asked %d times, want once", asked)
	}
	entries := 0
	for _, f := range n.wire.all(a.sent("tell")) {
		entries += len(f.sync.tells)
	}
	if entries != 3 {
		t.Errorf("%d entries told, want 3 for both joiners", entries)
	}
}

// TestSecondTellPausesTheFirst: two trackers are asked at the same time. The
// one with the lower id tells, the other waits until it has been quiet for an
// interval, and both come to their end.
func TestSecondTellPausesTheFirst(t *testing.T) {
	const torrents, perTell = 9000, 45
	n := newNetwork(t, "low", "high", "x")
	low := n.hosts["low"].serve("--tracker-id", "0a000001", "--beacon-interval", interval.String())
	high := n.hosts["high"].serve("--tracker-id", "0a000002", "--beacon-interval", interval.String())
	f := n.hosts["x"].forger(n.hosts["x"].ip4)
	for i := 0; i < torrents; i += perTell {
		b := header(strangerID, 3)
		for j := i; j < min(i+perTell, torrents); j++ {
			b = appendTell(b, hash(j), 0, 1)
		}
		f.send(group, b)
		if i/perTell%50 == 0 { // let them read
			want := uint64(min(i+perTell, torrents))
			for _, node := range []*node{low, high} {
				node.until(fmt.Sprintf("%d torrents", want), func(s status) error {
					if s.Torrents != want {
						return fmt.Errorf("it has %d", s.Torrents)
					}
					return nil
				})
			}
		}
	}
	whole := (torrents + perTell - 1) / perTell

	f.send(group, inquire(strangerID, high.id))
	n.wire.first("the first tell", high.sent("tell"))
	f.send(group, inquire(strangerID, low.id))
	lows := n.wire.atLeast(whole, "all of the second tell", low.sent("tell"))
	highs := n.wire.atLeast(whole, "all of the first tell", high.sent("tell"))
	if len(lows) != whole || len(highs) != whole {
		t.Errorf("%d and %d tell packets, want %d each: paused is not begun again", len(lows), len(highs), whole)
	}

	first, last := lows[0].at, lows[len(lows)-1].at
	during := 0
	var resumed time.Time
	for _, h := range highs {
		switch {
		case h.at.After(last):
			if resumed.IsZero() {
				resumed = h.at
			}
		case h.at.After(first):
			during++
		}
	}
	if during > 20 {
		t.Errorf("%d packets of the first tell during the second", during)
	}
	if resumed.IsZero() {
		t.Fatal("the first tell was over before the second ended: nothing was paused")
	}
	if quiet := resumed.Sub(last); quiet < interval-interval/10 {
		t.Errorf("the first tell went on %s after the second, want an interval of quiet", quiet)
	}
}

// state waits until a tracker's scrape sync is in a state.
func (n *node) state(want string) {
	n.t.Helper()
	n.until("scrape sync is in state "+want, func(s status) error {
		if s.Livesync.State != want {
			return fmt.Errorf("its state is %q", s.Livesync.State)
		}
		return nil
	})
}

// TestSilentTargetIsGivenUp: a node that claims much and tells nothing is asked
// three times, and its next beacon is not believed.
func TestSilentTargetIsGivenUp(t *testing.T) {
	n := newNetwork(t, "a", "x")
	a := n.hosts["a"].serve(quick...)
	f := n.hosts["x"].forger(n.hosts["x"].ip4)
	f.send(group, beacon(strangerID, 1000))
	a.state("collect")
	asked := n.wire.atLeast(3, "inquiries", a.sent("inquire"))
	for _, ask := range asked {
		if ask.sync.target != strangerID {
			t.Errorf("it asked %s", ask.sync.target)
		}
	}
	a.state("idle")
	f.send(group, beacon(strangerID, 1000))
	s := a.until("hears the second beacon", func(s status) error {
		if s.Livesync.Received.Beacons != 2 {
			return fmt.Errorf("%d received", s.Livesync.Received.Beacons)
		}
		return nil
	})
	if s.Livesync.State != "idle" || s.Livesync.Sent.Inquiries != 3 {
		t.Errorf("state %s after %d inquiries, want idle after 3", s.Livesync.State, s.Livesync.Sent.Inquiries)
	}
}

// TestWhoKnowsMoreSaysSo: what another tells is taken where it is more than we
// know; where we know more it is corrected, an interval later.
func TestWhoKnowsMoreSaysSo(t *testing.T) {
	n := newNetwork(t, "a", "x")
	a := n.hosts["a"].serve(quick...)
	a.finish(n.hosts["x"], 2)
	b := appendTell(header(strangerID, 3), hash(0), 5, 0)
	b = appendTell(b, hash(1), 5, 7)
	n.hosts["x"].forger(n.hosts["x"].ip4).send(group, b)
	heard := n.wire.first("the stranger's tell", n.hosts["x"].sent("tell"))
	told := n.wire.first("the correction", a.sent("tell"))
	want := []syncTell{{hash(0), 0, 1}}
	if !slices.Equal(told.sync.tells, want) {
		t.Errorf("told %v, want %v", told.sync.tells, want)
	}
	if wait := told.at.Sub(heard.at); wait < interval-interval/10 {
		t.Errorf("corrected after %s; a tell must not be interrupted", wait)
	}
	if _, _, downloaded, err := n.hosts["x"].scrape(a.ip4, hash(1)); downloaded != 7 || err != nil {
		t.Errorf("it counts %d (%v), was told 7", downloaded, err)
	}
}
