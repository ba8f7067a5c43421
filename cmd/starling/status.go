package main

import (
	"time"

	"starling/livesync"
)

// status is the answer of /api/v1/status. Scripts rely on its fields: they are only ever added to.
type status struct {
	TrackerID string         `json:"tracker_id"`
	Version   string         `json:"version"`
	Uptime    float64        `json:"uptime_s"`
	Ready     bool           `json:"ready"`
	Torrents  uint64         `json:"torrents"`
	Peers     familyCounts   `json:"peers"`
	Seeders   uint64         `json:"seeders"`
	Leechers  uint64         `json:"leechers"`
	Announces protocolCounts `json:"announces"`
	Scrapes   protocolCounts `json:"scrapes"`
	Livesync  livesyncStatus `json:"livesync"`
	Nodes     []nodeStatus   `json:"nodes"`
	Listen    listenStatus   `json:"listen"`
	Pacing    pacingStatus   `json:"pacing"`

	Directors []directorStatus `json:"directors"`
}

// familyCounts counts per address family.
type familyCounts struct {
	IPv4 uint64 `json:"ipv4"`
	IPv6 uint64 `json:"ipv6"`
}

// protocolCounts counts per announce server.
type protocolCounts struct {
	HTTP uint64 `json:"http"`
	UDP  uint64 `json:"udp"`
}

// listenStatus tells where a node listens, with the ports it was given for port 0.
type listenStatus struct {
	HTTP  []string `json:"http"`
	UDP   []string `json:"udp"`
	Admin string   `json:"admin"`
}

// livesyncStatus is livesync's part. Mode is plain or off; while the group is not joined the state is down and trouble says why.
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

	Unproven uint64 `json:"unproven"`
	Plain    uint64 `json:"plain"`
}

// nodeStatus is what this node knows of another.
type nodeStatus struct {
	ID        string  `json:"id"`
	Address   string  `json:"address"`
	LastHeard float64 `json:"last_heard_s"` // seconds ago
	Torrents  uint64  `json:"torrents"`
	Packets   uint64  `json:"packets"`
	Records   uint64  `json:"records"`
	Lost      uint64  `json:"lost"`
	Repaired  uint64  `json:"repaired"`
	Mode      string  `json:"mode"`
	Dialect   string  `json:"dialect,omitempty"`
}

// status takes the picture of this moment.
func (n *node) status(now time.Time) status {
	store, http, udp, sync := n.tracker.Stats(), n.http.Counts(), n.udp.Counts(), n.livesync.Status()
	return status{
		TrackerID: sync.ID.String(),
		Version:   version(),
		Uptime:    seconds(now.Sub(n.started)),
		Ready:     n.phase.Load() == phaseReady,
		Torrents:  store.Torrents,
		Peers:     familyCounts{store.Peers4, store.Peers6},
		Seeders:   store.Seeders,
		Leechers:  store.Leechers,
		Announces: protocolCounts{http.Announces, udp.Announces},
		Scrapes:   protocolCounts{http.Scrapes, udp.Scrapes},
		Livesync:  livesyncStatusOf(sync),
		Nodes:     nodeStatusesOf(sync.Nodes, now),
		Listen:    n.listenStatus(),
		Pacing:    n.pacingStatus(now),
		Directors: n.directorStatuses(),
	}
}

func livesyncStatusOf(s livesync.Status) livesyncStatus {
	l := livesyncStatus{
		Group: s.Group.String(), Interface: s.Interface, Mode: s.Mode, State: s.State,
		Trouble: s.Trouble, Conflict: s.Conflict, Withheld: s.Withheld,
		Sent: trafficStatus(s.Sent), Received: trafficStatus(s.Received),
		Dropped: droppedStatusOf(s.Dropped),
	}
	if s.Address.IsValid() {
		l.Address = s.Address.String()
	}
	return l
}

func droppedStatusOf(d livesync.Dropped) droppedStatus {
	return droppedStatus{
		OwnID: d.OwnID, Source: d.Source, Short: d.Short, Type: d.Type, Group: d.Group, Auth: d.Auth, Replay: d.Replay,
		Queue: d.Queue, Long: d.Long, Address: d.Address, Double: d.Double, Send: d.Send, Better: d.Better,
		Unproven: d.Unproven, Plain: d.Plain,
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
	}
}

func nodeStatusesOf(nodes []livesync.NodeStatus, now time.Time) []nodeStatus {
	all := make([]nodeStatus, len(nodes)) // an empty list, not null
	for i, o := range nodes {
		all[i] = nodeStatus{
			ID: o.ID.String(), Address: o.Address.String(), LastHeard: seconds(now.Sub(o.LastHeard)),
			Torrents: o.Torrents, Packets: o.Packets, Records: o.Records, Lost: o.Lost, Repaired: o.Repaired,
			Mode: o.Mode, Dialect: o.Dialect,
		}
	}
	return all
}

func (n *node) listenStatus() listenStatus {
	l := listenStatus{HTTP: []string{}, UDP: []string{}}
	for _, ln := range n.httpListeners {
		l.HTTP = append(l.HTTP, ln.Addr().String())
	}
	for _, conn := range n.udpConns {
		l.UDP = append(l.UDP, conn.LocalAddr().String())
	}
	if n.admin != nil {
		l.Admin = n.admin.Addr().String()
	}
	return l
}

// seconds returns d in seconds, to the millisecond.
func seconds(d time.Duration) float64 { return float64(d.Milliseconds()) / 1000 }
