package main

import (
	"encoding/json"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"starling/cmd/starling/dashboard"
	"starling/livesync"
	"starling/tracker"
	"starling/wire"
)

// TestLiveFrame: one line of JSON with what there is; what was announced is in the next one.
func TestLiveFrame(t *testing.T) {
	n := testNode(t, map[string]setting{"announce-rate": {"", []string{"100/s"}}})
	now := time.Now()
	read := func() (l live) {
		t.Helper()
		b := n.liveFrame(now)
		if strings.ContainsAny(string(b), "\r\n") {
			t.Fatalf("more than a line: %s", b)
		}
		if err := json.Unmarshal(b, &l); err != nil {
			t.Fatal(err)
		}
		return l
	}
	l := read()
	if l.Peers.IPv4 != 0 || l.Pacing == nil || len(l.Views) != 1 || l.Views[0].ID != l.TrackerID || len(l.Sample) != len(dashboard.Columns)+1 {
		t.Errorf("%+v", l)
	}
	for p := range uint16(3) {
		a := tracker.Announce{InfoHash: wire.InfoHash{1}, Peer: wire.PeerFrom(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, 1}), 1000+p))}
		n.tracker.Announce(now, &a, &tracker.Answer{})
	}
	now = now.Add(topInterval)
	s := n.livesync.Status()
	n.observe(now, &s)
	l = read()
	if l.Peers.IPv4 != 3 || l.Leechers != 3 || len(l.Top) != 1 || l.Top[0].Leechers != 3 || l.Sample[1+dashboard.PeersIPv4] != 3 {
		t.Errorf("%+v", l)
	}
	was := l.Events
	n.events.add(now, eventReload, "x")
	if l = read(); l.Events == was {
		t.Error("an event does not show")
	}
}

// TestVerdicts: what an operator is told first.
func TestVerdicts(t *testing.T) {
	link := func(state nodeState) liveLink { return liveLink{State: state.String()} }
	for _, tt := range []struct {
		mode, trouble string
		answer        livesync.Sync
		others        []liveLink
		mood          mood
		word          string
	}{
		{"off", "", livesync.Sync{}, nil, moodNeutral, "Live sync is off"},
		{"plain", "", livesync.Sync{}, nil, moodNeutral, "Alone"},
		{"plain", "", livesync.Sync{}, []liveLink{link(nodeHeard)}, moodGood, "Nodes are heard"},
		{"plain", "", livesync.Sync{}, []liveLink{link(nodeHeard), link(nodeSilent)}, moodWarn, "Nodes are silent"},
		{"plain", "eth0 is down", livesync.Sync{}, []liveLink{link(nodeHeard)}, moodBad, "Cut off"},
		{"keyed", "", livesync.Sync{}, []liveLink{link(nodeHeard)}, moodNeutral, "Comparing"},
		{"keyed", "", livesync.Sync{}, []liveLink{link(nodeEnded)}, moodNeutral, "Alone"},
		{"keyed", "", livesync.Sync{Known: true, Yes: true}, []liveLink{link(nodeHeard)}, moodGood, "In sync"},
		{"keyed", "", livesync.Sync{Known: true, CatchingUp: true}, []liveLink{link(nodeHeard)}, moodWarn, "Catching up"},
		{"keyed", "", livesync.Sync{Known: true, CatchingUp: true}, []liveLink{link(nodeHeard), link(nodeSilent)}, moodBad, "Not in sync"},
		{"keyed", "", livesync.Sync{Known: true}, []liveLink{link(nodeHeard)}, moodBad, "Not in sync"},
	} {
		s := status{Livesync: livesyncStatus{Mode: tt.mode, Trouble: tt.trouble}}
		if got := judgeSync(&s, tt.answer, tt.others); got.Mood != tt.mood || got.Word != tt.word {
			t.Errorf("%+v: %+v", tt, got)
		}
	}
	s := status{Ready: true, Listen: listenStatus{HTTP: []string{":1"}}}
	for _, tt := range []struct {
		phase int32
		ready bool
		word  string
	}{{phaseStarting, false, "Starting"}, {phaseReady, false, "Catching up"}, {phaseReady, true, "Serving"}, {phaseDraining, true, "Draining"}} {
		if got := judgeServing(tt.phase, tt.ready, &s); got.Word != tt.word || (got.Mood == moodGood) != (tt.word == "Serving") {
			t.Errorf("%+v: %+v", tt, got)
		}
	}
	if got := judgeServing(phaseReady, true, &status{}); got.Word != "Not serving" {
		t.Errorf("without an address: %+v", got)
	}
}

// TestMemoryIsTheReason: a node that was short of memory, and differs from others, says so, for as long as it may lack peers for that.
func TestMemoryIsTheReason(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	differs := livesync.Status{Mode: "keyed", Nodes: []livesync.NodeStatus{{Mode: "keyed", LastHeard: now, Divergence: livesync.Divergence{Known: true, Peers: 9, Bound: 8}}}}
	silent := livesync.Status{Mode: "keyed", Nodes: []livesync.NodeStatus{{Mode: "keyed", LastHeard: now.Add(-time.Hour)}}}
	for _, tt := range []struct {
		s       *livesync.Status
		pressed time.Time
		memory  bool
	}{{&differs, now.Add(-time.Minute), true}, {&differs, now.Add(-time.Hour), false}, {&differs, time.Unix(0, 0), false}, {&silent, now, false}} {
		n := node{cfg: &config{peerTimeout: 45 * time.Minute}}
		n.pressed.Store(tt.pressed.UnixNano())
		if a := n.syncAnswer(tt.s, now); !a.Known || a.Yes || strings.Contains(a.Why, "short of memory") != tt.memory {
			t.Errorf("pressed at %v: %+v", tt.pressed, a)
		}
	}
}

// TestLoadVerdict: refusals are told for as long as they are of the last ten seconds, and come first.
func TestLoadVerdict(t *testing.T) {
	sample := func(place int, v float32) (s dashboard.Sample) {
		s.Values[place] = v
		return s
	}
	refused, pressed, served, busy := sample(dashboard.Refused, 5), sample(dashboard.Pressed, 5), sample(dashboard.AnnouncesUDP, 5), sample(dashboard.Processors, 1e4)
	idle := make([]dashboard.Sample, loadWindow)
	for _, tt := range []struct {
		samples []dashboard.Sample
		word    string
	}{
		{nil, "Idle"}, {idle, "Idle"}, {[]dashboard.Sample{served}, "Load is fine"}, {[]dashboard.Sample{served, busy}, "Busy"},
		{[]dashboard.Sample{pressed, busy}, "Pressed"}, {[]dashboard.Sample{refused, pressed}, "Overloaded"},
		{append([]dashboard.Sample{refused}, idle...), "Idle"}, {append([]dashboard.Sample{refused}, idle[1:]...), "Overloaded"},
	} {
		if got := judgeLoad(tt.samples); got.Word != tt.word {
			t.Errorf("%d samples: %+v, want %s", len(tt.samples), got, tt.word)
		}
	}
}

// TestDurations: quantiles of the last ten readings, against the announces themselves.
func TestDurations(t *testing.T) {
	for range 200 {
		seed := rand.Uint64()
		rng := rand.New(rand.NewPCG(seed, 0))
		var d durations
		var total tracker.Latency
		total.Counts[3] = 1000 // of before
		var latest [][len(tracker.LatencyBounds) + 1]uint64
		for i := range 30 {
			var more [len(tracker.LatencyBounds) + 1]uint64
			for range rng.IntN(50) {
				more[rng.IntN(len(more))]++
			}
			if i > 0 {
				for b, n := range more {
					total.Counts[b] += n
				}
				latest = append(latest, more)
			}
			d.add(total)
			for _, share := range []float64{0.01, 0.5, 0.99} {
				got, want := float64(d.quantile(share)), bucketOf(latest[max(len(latest)-durationsSeconds, 0):], share)
				if got < want[0]-1e-6 || got > want[1]*(1+1e-6) {
					t.Fatalf("seed %d, reading %d: %g of all within %g ms, want %v", seed, i, share, got, want)
				}
			}
		}
	}
}

// bucketOf returns the bounds of the bucket in which a quantile lies, in milliseconds.
func bucketOf(counts [][len(tracker.LatencyBounds) + 1]uint64, share float64) (bounds [2]float64) {
	var sum [len(tracker.LatencyBounds) + 1]uint64
	all := uint64(0)
	for _, c := range counts {
		for b, n := range c {
			sum[b] += n
			all += n
		}
	}
	left := share * float64(all)
	for b, n := range sum {
		high := bounds[1] * 2
		if b < len(tracker.LatencyBounds) {
			high = tracker.LatencyBounds[b].Seconds() * 1000
		}
		bounds = [2]float64{bounds[1], high}
		if left <= float64(n) && n > 0 {
			return bounds
		}
		left -= float64(n)
	}
	return [2]float64{}
}

// TestLinks: the share that did not come at once is that of the last minute, whatever was before; a node that starts anew begins anew.
func TestLinks(t *testing.T) {
	var o observer
	now, id := time.Unix(1000, 0), wire.NodeID{1}
	node := livesync.NodeStatus{ID: id, Epoch: 1}
	look := func(seconds int, packets, repaired, lost uint64) linkLoss {
		for range seconds {
			now = now.Add(time.Second)
			node.Packets += packets
			node.Repaired += repaired
			node.Lost += lost
			o.lookAtLinks(now, &livesync.Status{Nodes: []livesync.NodeStatus{node}})
		}
		return o.loss(id)
	}
	if got := look(100, 10, 0, 0); got != (linkLoss{}) {
		t.Errorf("nothing was lost: %+v", got)
	}
	got := look(60, 8, 1, 1)
	if got.share < 0.15 || got.share > 0.25 || got.lost < 40 || got.lost > 60 {
		t.Errorf("a fifth does not come at once: %+v", got)
	}
	if got := look(75, 10, 0, 0); got != (linkLoss{}) {
		t.Errorf("a minute later: %+v", got)
	}
	node = livesync.NodeStatus{ID: id, Epoch: 2}
	if got := look(30, 10, 0, 0); got != (linkLoss{}) {
		t.Errorf("anew: %+v", got)
	}
	o.lookAtLinks(now, &livesync.Status{})
	if len(o.links) != 0 {
		t.Error("a node that is forgotten is kept")
	}
}
