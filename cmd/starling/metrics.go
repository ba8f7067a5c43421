package main

import (
	"maps"
	"runtime"
	"slices"
	"time"

	"starling/livesync"
	"starling/tracker"
	"starling/tracker/document"
	"starling/tracker/fullscrape"
)

// figures is all that metrics are made of, but for what the language and the system say of the process. A number in it is on the page, which
// a test sees to: whoever adds one adds the line for it below, or says in the test why it is no metric.
type figures struct {
	Started     time.Time
	Ready       bool
	Store       tracker.Stats
	MemoryLimit int64
	Memory      tracker.BudgetStatus // zeros without a limit
	Connections int64                // over HTTP, that are open
	HTTP, UDP   tracker.ServerCounts
	Sync        livesync.Status
	Beacon      time.Duration // the interval of beacons, by which nodes without a cluster key are judged
	Pacing      pacingStatus
	Directors   []directorStatus
	StatusPage  document.Counts
	FullScrape  fullscrape.Counts // zero when nobody may ask
	Guard       guardStatus
	Snapshots   snapshotStatus
	Relay       *relayStatus // nil without one
	Access      accessStatus
	Abuse       abuseStatus
}

// figures takes the picture of this moment.
func (n *node) figures(now time.Time) *figures {
	f := &figures{
		Started: n.started, Ready: n.ready(),
		Store: n.tracker.Stats(), MemoryLimit: n.cfg.memoryLimit, Memory: n.budget.Status(), Connections: n.http.Connections(), HTTP: n.http.Counts(), UDP: n.udp.Counts(),
		Sync: n.livesync.Status(), Beacon: n.cfg.beaconInterval,
		Pacing: n.pacingStatus(now), Directors: n.directorStatuses(), StatusPage: n.statusPage.Counts(),
		Guard: n.guard.status(), Snapshots: n.snapshots.status(n.started),
		Access: n.accessStatus(), Relay: n.relayStatus(now), Abuse: n.abuseStatus(now),
	}
	if n.fullScrape != nil {
		f.FullScrape = n.fullScrape.Counts()
	}
	return f
}

// page returns the page that Prometheus scrapes.
func (f *figures) page(now time.Time) []byte {
	e := new(exposition)
	e.node(f)
	e.store(f.Store)
	e.gauge("http_connections", "HTTP announce connections that are open.").sample(float64(f.Connections))
	e.servers(f.HTTP, f.UDP)
	e.livesync(f.Sync)
	e.sync(&f.Sync, now)
	e.nodes(&f.Sync, now, f.Beacon)
	e.pacing(&f.Pacing)
	e.directors(f.Directors)
	e.counter("full_scrapes_total", "Scrapes of all torrents that were sent whole, those in opentracker's other formats included.").sample(float64(f.FullScrape.Answered))
	e.counter("full_scrape_sent_bytes_total", "Bytes of them that were sent, of those that broke off, too.").sample(float64(f.FullScrape.Bytes))
	e.documents([]servedDocument{{"status", f.StatusPage}, {"full scrape", f.FullScrape.Copy}})
	e.guard(&f.Guard)
	e.snapshots(&f.Snapshots)
	e.access(&f.Access)
	e.relay(f.Relay)
	e.abuse(&f.Abuse)
	e.runtime()
	e.process()
	e.memory(f.MemoryLimit, &f.Memory)
	return []byte(e.b.String())
}

// node adds what this node is.
func (e *exposition) node(f *figures) {
	e.gauge("build_info", "Always 1; the labels tell the build and the id of this node.").
		sample(1, "version", version(), "goversion", runtime.Version(), "tracker_id", f.Sync.ID.String())
	e.gauge("start_time_seconds", "When this node started, in seconds since 1970.").sample(float64(f.Started.UnixMilli()) / 1000)
	e.gauge("ready", "1 while this node serves, 0 while it starts, catches up or drains.").sample(number(f.Ready))
}

// store adds what the swarms hold and what became of peers.
func (e *exposition) store(s tracker.Stats) {
	e.gauge("torrents", "Torrents known here.").sample(float64(s.Torrents))
	e.gauge("peers", "Peers in all swarms; a client with both families counts in each.").
		sample(float64(s.Peers4), "family", "ipv4").sample(float64(s.Peers6), "family", "ipv6")
	e.gauge("seeders", "Peers that have the whole torrent.").sample(float64(s.Seeders))
	e.gauge("leechers", "Peers that do not, partial seeds included.").sample(float64(s.Leechers))
	e.gauge("partial_seeds", "Leechers that want no more (BEP 21).").sample(float64(s.Partial))
	e.gauge("store_bytes", "Memory of the swarms.").sample(float64(s.Bytes))
	e.counter("completions_total", "Completed downloads, announced here or told by other nodes.").sample(float64(s.Completed))
	e.counter("expired_peers_total", "Peers forgotten because they were silent for the peer timeout.").sample(float64(s.Expired))
	e.counter("refused_peers_total", "Peers and torrents not stored because there was no room, by why.")
	for _, r := range refusedOf(&s.Unstored) {
		e.sample(float64(r.count), "reason", r.reason)
	}
	e.counter("sampled_peers_total", "Peers not kept because only a sample is kept of their swarm; they are in its counts.").sample(float64(s.Unstored.Sampled))
}

// servers adds what the announce servers did.
func (e *exposition) servers(http, udp tracker.ServerCounts) {
	byProtocol := func(http, udp uint64) {
		e.sample(float64(http), "protocol", "http").sample(float64(udp), "protocol", "udp")
	}
	e.counter("connects_total", "Connections accepted over HTTP, connect requests answered over UDP.")
	byProtocol(http.Connects, udp.Connects)
	e.counter("announces_total", "Announces answered with peers.")
	byProtocol(http.Announces, udp.Announces)
	e.latency("announce_duration_seconds", "From an announce's having been read to its answer having been given to the system, waiting for tokens included.",
		protocolLatency{"http", &http.Latency}, protocolLatency{"udp", &udp.Latency})
	e.counter("scrapes_total", "Scrapes answered.")
	byProtocol(http.Scrapes, udp.Scrapes)
	e.counter("refusals_total", "Requests that were refused or not heard out, by reason.")
	for _, reason := range slices.Sorted(maps.Keys(http.Refused)) {
		e.sample(float64(http.Refused[reason]), "protocol", "http", "reason", reason)
	}
	for _, reason := range slices.Sorted(maps.Keys(udp.Refused)) {
		e.sample(float64(udp.Refused[reason]), "protocol", "udp", "reason", reason)
	}
}

// protocolLatency is how long the announces of a protocol took.
type protocolLatency struct {
	protocol string
	latency  *tracker.Latency
}

// latency adds histograms of how long announces took.
func (e *exposition) latency(name, help string, each ...protocolLatency) {
	bounds := make([]float64, len(tracker.LatencyBounds))
	for i, d := range tracker.LatencyBounds {
		bounds[i] = d.Seconds()
	}
	e.family("starling_"+name, "histogram", help)
	for _, p := range each {
		e.histogram(bounds, p.latency.Counts[:], p.latency.Sum.Seconds(), "protocol", p.protocol)
	}
}

// guard adds what the admin address let through and refused.
func (e *exposition) guard(s *guardStatus) {
	e.counter("admin_changes_total", "Requests at the admin address that were let through to change something.").sample(float64(s.Changes))
	e.counter("admin_refusals_total", "Requests at the admin address that were refused, by why.")
	for _, reason := range slices.Sorted(maps.Keys(s.Refused)) {
		e.sample(float64(s.Refused[reason]), "reason", reason)
	}
}

// directors adds what on-demand trackers hold.
func (e *exposition) directors(all []directorStatus) {
	e.gauge("directors", "On-demand trackers, whose swarms are in none of the other figures.").sample(float64(len(all)))
	e.gauge("director_nodes", "Other nodes that an on-demand tracker heard.")
	for _, d := range all {
		e.sample(float64(d.Livesync.Nodes), "director", d.Name)
	}
	e.gauge("director_seeders", "Peers of an on-demand tracker that have the whole torrent.")
	for _, d := range all {
		e.sample(float64(d.Seeders), "director", d.Name)
	}
	e.gauge("director_leechers", "Peers of an on-demand tracker that do not.")
	for _, d := range all {
		e.sample(float64(d.Leechers), "director", d.Name)
	}
	e.gauge("director_torrents", "Torrents known to an on-demand tracker.")
	for _, d := range all {
		e.sample(float64(d.Torrents), "director", d.Name)
	}
	e.gauge("director_peers", "Peers in all swarms of an on-demand tracker.")
	for _, d := range all {
		e.sample(float64(d.Peers.IPv4), "director", d.Name, "family", "ipv4").sample(float64(d.Peers.IPv6), "director", d.Name, "family", "ipv6")
	}
}
