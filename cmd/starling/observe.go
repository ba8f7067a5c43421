package main

import (
	"maps"
	"runtime/metrics"
	"slices"
	"sync"
	"syscall"
	"time"

	"starling/cmd/starling/dashboard"
	"starling/livesync"
	"starling/tracker"
	"starling/tracker/pacer"
	"starling/wire"
)

// observer keeps what of the recent past is shown: samples of an hour, and what of the others' packets did not come.
type observer struct {
	history dashboard.History

	mu     sync.Mutex // guards what follows
	last   reading
	took   [2]durations // of announces over HTTP and UDP
	links  map[wire.NodeID]*link
	latest dashboard.Sample
	coarse dashboard.Sample
}

// reading is the counters of one moment; what they grow by is shown.
type reading struct {
	at               time.Time
	http, udp        uint64
	took             [2]tracker.Latency // of announces over HTTP and UDP
	sent, received   uint64
	missed           uint64
	refused, pressed uint64
	processors       time.Duration // time spent in them
}

// read reads the counters.
func (n *node) read(now time.Time, s *livesync.Status) reading {
	http, udp := n.http.Counts(), n.udp.Counts()
	r := reading{
		at: now, http: http.Announces, udp: udp.Announces, took: [2]tracker.Latency{http.Latency, udp.Latency}, sent: s.Sent.Records, received: s.Received.Records,
		refused:    refusedFor(http, "connections", "accept") + refusedFor(udp, "receive", "send"),
		processors: processorTime(),
	}
	for i := range s.Nodes {
		r.missed += s.Nodes[i].Lost + s.Nodes[i].Repaired
	}
	for step, count := range n.steering.answers(now) {
		switch step {
		case pacer.Short.String(), pacer.Redirect.String(), pacer.Bare.String(), pacer.Stale.String():
			r.pressed += count
		case pacer.Fail.String(), pacer.Unavailable.String(), pacer.Hangup.String():
			r.refused += count
		}
	}
	return r
}

// refusedFor adds up what a server refused for these reasons, which are its own and not the clients' fault.
func refusedFor(c tracker.ServerCounts, reasons ...string) (n uint64) {
	for _, reason := range reasons {
		n += c.Refused[reason]
	}
	return n
}

// processorTime returns how long this program has kept processors busy.
func processorTime() time.Duration {
	var use syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &use) != nil {
		return 0
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

// memoryMiB returns how much memory this program has from the system.
func memoryMiB() float32 {
	m := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(m)
	return float32(m[0].Value.Uint64()-min(m[0].Value.Uint64(), m[1].Value.Uint64())) / (1 << 20)
}

// sample makes a sample of what the counters grew by since the last reading, which is zero for the first.
func (r *reading) sample(before *reading) dashboard.Sample {
	s := dashboard.Sample{At: r.at.UnixMilli()}
	took := r.at.Sub(before.at).Seconds()
	if before.at.IsZero() || took <= 0 {
		return s
	}
	rate := func(is, was uint64) float32 { return float32(float64(is-min(is, was)) / took) }
	v := &s.Values
	v[dashboard.AnnouncesHTTP], v[dashboard.AnnouncesUDP] = rate(r.http, before.http), rate(r.udp, before.udp)
	v[dashboard.RecordsSent], v[dashboard.RecordsReceived] = rate(r.sent, before.sent), rate(r.received, before.received)
	v[dashboard.Missed] = rate(r.missed, before.missed)
	v[dashboard.Refused], v[dashboard.Pressed] = rate(r.refused, before.refused), rate(r.pressed, before.pressed)
	v[dashboard.Processors] = float32((r.processors - before.processors).Seconds() / took)
	return s
}

// observe takes the sample of this moment.
func (n *node) observe(now time.Time, s *livesync.Status) {
	o, store := &n.observer, n.tracker.Stats()
	r := n.read(now, s)
	o.mu.Lock()
	defer o.mu.Unlock()
	sample := r.sample(&o.last)
	v := &sample.Values
	v[dashboard.PeersIPv4], v[dashboard.PeersIPv6], v[dashboard.Torrents] = float32(store.Peers4), float32(store.Peers6), float32(store.Torrents)
	v[dashboard.Memory] = memoryMiB()
	for i, at := range [...]int{dashboard.HTTPHalf, dashboard.UDPHalf} {
		o.took[i].add(r.took[i])
		v[at], v[at+1] = o.took[i].quantile(0.5), o.took[i].quantile(0.99)
	}
	for i := range s.Nodes {
		if node := &s.Nodes[i]; nodeStateOf(s, node, now, n.cfg.beaconInterval) == nodeHeard {
			v[dashboard.Lag] = max(v[dashboard.Lag], float32(node.Lag.Seconds()*1000))
		}
	}
	o.lookAtLinks(now, s)
	o.last, o.latest = r, sample
	if coarse, ok := o.history.Add(sample); ok {
		o.coarse = coarse
	}
}

// linkTicks is over how many stretches of ten seconds the loss of a link is reckoned.
const (
	linkTick  = 10 * time.Second
	linkTicks = 6
)

// link is the counters of another node's packets in the last minute.
type link struct {
	epoch uint64
	tick  time.Time
	past  [linkTicks]linkCount // of the beginnings of the latest stretches
	ticks int
	is    linkCount
}

type linkCount struct{ packets, missed, lost uint64 }

// lookAtLinks takes in the counters of all nodes.
func (o *observer) lookAtLinks(now time.Time, s *livesync.Status) {
	if o.links == nil {
		o.links = make(map[wire.NodeID]*link)
	}
	for i := range s.Nodes {
		node := &s.Nodes[i]
		is := linkCount{node.Packets, node.Lost + node.Repaired, node.Lost}
		l := o.links[node.ID]
		if l == nil || l.epoch != node.Epoch || is.packets < l.is.packets {
			l = &link{epoch: node.Epoch}
			o.links[node.ID] = l
		}
		if l.is = is; now.Sub(l.tick) >= linkTick {
			l.past[l.ticks%linkTicks], l.tick = is, now
			l.ticks++
		}
	}
	maps.DeleteFunc(o.links, func(id wire.NodeID, _ *link) bool {
		return !slices.ContainsFunc(s.Nodes, func(n livesync.NodeStatus) bool { return n.ID == id })
	})
}

// linkLoss is what became of a node's packets in the last minute.
type linkLoss struct {
	share float64 // of those that did not come at once
	lost  uint64  // that never came
}

// loss returns what did not come of a node's packets.
func (o *observer) loss(id wire.NodeID) linkLoss {
	o.mu.Lock()
	defer o.mu.Unlock()
	l := o.links[id]
	if l == nil {
		return linkLoss{}
	}
	was := l.past[max(l.ticks-linkTicks, 0)%linkTicks]
	packets, missed := l.is.packets-was.packets, l.is.missed-min(was.missed, l.is.missed)
	return linkLoss{float64(missed) / float64(max(packets+missed, 1)), l.is.lost - min(was.lost, l.is.lost)}
}

// present returns the latest sample, and the latest of the coarse ones.
func (o *observer) present() (latest, coarse dashboard.Sample) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.latest, o.coarse
}
