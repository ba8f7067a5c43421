package main

import (
	"time"

	"starling/livesync"
	"starling/wire"
)

// livesync adds what was sent, received and thrown away.
func (e *exposition) livesync(s livesync.Status) {
	e.gauge("livesync_joined", "1 while the group is joined on an interface.")
	joined := s.Mode != "off" && s.Trouble == ""
	e.sample(number(joined), "interface", s.Interface, "group", s.Group.String())
	e.gauge("livesync_id_conflict", "1 while another node has the fixed id of this one.").sample(number(s.Conflict != ""))
	e.gauge("livesync_tells_withheld", "1 while tells are withheld because an opentracker of 2010 is there, which hangs on the first.").sample(number(s.Withheld != ""))
	traffic := []struct {
		name, help     string
		sent, received uint64
	}{
		{"packets", "Livesync packets of every kind.", s.Sent.Packets, s.Received.Packets},
		{"records", "Peers told to other nodes or by them.", s.Sent.Records, s.Received.Records},
		{"beacons", "Packets that tell how many torrents a node has.", s.Sent.Beacons, s.Received.Beacons},
		{"inquiries", "Packets that ask a node for its downloaded counts.", s.Sent.Inquiries, s.Received.Inquiries},
		{"tells", "Packets of downloaded counts.", s.Sent.Tells, s.Received.Tells},
	}
	for _, t := range traffic {
		e.counter("livesync_"+t.name+"_total", t.help)
		e.sample(float64(t.sent), "direction", "sent")
		e.sample(float64(t.received), "direction", "received")
	}
	e.counter("livesync_dropped_total", "What livesync threw away, by reason.")
	for _, d := range droppedStatusOf(s.Dropped).list() {
		e.sample(float64(d.count), "reason", d.reason)
	}
	e.counter("livesync_discarded_total", "What livesync gave up before sending it, by what it said: records, where nothing else is said.")
	for _, d := range discardedStatus(s.Discarded).list() {
		e.sample(float64(d.count), "kind", d.reason)
	}
}

// nodes adds what is known of the other nodes.
func (e *exposition) nodes(s *livesync.Status, now time.Time, beacon time.Duration) {
	nodes, states := s.Nodes, make([]nodeState, len(s.Nodes))
	for i := range nodes {
		states[i] = nodeStateOf(s, &nodes[i], now, beacon)
	}
	e.gauge("nodes", "Other nodes heard.").sample(float64(len(nodes)))
	e.gauge("node_up", "1 while another node is heard and has not said that it ends.")
	for i := range nodes {
		e.sample(number(states[i] == nodeHeard), "node", nodes[i].ID.String())
	}
	e.gauge("node_lost", "1 while another node is silent that has not said that it ends, and that no other one took the place of.")
	for i := range nodes {
		e.sample(number(states[i] == nodeSilent), "node", nodes[i].ID.String())
	}
	e.gauge("node_healthy", "1 while another node is heard and says that it lacks nothing and is not about to end.")
	for i := range nodes {
		if nodes[i].Mode == "keyed" {
			e.sample(number(states[i] == nodeHeard && nodes[i].Member.Health == wire.Healthy), "node", nodes[i].ID.String())
		}
	}
	e.gauge("node_silence_seconds", "How long ago another node was last heard.")
	for _, o := range nodes {
		e.sample(seconds(now.Sub(o.LastHeard)), "node", o.ID.String(), "address", addressOf(&o))
	}
	e.gauge("node_torrents", "Torrents of another node, by its last beacon.")
	for _, o := range nodes {
		e.sample(float64(o.Torrents), "node", o.ID.String())
	}
	e.counter("node_packets_total", "Packets heard from another node.")
	for _, o := range nodes {
		e.sample(float64(o.Packets), "node", o.ID.String())
	}
	e.counter("node_records_total", "Records heard from another node.")
	for _, o := range nodes {
		e.sample(float64(o.Records), "node", o.ID.String())
	}
	counters := []struct {
		name, help string
		value      func(o *livesync.NodeStatus) uint64
	}{
		{"lost", "Packets of another node that were given up.", func(o *livesync.NodeStatus) uint64 { return o.Lost }},
		{"repaired", "Packets of another node that were missing and came.", func(o *livesync.NodeStatus) uint64 { return o.Repaired }},
		{"late", "Packets of another node that came after they were given up.", func(o *livesync.NodeStatus) uint64 { return o.Late }},
		{"duplicate", "Packets of another node that were here before.", func(o *livesync.NodeStatus) uint64 { return o.Duplicate }},
		{"refused", "Packets of another node for which there was no room behind a gap.", func(o *livesync.NodeStatus) uint64 { return o.Refused }},
	}
	for _, c := range counters {
		e.counter("node_"+c.name+"_packets_total", c.help)
		for i := range nodes {
			e.sample(float64(c.value(&nodes[i])), "node", nodes[i].ID.String())
		}
	}
	e.keyedNodes(nodes)
}

// keyedNodes tells of nodes with a cluster key what only they say of themselves.
func (e *exposition) keyedNodes(nodes []livesync.NodeStatus) {
	gauges := []struct {
		name, help string
		value      func(o *livesync.NodeStatus) (v float64, ok bool)
	}{
		{"peers", "Peers of another node.", func(o *livesync.NodeStatus) (float64, bool) { return float64(o.Member.Peers), true }},
		{"lag_seconds", "From another node's sending to applying here, the median of the last minute, as exact as both clocks agree.",
			func(o *livesync.NodeStatus) (float64, bool) { return o.Lag.Seconds(), true }},
		{"lag_max_seconds", "The longest of the last minute.", func(o *livesync.NodeStatus) (float64, bool) { return o.LagMax.Seconds(), true }},
		{"divergence_peers", "Peers that this node and another hold differently, an estimate.", func(o *livesync.NodeStatus) (float64, bool) {
			return float64(o.Divergence.Peers), o.Divergence.Known
		}},
		{"divergence_bound_peers", "How many peers may differ while both are in sync.", func(o *livesync.NodeStatus) (float64, bool) {
			return float64(o.Divergence.Bound), o.Divergence.Known
		}},
		{"divergence_more_peers", "How many peers another node has beyond ours, below zero: less.", func(o *livesync.NodeStatus) (float64, bool) {
			return float64(o.Divergence.More), o.Divergence.Known
		}},
		{"announce_rate_per_second", "Announces a second that another node was said to serve; 0: unlimited.",
			func(o *livesync.NodeStatus) (float64, bool) { return float64(o.Member.Capacity), true }},
		{"divergence_ratio", "The same as a share of the peers of the larger of both.", func(o *livesync.NodeStatus) (float64, bool) {
			return o.Divergence.Share, o.Divergence.Known
		}},
	}
	for _, g := range gauges {
		e.gauge("node_"+g.name, g.help)
		for i := range nodes {
			if v, ok := g.value(&nodes[i]); ok && nodes[i].Mode == "keyed" {
				e.sample(v, "node", nodes[i].ID.String())
			}
		}
	}
}

// sync answers "is my cluster in sync?".
func (e *exposition) sync(s *livesync.Status, now time.Time) {
	e.gauge("in_sync", "1 while this node and all others of the cluster hold the same peers, 0 while not; missing while nobody can know.")
	if answer := s.Sync(now); answer.Known {
		e.sample(number(answer.Yes))
	}
	if s.Mode != "keyed" {
		return
	}
	e.gauge("catch_up_running", "1 while peers come that this node lacked.")
	e.sample(number(s.CatchUp.Running))
	e.gauge("catch_up_complete", "1 while this node lacks nothing that the others know.")
	e.sample(number(s.CatchUp.Complete))
	e.gauge("catch_up_peers", "Peers that came in the stream that comes, or in the last one.")
	e.sample(float64(s.CatchUp.Peers))
	e.gauge("catch_up_torrents", "Torrents that came in it.").sample(float64(s.CatchUp.Torrents))
	e.gauge("catch_up_expected_peers", "Peers of the node that sends it, which need not send all.").sample(float64(s.CatchUp.Expected))
	e.gauge("catch_up_duration_seconds", "How long it took, or takes until now.").sample(s.CatchUp.Took.Seconds())
	e.gauge("catch_up_waiting_nodes", "Nodes that are still to be asked.").sample(float64(s.CatchUp.Waiting))
	e.counter("catch_up_streams_total", "Streams that were asked for, by how they ended.")
	e.sample(float64(s.CatchUp.Streams), "result", "whole").sample(float64(s.CatchUp.Failed), "result", "failed")
}
