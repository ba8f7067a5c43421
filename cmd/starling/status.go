package main

import (
	"slices"
	"time"
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
	Relay     *relayStatus   `json:"relay,omitempty"`
	Nodes     []nodeStatus   `json:"nodes"`
	Listen    listenStatus   `json:"listen"`
	Pacing    pacingStatus   `json:"pacing"`
	Memory    memoryStatus   `json:"memory"`

	Directors []directorStatus `json:"directors"`
	Access    accessStatus     `json:"access"`
	Abuse     abuseStatus      `json:"abuse"`

	// InSync is the answer to "is my cluster in sync?", null while nobody can know; Why is why it is not true.
	InSync    *bool  `json:"in_sync"`
	InSyncWhy string `json:"in_sync_why,omitempty"`
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
	HTTPS []string `json:"https"`
	UDP   []string `json:"udp"`
	Admin string   `json:"admin"`
}

// status takes the picture of this moment.
func (n *node) status(now time.Time) status {
	store, http, udp, sync := n.tracker.Stats(), n.http.Counts(), n.udp.Counts(), n.livesync.Status()
	inSync, why := inSyncOf(n.syncAnswer(&sync, now))
	return status{
		TrackerID: sync.ID.String(),
		Version:   version(),
		Uptime:    seconds(now.Sub(n.started)),
		Ready:     n.ready(),
		Torrents:  store.Torrents,
		Peers:     familyCounts{store.Peers4, store.Peers6},
		Seeders:   store.Seeders,
		Leechers:  store.Leechers,
		Announces: protocolCounts{http.Announces, udp.Announces},
		Scrapes:   protocolCounts{http.Scrapes, udp.Scrapes},
		Livesync:  livesyncStatusOf(sync),
		Relay:     n.relayStatus(now),
		Nodes:     nodeStatusesOf(sync.Nodes, now),
		Listen:    n.listenStatus(),
		Pacing:    n.pacingStatus(now),
		Memory:    n.memoryStatus(&store),
		Directors: n.directorStatuses(),
		Access:    n.accessStatus(),
		Abuse:     n.abuseStatus(now),
		InSync:    inSync,
		InSyncWhy: why,
	}
}

func (n *node) listenStatus() listenStatus {
	l := listenStatus{HTTP: []string{}, HTTPS: []string{}, UDP: []string{}}
	for _, ln := range n.httpListeners {
		l.HTTP = append(l.HTTP, ln.Addr().String())
	}
	for _, ln := range n.httpsListeners {
		l.HTTPS = append(l.HTTPS, ln.Addr().String())
	}
	for _, conn := range n.udpConns {
		l.UDP = append(l.UDP, conn.LocalAddr().String())
	}
	l.HTTP, l.UDP = slices.Compact(l.HTTP), slices.Compact(l.UDP) // several sockets share an address
	if n.admin != nil {
		l.Admin = n.admin.Addr().String()
	}
	return l
}

// seconds returns d in seconds, to the millisecond.
func seconds(d time.Duration) float64 { return float64(d.Milliseconds()) / 1000 }
