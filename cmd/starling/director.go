package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"starling/livesync"
	"starling/tracker"
	"starling/tracker/ondemand"
	"starling/wire"
)

// directorPatience is how long a change of an on-demand tracker waits for another one.
const directorPatience = 10 * time.Second

// directorStatus is an on-demand tracker in /api/v1/director and in the status.
type directorStatus struct {
	ondemand.Entry
	Torrents uint64        `json:"torrents"`
	Peers    familyCounts  `json:"peers"`
	Seeders  uint64        `json:"seeders"`
	Leechers uint64        `json:"leechers"`
	Livesync ondemand.Sync `json:"livesync"`
}

// openDirectors makes the on-demand trackers that the state directory holds.
func (n *node) openDirectors() (err error) {
	if n.cfg.stateDir == "" {
		return nil
	}
	cfg := ondemand.Config{StateDir: n.cfg.stateDir, Make: n.makeDirector, Log: n.log}
	if n.iface != "" {
		cfg.MainPort = n.cfg.group.Port()
	}
	n.onDemand, err = ondemand.Open(cfg)
	return err
}

// route is how the HTTP server finds them; nil: there are none and never will be.
func (n *node) route() func(host []byte) *tracker.Tracker {
	if n.onDemand == nil {
		return nil
	}
	return n.onDemand.Route
}

// makeDirector makes an on-demand tracker: settings, interface and id are this
// node's, the port of the group is its own.
func (n *node) makeDirector(e ondemand.Entry) ondemand.Instance {
	var sync *livesync.Node
	t := tracker.New(n.storeConfig(func(r wire.Record) { sync.Offer(r) }), time.Now())
	n.lists.adopt(t)
	cfg := n.syncConfig(t)
	cfg.ID = n.livesync.Status().ID
	var err error
	if cfg.Epoch, err = n.epoch(); err != nil {
		n.log.Error().Err(err).Msg("the epoch of an on-demand tracker could not be kept")
	}
	cfg.Group = netip.AddrPortFrom(n.cfg.group.Addr(), ondemand.GroupPort(e.Name))
	cfg.Log = n.log.With().Str("director", e.Name).Logger()
	cfg.Listen = joinNow(cfg.Group, cfg.Interface)
	sync = livesync.New(cfg)
	kept := n.snapshotsOf(t, sync, directorSnapshot(e.Name), cfg.Log)
	return ondemand.Instance{
		Entry:   e,
		Tracker: t,
		Run: func(ctx context.Context) error {
			defer t.Release()
			defer n.lists.drop(t)
			kept.load(time.Now(), nil)
			both := newGroup(ctx)
			both.start("expiry", t.Run)
			both.start("snapshots", kept.run)
			both.start("livesync", sync.Run)
			<-both.done()
			return both.end()
		},
		Sync: func() ondemand.Sync {
			s := sync.Status()
			return ondemand.Sync{Group: s.Group.String(), State: s.State, Trouble: s.Trouble, Nodes: len(s.Nodes)}
		},
	}
}

// joinNow joins a group, so that nothing is missed that is told from now on, and returns livesync's
// way to the network, which begins with that membership. When there is none, livesync tries again.
func joinNow(group netip.AddrPort, iface string) func(netip.AddrPort, string) (livesync.Conn, error) {
	var first livesync.Conn
	if iface != "" {
		first, _ = livesync.Listen(group, iface)
	}
	return func(group netip.AddrPort, iface string) (livesync.Conn, error) {
		if conn := first; conn != nil {
			first = nil
			return conn, nil
		}
		return livesync.Listen(group, iface)
	}
}

func directorStatusOf(in ondemand.Instance) directorStatus {
	s := in.Tracker.Stats()
	return directorStatus{
		Entry: in.Entry, Torrents: s.Torrents, Peers: familyCounts{s.Peers4, s.Peers6}, Seeders: s.Seeders, Leechers: s.Leechers,
		Livesync: in.Sync(),
	}
}

func (n *node) directorStatuses() []directorStatus {
	all := []directorStatus{} // an empty list, not null
	if n.onDemand != nil {
		for _, in := range n.onDemand.All() {
			all = append(all, directorStatusOf(in))
		}
	}
	return all
}

// showDirectors writes a table of on-demand trackers, for people.
func showDirectors(w io.Writer, all []directorStatus) {
	rows := make([][]string, len(all))
	for i, d := range all {
		host := d.Hostname
		if d.Port != 0 {
			host = net.JoinHostPort(host, strconv.Itoa(int(d.Port)))
		}
		sync := d.Livesync.State
		if d.Livesync.Trouble != "" {
			sync = d.Livesync.Trouble
		}
		rows[i] = []string{d.Name, host, count(d.Torrents), count(d.Peers.IPv4 + d.Peers.IPv6), d.Livesync.Group, strconv.Itoa(d.Livesync.Nodes), sync}
	}
	writeTable(w, []column{
		{"ON DEMAND", false}, {"HOST", false}, {"TORRENTS", true}, {"PEERS", true}, {"GROUP", false}, {"NODES", true}, {"STATE", false},
	}, rows)
}

func (n *node) serveDirectors(w http.ResponseWriter, _ *http.Request) {
	type list struct {
		Directors []directorStatus `json:"directors"`
	}
	serveJSON(w, http.StatusOK, list{n.directorStatuses()})
}

func (n *node) serveDirector(w http.ResponseWriter, r *http.Request) {
	n.serveDirectorNamed(w, r, http.StatusOK)
}

func (n *node) serveDirectorNamed(w http.ResponseWriter, r *http.Request, code int) {
	if n.onDemand != nil {
		if in, ok := n.onDemand.Get(r.PathValue("name")); ok {
			serveJSON(w, code, directorStatusOf(in))
			return
		}
	}
	directorFailed(w, ondemand.ErrUnknown)
}

// putDirector makes an on-demand tracker, or gives the one of that name another host and port.
func (n *node) putDirector(w http.ResponseWriter, r *http.Request) {
	if n.onDemand == nil {
		http.Error(w, "there is nowhere to keep it: start with --state-dir", http.StatusConflict)
		return
	}
	e, err := directorEntry(r.PathValue("name"), r.URL.RawQuery)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), directorPatience)
	defer cancel()
	created, err := n.onDemand.Put(ctx, e)
	if err != nil {
		directorFailed(w, err)
		return
	}
	code := http.StatusOK
	if created {
		code = http.StatusCreated
	}
	n.log.Info().Str("director", e.Name).Str("hostname", e.Hostname).Uint16("port", e.Port).Bool("new", created).Msg("on-demand tracker kept and served")
	n.events.add(time.Now(), eventDirector, "on-demand tracker "+e.Name+" kept and served")
	n.serveDirectorNamed(w, r, code)
}

// deleteDirector removes an on-demand tracker with its swarms.
func (n *node) deleteDirector(w http.ResponseWriter, r *http.Request) {
	if n.onDemand == nil {
		directorFailed(w, ondemand.ErrUnknown)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), directorPatience)
	defer cancel()
	if err := n.onDemand.Delete(ctx, r.PathValue("name")); err != nil {
		directorFailed(w, err)
		return
	}
	n.removeSnapshot(directorSnapshot(r.PathValue("name")))
	n.log.Info().Str("director", r.PathValue("name")).Msg("on-demand tracker removed")
	n.events.add(time.Now(), eventDirector, "on-demand tracker "+r.PathValue("name")+" removed")
	w.WriteHeader(http.StatusNoContent)
}

// directorEntry reads hostname=HOST and port=PORT. What it does not know it refuses: a
// misspelled port would make another tracker than was meant.
func directorEntry(name, query string) (ondemand.Entry, error) {
	e := ondemand.Entry{Name: name}
	values, err := url.ParseQuery(query)
	if err != nil {
		return e, err
	}
	for key, given := range values {
		switch {
		case len(given) > 1:
			return e, fmt.Errorf("%s: given %d times", key, len(given))
		case key == "hostname":
			e.Hostname = given[0]
		case key == "port":
			port, err := strconv.ParseUint(given[0], 10, 16)
			if err != nil || port == 0 {
				return e, fmt.Errorf("port: %q is not between 1 and 65535", given[0])
			}
			e.Port = uint16(port)
		default:
			return e, fmt.Errorf("%s: unknown, there is hostname and port", key)
		}
	}
	return e, nil
}

// directorFailed answers with the status that fits an error of a change.
func directorFailed(w http.ResponseWriter, err error) {
	code := http.StatusInternalServerError
	var bad *ondemand.EntryError
	var conflict *ondemand.ConflictError
	switch {
	case errors.As(err, &bad):
		code = http.StatusBadRequest
	case errors.As(err, &conflict):
		code = http.StatusConflict
	case errors.Is(err, ondemand.ErrUnknown):
		code = http.StatusNotFound
	case errors.Is(err, ondemand.ErrEnded), errors.Is(err, context.DeadlineExceeded):
		code = http.StatusServiceUnavailable
	}
	http.Error(w, err.Error(), code)
}

// serveJSON answers with v.
func serveJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	writeJSON(w, v)
}
