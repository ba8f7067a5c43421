package main

import (
	"strconv"
	"time"

	"starling/livesync"
	"starling/wire"
)

// livesyncStatus is livesync's part. Mode is plain, keyed or off; while the group is not joined the state is down and trouble says why.
type livesyncStatus struct {
	Group     string        `json:"group"`
	Interface string        `json:"interface"`
	Address   string        `json:"address,omitempty"`
	Mode      string        `json:"mode"`
	State     string        `json:"state"`
	Trouble   string        `json:"trouble,omitempty"`
	Conflict  string        `json:"conflict,omitempty"`
	Withheld  string        `json:"withheld,omitempty"`
	Sent      trafficStatus `json:"sent"`
	Received  trafficStatus `json:"received"`
	Dropped   droppedStatus `json:"dropped"`

	Epoch     string          `json:"epoch,omitempty"` // more digits than JavaScript's numbers hold
	Discarded discardedStatus `json:"discarded"`
	CatchUp   *catchUpStatus  `json:"catch_up,omitempty"` // with a cluster key only
}

// trafficStatus counts livesync packets of every kind, and what was in them.
type trafficStatus struct {
	Packets   uint64 `json:"packets"`
	Records   uint64 `json:"records"`
	Beacons   uint64 `json:"beacons"`
	Inquiries uint64 `json:"inquiries"`
	Tells     uint64 `json:"tells"`
}

// droppedStatus counts what livesync threw away, by reason.
type droppedStatus struct {
	OwnID   uint64 `json:"own_id"`
	Source  uint64 `json:"source"`
	Short   uint64 `json:"short"`
	Type    uint64 `json:"type"`
	Group   uint64 `json:"group"`
	Auth    uint64 `json:"auth"`
	Replay  uint64 `json:"replay"`
	Queue   uint64 `json:"queue"`
	Long    uint64 `json:"long"`
	Address uint64 `json:"address"`
	Double  uint64 `json:"double"`
	Send    uint64 `json:"send"`
	Better  uint64 `json:"better"`

	Unproven  uint64 `json:"unproven"`
	Plain     uint64 `json:"plain"`
	Duplicate uint64 `json:"duplicate"`
	Twice     uint64 `json:"twice"`
	Late      uint64 `json:"late"`
	Refused   uint64 `json:"refused"`
	Kernel    uint64 `json:"kernel"`
}

// discardedStatus tells dropped.queue apart by what the records said, and counts what had to leave other lanes.
type discardedStatus struct {
	Merged    uint64 `json:"merged"`
	Renewals  uint64 `json:"renewals"`
	Started   uint64 `json:"started"`
	Completed uint64 `json:"completed"`
	Stopped   uint64 `json:"stopped"`
	Down      uint64 `json:"down"`
	Control   uint64 `json:"control_packets"`
	Repair    uint64 `json:"repair_packets"`
}

// catchUpStatus is how this node stands with catching up with the others. Peers are those of the stream that comes, or of the last one.
type catchUpStatus struct {
	Ready    bool    `json:"ready"`    // done since the start, or nobody was there to ask
	Complete bool    `json:"complete"` // it lacks nothing that the others know
	Running  bool    `json:"running"`
	From     string  `json:"from,omitempty"`
	Torrents uint64  `json:"torrents"`
	Peers    uint64  `json:"peers"`
	Expected uint64  `json:"expected"` // peers of the node that sends, which need not send all
	Took     float64 `json:"took_s"`
	Streams  uint64  `json:"streams"` // that came to their end
	Failed   uint64  `json:"failed"`
	Waiting  int     `json:"waiting"` // nodes that are still to be asked
}

// nodeStatus is what this node knows of another. What only nodes with a cluster key say of themselves is zero of the others.
type nodeStatus struct {
	ID        string  `json:"id"`
	Address   string  `json:"address"`
	LastHeard float64 `json:"last_heard_s"` // seconds ago
	Torrents  uint64  `json:"torrents"`
	Packets   uint64  `json:"packets"`
	Records   uint64  `json:"records"`
	Lost      uint64  `json:"lost"`     // packets that were given up
	Repaired  uint64  `json:"repaired"` // packets that were missing and came
	Mode      string  `json:"mode"`
	Dialect   string  `json:"dialect,omitempty"`

	Late       uint64            `json:"late"` // packets that came after they were given up
	Duplicate  uint64            `json:"duplicate"`
	Refused    uint64            `json:"refused"` // packets for which there was no room behind a gap
	Epoch      string            `json:"epoch,omitempty"`
	Peers      uint64            `json:"peers"`
	Health     string            `json:"health,omitempty"`
	Version    string            `json:"version,omitempty"`
	URL        string            `json:"url,omitempty"`
	Lag        float64           `json:"lag_s"`     // from its sending to our applying: the median of the last minute
	LagMax     float64           `json:"lag_max_s"` // the longest of the last minute; both are as exact as the clocks agree
	Divergence *divergenceStatus `json:"divergence,omitempty"`
}

// divergenceStatus is how far a node's peers are from ours. It is missing until both were compared.
type divergenceStatus struct {
	Peers uint64  `json:"peers"` // that one of both lacks or has in another role, an estimate
	Share float64 `json:"share"`
	Bound uint64  `json:"bound"` // how many may differ in a cluster that is in sync
	More  int64   `json:"more"`  // how many peers it has beyond ours
}

// inSyncOf returns the answer to "is my cluster in sync?" as the JSON has it, nil while nobody can know, and why it is not yes.
func inSyncOf(answer livesync.Sync) (yes *bool, why string) {
	if !answer.Known {
		return nil, answer.Why
	}
	return &answer.Yes, answer.Why
}

func livesyncStatusOf(s livesync.Status) livesyncStatus {
	l := livesyncStatus{
		Group: s.Group.String(), Interface: s.Interface, Mode: s.Mode, State: s.State,
		Trouble: s.Trouble, Conflict: s.Conflict, Withheld: s.Withheld,
		Sent: trafficStatus(s.Sent), Received: trafficStatus(s.Received),
		Dropped: droppedStatusOf(s.Dropped), Epoch: epochOf(s.Epoch), Discarded: discardedStatus(s.Discarded),
	}
	if s.Address.IsValid() {
		l.Address = s.Address.String()
	}
	if s.Mode == "keyed" {
		l.CatchUp = catchUpStatusOf(&s.CatchUp)
	}
	return l
}

func catchUpStatusOf(c *livesync.CatchUpStatus) *catchUpStatus {
	s := &catchUpStatus{
		Ready: c.Ready, Complete: c.Complete, Running: c.Running, Torrents: c.Torrents, Peers: c.Peers, Expected: c.Expected,
		Took: seconds(c.Took), Streams: c.Streams, Failed: c.Failed, Waiting: c.Waiting,
	}
	if c.From != (wire.NodeID{}) {
		s.From = c.From.String()
	}
	return s
}

func droppedStatusOf(d livesync.Dropped) droppedStatus {
	return droppedStatus{
		OwnID: d.OwnID, Source: d.Source, Short: d.Short, Type: d.Type, Group: d.Group, Auth: d.Auth, Replay: d.Replay,
		Queue: d.Queue, Long: d.Long, Address: d.Address, Double: d.Double, Send: d.Send, Better: d.Better,
		Unproven: d.Unproven, Plain: d.Plain, Duplicate: d.Duplicate, Twice: d.Twice, Late: d.Late, Refused: d.Refused, Kernel: d.Kernel,
	}
}

// droppedCount is how often something was thrown away for one reason.
type droppedCount struct {
	reason string
	count  uint64
}

// list returns the reasons under the names they have in the JSON.
func (d droppedStatus) list() []droppedCount {
	return []droppedCount{
		{"own_id", d.OwnID}, {"source", d.Source}, {"short", d.Short}, {"type", d.Type}, {"group", d.Group},
		{"auth", d.Auth}, {"replay", d.Replay}, {"queue", d.Queue}, {"long", d.Long}, {"address", d.Address},
		{"double", d.Double}, {"send", d.Send}, {"better", d.Better}, {"unproven", d.Unproven}, {"plain", d.Plain},
		{"duplicate", d.Duplicate}, {"twice", d.Twice}, {"late", d.Late}, {"refused", d.Refused}, {"kernel", d.Kernel},
	}
}

// list does the same for what was discarded.
func (d discardedStatus) list() []droppedCount {
	return []droppedCount{
		{"merged", d.Merged}, {"renewals", d.Renewals}, {"started", d.Started}, {"completed", d.Completed}, {"stopped", d.Stopped},
		{"down", d.Down}, {"control_packets", d.Control}, {"repair_packets", d.Repair},
	}
}

func nodeStatusesOf(nodes []livesync.NodeStatus, now time.Time) []nodeStatus {
	all := make([]nodeStatus, len(nodes)) // an empty list, not null
	for i := range nodes {
		all[i] = nodeStatusFrom(&nodes[i], now)
	}
	return all
}

func nodeStatusFrom(o *livesync.NodeStatus, now time.Time) nodeStatus {
	s := nodeStatus{
		ID: o.ID.String(), Address: addressOf(o), LastHeard: seconds(now.Sub(o.LastHeard)),
		Torrents: o.Torrents, Packets: o.Packets, Records: o.Records, Lost: o.Lost, Repaired: o.Repaired,
		Mode: o.Mode, Dialect: o.Dialect,
		Late: o.Late, Duplicate: o.Duplicate, Refused: o.Refused, Epoch: epochOf(o.Epoch),
	}
	if o.Mode != "keyed" {
		return s
	}
	s.Peers, s.Health, s.Version, s.URL = o.Member.Peers, o.Member.Health.String(), o.Member.Version, o.Member.URL
	s.Lag, s.LagMax = seconds(o.Lag), seconds(o.LagMax)
	if d := &o.Divergence; d.Known {
		s.Divergence = &divergenceStatus{Peers: d.Peers, Share: d.Share, Bound: d.Bound, More: d.More}
	}
	return s
}

// epochOf writes an epoch, nothing where there is none.
func epochOf(n uint64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatUint(n, 10)
}
