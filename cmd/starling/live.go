package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"time"

	"starling/cmd/starling/dashboard"
	"starling/livesync"
	"starling/tracker"
)

const (
	livePath    = "/api/v1/live"
	historyPath = "/api/v1/history"
	liveReaders = 32
	topTorrents = 15
	jailedShown = 10
	topInterval = 10 * time.Second      // from the end of one walk over all torrents to the next
	topSlice    = 20 * time.Millisecond // of each second for that walk, at most
)

// live is what the dashboard and `starling top` are told each second. Scripts may rely on its fields: they are only ever added to.
type live struct {
	Time      float64          `json:"time"` // seconds since 1970
	TrackerID string           `json:"tracker_id"`
	Version   string           `json:"version"`
	Uptime    float64          `json:"uptime_s"`
	Verdicts  verdicts         `json:"verdicts"`
	Troubles  []string         `json:"troubles"` // what an operator should look into, as in `starling status`
	Torrents  uint64           `json:"torrents"`
	Peers     familyCounts     `json:"peers"`
	Seeders   uint64           `json:"seeders"`
	Leechers  uint64           `json:"leechers"`
	Sample    []float64        `json:"sample"` // the latest row of /api/v1/history, and the latest of its coarse ones
	Coarse    []float64        `json:"coarse"`
	Views     []liveView       `json:"views"` // this node's own first; the others' when they run in the same process
	Pacing    *pacingStatus    `json:"pacing,omitempty"`
	Directors []directorStatus `json:"directors"`
	Abuse     jailAnswer       `json:"abuse"`  // of the clients those that are held for longest
	Top       []liveTorrent    `json:"top"`    // most peers first
	Events    string           `json:"events"` // changes when /api/v1/events does
}

// liveView is the cluster as one node sees it.
type liveView struct {
	ID        string     `json:"id"`
	Address   string     `json:"address,omitempty"` // on the segment
	Admin     string     `json:"admin,omitempty"`
	Mode      string     `json:"mode"`
	Serving   verdict    `json:"serving"`
	Sync      verdict    `json:"sync"`
	Torrents  uint64     `json:"torrents"`
	Peers     uint64     `json:"peers"`
	Announces float64    `json:"announces_per_s"`
	Nodes     []liveLink `json:"nodes"`
}

// liveLink is another node as one hears it.
type liveLink struct {
	ID        string  `json:"id"`
	Address   string  `json:"address"`
	Mode      string  `json:"mode"`
	State     string  `json:"state"` // heard, silent, ended or replaced
	Health    string  `json:"health,omitempty"`
	LastHeard float64 `json:"last_heard_s"`
	Peers     uint64  `json:"peers"`
	Lag       float64 `json:"lag_s"`
	LagMax    float64 `json:"lag_max_s"`
	Loss      float64 `json:"loss"`    // share of the packets of the last minute that did not come at once
	LostLate  uint64  `json:"lost_1m"` // packets of the last minute that were given up
	Differs   *uint64 `json:"differs"` // peers; null: not known
	Allowed   uint64  `json:"differs_allowed"`
}

// liveTorrent is a torrent with many peers.
type liveTorrent struct {
	InfoHash   string `json:"info_hash"`
	Seeders    uint32 `json:"seeders"`
	Leechers   uint32 `json:"leechers"`
	Downloaded uint64 `json:"downloaded"`
}

// liveFrame makes what is told each second.
func (n *node) liveFrame(now time.Time) []byte {
	n.ranker.walk(n.tracker, now)
	var b bytes.Buffer
	if writeJSON(&b, n.live(now)) != nil {
		return []byte("{}") // there is nothing in it that JSON cannot say
	}
	return bytes.TrimSpace(b.Bytes())
}

// live takes the picture of this moment.
func (n *node) live(now time.Time) live {
	s := n.status(now)
	latest, coarse := n.observer.present()
	view := n.view(now, &s)
	l := live{
		Time: float64(now.UnixMilli()) / 1000, TrackerID: s.TrackerID, Version: s.Version, Uptime: s.Uptime,
		Verdicts: verdicts{view.Serving, view.Sync, judgeLoad(n.observer.history.Fine())},
		Troubles: append([]string{}, s.troubles()...),
		Torrents: s.Torrents, Peers: s.Peers, Seeders: s.Seeders, Leechers: s.Leechers,
		Sample: latest.Row(), Coarse: coarse.Row(),
		Views: []liveView{view}, Directors: s.Directors, Abuse: n.jailAnswer(now, jailedShown), Top: n.ranker.torrents(), Events: n.events.mark(),
	}
	for _, other := range n.beside {
		if other != n {
			s := other.status(now)
			l.Views = append(l.Views, other.view(now, &s))
		}
	}
	if len(s.Pacing.Trees)+len(s.Pacing.Siblings) > 0 {
		l.Pacing = &s.Pacing
	}
	return l
}

// view is the cluster as this node sees it.
func (n *node) view(now time.Time, s *status) liveView {
	latest, _ := n.observer.present()
	heard := n.livesync.Status()
	v := liveView{
		ID: s.TrackerID, Address: s.Livesync.Address, Admin: s.Listen.Admin, Mode: s.Livesync.Mode,
		Torrents: s.Torrents, Peers: s.Peers.IPv4 + s.Peers.IPv6,
		Announces: latest.Announces(), Nodes: n.liveLinks(now, &heard),
	}
	v.Serving, v.Sync = judgeServing(n.phase.Load(), s.Ready, s), judgeSync(s, n.syncAnswer(&heard, now), v.Nodes)
	return v
}

// liveLinks is the other nodes as this one hears them.
func (n *node) liveLinks(now time.Time, heard *livesync.Status) []liveLink {
	links := make([]liveLink, len(heard.Nodes)) // an empty list, not null
	for i := range heard.Nodes {
		o := nodeStatusFrom(&heard.Nodes[i], now)
		state, loss := nodeStateOf(heard, &heard.Nodes[i], now, n.cfg.beaconInterval), n.observer.loss(heard.Nodes[i].ID)
		links[i] = liveLink{
			ID: o.ID, Address: o.Address, Mode: o.Mode, State: state.String(), Health: o.Health, LastHeard: o.LastHeard,
			Peers: o.Peers, Lag: o.Lag, LagMax: o.LagMax, Loss: loss.share, LostLate: loss.lost,
		}
		if d := o.Divergence; d != nil {
			links[i].Differs, links[i].Allowed = &d.Peers, d.Bound
		}
	}
	return links
}

// ranker finds the torrents with the most peers, a bit at a time. One goroutine walks, the same that asks.
type ranker struct {
	ranking *tracker.Ranking // nil: no walk is under way
	census  tracker.Census
	ended   time.Time // the last one
	best    []liveTorrent
}

// walk goes on with a walk, or begins one when it is time, for a slice of the processor's time.
func (r *ranker) walk(t *tracker.Tracker, now time.Time) {
	if r.ranking == nil {
		if ago := now.Sub(r.ended); ago >= 0 && ago < topInterval {
			return
		}
		r.ranking, r.census = tracker.NewRanking(topTorrents, (*tracker.Counted).Peers), tracker.Census{}
	}
	for end := now.Add(topSlice); t.Count(&r.census, r.ranking.Add); {
		if time.Now().After(end) {
			return
		}
	}
	r.best = r.best[:0:0]
	for _, t := range r.ranking.Best() {
		r.best = append(r.best, liveTorrent{t.InfoHash.String(), t.Seeders, t.Leechers, t.Downloaded})
	}
	r.ranking, r.ended = nil, now
}

// torrents returns what the last walk found, an empty list before.
func (r *ranker) torrents() []liveTorrent { return append([]liveTorrent{}, r.best...) }

// liveHistory is the answer of /api/v1/history.
type liveHistory struct {
	Fine   dashboard.Series `json:"fine"`
	Coarse dashboard.Series `json:"coarse"`
}

// serveHistory answers with the samples of the last hour.
func (n *node) serveHistory(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	json.NewEncoder(w).Encode(liveHistory{n.observer.history.FineSeries(), n.observer.history.CoarseSeries()})
}
