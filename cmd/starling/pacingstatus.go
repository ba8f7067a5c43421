package main

import (
	"maps"
	"slices"
	"strings"
	"time"

	"starling/tracker"
	"starling/tracker/pacer"
)

// pacingStatus is what the status has of pacing. Rates are bytes a second where nothing else is said; 0: there is none.
type pacingStatus struct {
	Role         string            `json:"role"`
	Rate         int64             `json:"rate"`          // in force
	Limit        int64             `json:"hard_limit"`    // asked for at the admin address
	Bandwidth    uint64            `json:"bandwidth"`     // observed while connections pushed back, or the hard limit
	AnnounceRate int64             `json:"announce_rate"` // announces a second
	Sharing      string            `json:"sharing,omitempty"`
	Waiting      int               `json:"connections_waiting"`
	Uplink       *uplinkStatus     `json:"uplink,omitempty"`
	Trees        []treeStatus      `json:"trees"`
	Steps        map[string]uint64 `json:"answers"`             // by the step of the ladder
	Seconds      []int64           `json:"requests_per_second"` // of the last 60 seconds, the oldest first
	Calendar     *calendarStatus   `json:"calendar,omitempty"`
	Jail         *jailStatus       `json:"jail,omitempty"`
	Siblings     []siblingStatus   `json:"siblings"`
}

// jailStatus is which clients are served last for a time, and why: "rate", more requests than their share while others
// got too few, or "early", long before they were told to come back, again and again.
type jailStatus struct {
	Held      map[string]int    `json:"held"`
	Sentenced map[string]uint64 `json:"sentenced"`
	Full      uint64            `json:"full"`    // were not held because too many are
	Clients   []heldStatus      `json:"clients"` // at most ten, those that came last first
}

type heldStatus struct {
	Network string  `json:"network"`
	Reason  string  `json:"reason"`
	Left    float64 `json:"left_s"`
	Told    bool    `json:"told,omitempty"` // by another node
}

// uplinkStatus is this node's part in what the cluster may send.
type uplinkStatus struct {
	Total   int64          `json:"total"`
	Share   int64          `json:"share"`
	Grows   float64        `json:"share_grows_in_s,omitempty"` // 0: not while nothing changes
	Members []memberStatus `json:"members"`                    // this node first
}

type memberStatus struct {
	ID   string `json:"id"`
	Role string `json:"role"`
	Down bool   `json:"down"`
}

// calendarStatus is how full the slot is that a client is booked into now.
type calendarStatus struct {
	Booked uint32 `json:"booked"`
	Room   uint32 `json:"room"`
}

type siblingStatus struct {
	URL     string `json:"url"`
	Health  string `json:"health"`
	Up      bool   `json:"up"`
	Room    bool   `json:"room"`
	Trouble string `json:"trouble,omitempty"`
	Chosen  uint64 `json:"clients"` // for whom it was chosen
}

// treeStatus is a tree of classes, the root first, parents before children.
type treeStatus struct {
	Name    string        `json:"name"` // bytes, requests or livesync
	Unit    string        `json:"unit"` // bytes or requests, a second
	Classes []classStatus `json:"classes"`
}

// classStatus is a class. A class that has others below it has no queue; nor has one of livesync.
type classStatus struct {
	Name     string       `json:"name"`
	Parent   string       `json:"parent,omitempty"`
	Depth    int          `json:"depth"`
	Priority int          `json:"priority"`
	Rate     int64        `json:"rate"`
	Ceil     int64        `json:"ceil"`
	Actual   int64        `json:"actual"`
	Overrate int64        `json:"overrate"`
	Level    int64        `json:"level"`
	Spent    int64        `json:"spent"`
	Borrowed int64        `json:"borrowed"`
	Lent     int64        `json:"lent"`
	Queue    *queueStatus `json:"queue,omitempty"`
}

// queueStatus is what became of the requests of a class that had to wait.
type queueStatus struct {
	Scheduler string  `json:"scheduler"`
	Waiting   int     `json:"waiting"`
	Queued    uint64  `json:"queued"`
	Served    uint64  `json:"waited"`
	Expired   uint64  `json:"expired"`
	Dropped   uint64  `json:"dropped"`
	Longest   float64 `json:"longest_wait_s"`
}

// pacingStatus takes the picture of this moment.
func (n *node) pacingStatus(now time.Time) pacingStatus {
	st := n.steering.state(now)
	s := pacingStatus{
		Role: n.cfg.role.String(), Rate: st.rate, Limit: st.limit, AnnounceRate: n.cfg.announceRate,
		Uplink: n.uplinkStatus(now, st), Trees: []treeStatus{}, Seconds: []int64{}, Siblings: []siblingStatus{},
	}
	if st.paces {
		s.take(now, n.steering.pacing.Stats(now))
	}
	if n.lanes != nil {
		t := treeStatus{Name: "livesync", Unit: "bytes"}
		for _, c := range n.lanes.stats(now) {
			t.Classes = append(t.Classes, classStatusOf(c))
		}
		s.Trees = append(s.Trees, t)
	}
	for _, b := range n.steering.siblings.Stats(now) {
		s.Siblings = append(s.Siblings, siblingStatus{
			URL: b.Base + "/announce", Health: b.Health, Up: b.Up, Room: b.Room, Trouble: b.Trouble, Chosen: b.Chosen,
		})
	}
	return s
}

// take adds the figures of the announce servers.
func (p *pacingStatus) take(now time.Time, stats tracker.PacingStats) {
	p.Steps, p.Seconds, p.Bandwidth = stats.Steps, stats.Seconds, observed(stats.Bandwidth)
	if len(stats.Requests) > 0 {
		p.Trees = append(p.Trees, treeStatusOf("requests", "requests", stats.Requests))
		p.Calendar = &calendarStatus{stats.Booked, stats.Room}
	}
	if j := stats.Jail; j.Held != nil {
		p.Jail = &jailStatus{Held: j.Held, Sentenced: j.Sentenced, Full: j.Full, Clients: []heldStatus{}}
		for _, c := range j.Some {
			p.Jail.Clients = append(p.Jail.Clients, heldStatusOf(now, c))
		}
	}
	if len(stats.Bytes) > 0 {
		p.Trees = append(p.Trees, treeStatusOf("bytes", "bytes", stats.Bytes))
		p.Sharing, p.Waiting = stats.Sharing.String(), stats.Connections
	}
}

func treeStatusOf(name, unit string, classes []tracker.PacingClass) treeStatus {
	t := treeStatus{Name: name, Unit: unit}
	for _, p := range classes {
		c := classStatusOf(p.ClassStats)
		if p.Leaf {
			c.Queue = &queueStatus{
				Scheduler: p.Schedule.String(), Waiting: p.Waiting, Queued: p.Queued, Served: p.Served,
				Expired: p.Expired, Dropped: p.Dropped, Longest: seconds(p.Longest),
			}
		}
		t.Classes = append(t.Classes, c)
	}
	return t
}

func classStatusOf(c pacer.ClassStats) classStatus {
	return classStatus{
		Name: c.Name, Parent: c.Parent, Depth: c.Depth, Priority: c.Priority, Rate: c.Rate, Ceil: c.Ceil,
		Actual: c.Actual, Overrate: c.Overrate, Level: c.Level, Spent: c.Spent, Borrowed: c.Borrowed, Lent: c.Lent,
	}
}

// uplinkStatus returns this node's part in the uplink, nil when it is not shared.
func (n *node) uplinkStatus(now time.Time, st uplinkState) *uplinkStatus {
	if n.cfg.uplink == 0 {
		return nil
	}
	u := &uplinkStatus{Total: st.total, Share: st.share}
	if !st.grows.IsZero() {
		u.Grows = seconds(st.grows.Sub(now))
	}
	for _, id := range slices.SortedFunc(maps.Keys(st.members), selfFirst) {
		m := memberStatus{ID: id, Role: st.members[id].Role.String(), Down: st.members[id].Down}
		if id == self {
			m.ID = n.livesync.Status().ID.String()
		}
		u.Members = append(u.Members, m)
	}
	return u
}

// selfFirst orders members by id, this node before all others.
func selfFirst(a, b string) int {
	switch {
	case a == b:
		return 0
	case a == self:
		return -1
	case b == self:
		return 1
	}
	return strings.Compare(a, b)
}
