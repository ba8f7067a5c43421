package main

import (
	"fmt"
	"maps"
	"runtime"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"time"

	"starling/tracker"
)

// exposition is text in the Prometheus exposition format, version 0.0.4. Names follow
// its conventions: base units, the unit and then _total of a counter at the end.
type exposition struct {
	b    strings.Builder
	name string // of the family that samples are added to
}

// gauge begins a family of values that go up and down.
func (e *exposition) gauge(name, help string) { e.family(name, "gauge", help) }

// counter begins a family of values that only grow.
func (e *exposition) counter(name, help string) { e.family(name, "counter", help) }

func (e *exposition) family(name, kind, help string) {
	e.name = "starling_" + name
	fmt.Fprintf(&e.b, "# HELP %s %s\n# TYPE %s %s\n", e.name, help, e.name, kind)
}

// sample adds a value to the family. labels are names and values in turn; no
// value of ours needs escaping beyond that of %q.
func (e *exposition) sample(v float64, labels ...string) {
	e.b.WriteString(e.name)
	for i := 0; i < len(labels); i += 2 {
		open := ","
		if i == 0 {
			open = "{"
		}
		fmt.Fprintf(&e.b, "%s%s=%q", open, labels[i], labels[i+1])
	}
	if len(labels) > 0 {
		e.b.WriteByte('}')
	}
	e.b.WriteString(" " + strconv.FormatFloat(v, 'f', -1, 64) + "\n")
}

// number is 1 for true.
func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// metrics returns the page that Prometheus scrapes.
func (n *node) metrics(now time.Time) []byte {
	e := new(exposition)
	s := n.livesync.Status()
	e.process(n, s.ID.String())
	e.store(n.tracker.Stats())
	e.gauge("http_connections", "HTTP announce connections that are open.")
	e.sample(float64(n.http.Connections()))
	e.servers(n.http.Counts(), n.udp.Counts())
	e.livesync(s)
	e.sync(&s, now)
	e.nodes(s.Nodes, now)
	pacing := n.pacingStatus(now)
	e.pacing(&pacing)
	e.directors(n.directorStatuses())
	e.documents("status", n.statusPage.Counts())
	return []byte(e.b.String())
}

func (e *exposition) process(n *node, id string) {
	e.gauge("build_info", "Always 1; the labels tell the build and the id of this node.")
	e.sample(1, "version", version(), "go", runtime.Version(), "tracker_id", id)
	e.gauge("start_time_seconds", "When this node started, in seconds since 1970.")
	e.sample(float64(n.started.UnixMilli()) / 1000)
	e.gauge("ready", "1 while this node serves, 0 while it starts or drains.")
	e.sample(number(n.ready()))
	e.gauge("goroutines", "Goroutines that exist; one for each open HTTP connection and a few more.")
	e.sample(float64(runtime.NumGoroutine()))
	memory := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/total:bytes"}}
	metrics.Read(memory)
	e.gauge("memory_heap_bytes", "Memory in use by swarms and everything else that is allocated.")
	e.sample(float64(memory[0].Value.Uint64()))
	e.gauge("memory_system_bytes", "Memory mapped from the system.")
	e.sample(float64(memory[1].Value.Uint64()))
}

func (e *exposition) store(s tracker.Stats) {
	e.gauge("torrents", "Torrents known here.")
	e.sample(float64(s.Torrents))
	e.gauge("peers", "Peers in all swarms; a client with both families counts in each.")
	e.sample(float64(s.Peers4), "family", "ipv4")
	e.sample(float64(s.Peers6), "family", "ipv6")
	e.gauge("seeders", "Peers that have the whole torrent.")
	e.sample(float64(s.Seeders))
	e.gauge("leechers", "Peers that do not, partial seeds included.")
	e.sample(float64(s.Leechers))
	e.gauge("partial_seeds", "Leechers that want no more (BEP 21).")
	e.sample(float64(s.Partial))
	e.gauge("store_bytes", "Memory of the swarms.")
	e.sample(float64(s.Bytes))
	e.counter("completions_total", "Completed downloads, announced here or told by other nodes.")
	e.sample(float64(s.Completed))
	e.counter("expired_peers_total", "Peers forgotten because they were silent for the peer timeout.")
	e.sample(float64(s.Expired))
	e.counter("refused_peers_total", "Peers not stored because the store was full.")
	e.sample(float64(s.Refused))
}

func (e *exposition) servers(http, udp tracker.ServerCounts) {
	e.counter("announces_total", "Announces answered with peers.")
	e.sample(float64(http.Announces), "protocol", "http")
	e.sample(float64(udp.Announces), "protocol", "udp")
	e.counter("scrapes_total", "Scrapes answered.")
	e.sample(float64(http.Scrapes), "protocol", "http")
	e.sample(float64(udp.Scrapes), "protocol", "udp")
	e.counter("refusals_total", "Requests that were refused or not heard out, by reason.")
	for _, reason := range slices.Sorted(maps.Keys(http.Refused)) {
		e.sample(float64(http.Refused[reason]), "protocol", "http", "reason", reason)
	}
	for _, reason := range slices.Sorted(maps.Keys(udp.Refused)) {
		e.sample(float64(udp.Refused[reason]), "protocol", "udp", "reason", reason)
	}
}

func (e *exposition) directors(all []directorStatus) {
	e.gauge("directors", "On-demand trackers, whose swarms are in none of the other figures.")
	e.sample(float64(len(all)))
	e.gauge("director_torrents", "Torrents known to an on-demand tracker.")
	for _, d := range all {
		e.sample(float64(d.Torrents), "director", d.Name)
	}
	e.gauge("director_peers", "Peers in all swarms of an on-demand tracker.")
	for _, d := range all {
		e.sample(float64(d.Peers.IPv4), "director", d.Name, "family", "ipv4")
		e.sample(float64(d.Peers.IPv6), "director", d.Name, "family", "ipv6")
	}
}
