package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/net/netutil"

	"starling/cmd/starling/dashboard"
	"starling/livesync"
	"starling/livesync/relay"
	"starling/tracker"
	"starling/tracker/abuse"
	"starling/tracker/document"
	"starling/tracker/fullscrape"
	"starling/tracker/ondemand"
	"starling/wire"
)

// node is one tracker with everything in front of it and beside it:
//
//	clients --> http, udp --> tracker --OnChange--> livesync --> other nodes
//	                             ^------Apply----------'  <-----
//	operator -> admin, which looks at all of them
//
//	steering --> how much http and udp may answer, and who else can
//
// newNode binds every socket, so that what cannot work is known before
// anything is served; run serves until its context ends.
type node struct {
	cfg     *config
	log     zerolog.Logger
	started time.Time

	tracker  *tracker.Tracker
	http     *tracker.HTTP
	udp      *tracker.UDP
	livesync *livesync.Node
	relay    *relay.Relay // nil: there is none

	lists     *lists
	abusers   *abuse.Watch // nil: off
	snapshots *snapshots
	who       *identity
	onDemand  *ondemand.Registry // nil: there is no state directory to keep them in
	steering  *steering
	guard     guard       // of the admin address
	lanes     *laneBudget // nil: livesync has no rate of its own
	tells     *tellDebt   // nil: livesync has no rate
	classes   classTables // in force; what reads the configuration again has them to itself
	events    events      // what happened lately
	observer  observer
	ranker    ranker // the hub's
	hub       *dashboard.Hub
	beside    []*node // all that run in this process, this one too; nil: it is alone

	documents  *document.Admission
	statusPage *document.Document
	fullScrape *fullscrape.Scrape // nil: nobody may ask

	certificate    *certificate // nil: nothing is served over TLS
	httpsListeners []net.Listener
	iface          string // on which live sync meets the other nodes; empty: it is off
	httpListeners  []net.Listener
	udpConns       []*net.UDPConn
	admin          net.Listener  // nil: off
	group          livesync.Conn // nil: live sync is off, or its interface cannot be joined on yet
	bound          []boundSocket // all of the servers and of the admin address
	kept           bool          // they have copies
	confined       bool          // Landlock holds
	handing        chan struct{} // closed when another program is to take over

	budget  *tracker.Budget // of the swarms; nil: there is no limit
	pressed atomic.Int64    // when memory was last not calm, in nanoseconds since 1970; 0: never

	phase atomic.Int32
}

// A boundSocket is a socket of a node.
type boundSocket struct {
	flag, addr string // as it was given
	conn       syscall.Conn
	FD         int // of a copy; see keepSockets
}

// The phases of a node's life.
const (
	phaseStarting = iota
	phaseReady
	phaseDraining
)

var phaseNames = [...]string{"starting", "ready", "draining"}

// newNode returns a node whose sockets are bound. The error is one a user can mend: it names the flag and the value.
func newNode(cfg *config, log zerolog.Logger) (*node, error) {
	iface, warning, err := livesync.FindInterface(cfg.iface)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cfg.where("livesync-interface"), err)
	}
	n := &node{cfg: cfg, log: log, started: time.Now(), classes: cfg.classes, handing: make(chan struct{})}
	n.abusers = cfg.abuseWatch(n.started)
	if n.steering, err = newSteering(cfg, log, jailFor(n.abusers), n.started); err != nil {
		return nil, err
	}
	if n.lanes, err = newLaneBudget(cfg, n.started); err != nil {
		return nil, err
	}
	n.tells = n.newTellDebt(n.started)
	who, err := n.open(iface)
	if err != nil {
		n.close()
		return nil, err
	}
	if warning != "" {
		log.Warn().Msg(warning)
	}
	n.iface = iface
	n.warn()
	if err := n.assemble(who); err != nil {
		n.close()
		return nil, err
	}
	return n, nil
}

// listen binds the sockets of the servers and of the admin address, or takes those that were handed over.
func (n *node) listen() error {
	for _, addr := range n.cfg.http {
		lns, err := n.cfg.handed.http("http", addr, runtime.GOMAXPROCS(0))
		if err == nil && lns == nil {
			lns, err = tracker.ListenHTTP(addr, runtime.GOMAXPROCS(0))
		}
		if err != nil {
			return n.cfg.cannotListen("http", err)
		}
		n.bind("http", addr, lns)
		n.httpListeners = append(n.httpListeners, lns...)
	}
	for _, addr := range n.cfg.https {
		lns, err := n.cfg.handed.http("https", addr, 1)
		if err == nil && lns == nil {
			lns, err = tracker.ListenHTTP(addr, 1)
		}
		if err != nil {
			return n.cfg.cannotListen("https", err)
		}
		n.bind("https", addr, lns)
		n.httpsListeners = append(n.httpsListeners, lns...)
	}
	for _, addr := range n.cfg.udp {
		conns, err := n.cfg.handed.udp(addr, runtime.GOMAXPROCS(0))
		if err == nil && conns == nil {
			conns, err = tracker.ListenUDP(addr, runtime.GOMAXPROCS(0))
		}
		if err != nil {
			return n.cfg.cannotListen("udp", err)
		}
		for _, conn := range conns {
			n.bound = append(n.bound, boundSocket{flag: "udp", addr: addr, conn: conn})
		}
		n.udpConns = append(n.udpConns, conns...)
	}
	if len(n.cfg.admin) > 0 {
		ln, err := listenAdmin(n.cfg.admin[0], n.cfg.handed)
		if err != nil {
			return n.cfg.cannotListen("admin", err)
		}
		n.bound = append(n.bound, boundSocket{flag: "admin", addr: n.cfg.admin[0], conn: ln})
		n.admin, n.guard.loopback = netutil.LimitListener(ln, adminConnections), isLoopback(ln.Addr())
		n.guard.rule(n.cfg.adminHosts, n.cfg.adminToken)
	}
	return n.cfg.handed.rest()
}

// bind notes listeners of a flag.
func (n *node) bind(flag, addr string, lns []net.Listener) {
	for _, ln := range lns {
		n.bound = append(n.bound, boundSocket{flag: flag, addr: addr, conn: ln.(*net.TCPListener)})
	}
}

// cannotListen names the flag whose address could not be had, and what to do about it.
func (c *config) cannotListen(flag string, err error) error {
	hint := ""
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		hint = " (is another tracker running? choose another address)"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		hint = " (this host does not have the address; ip addr lists those it has)"
	case errors.Is(err, syscall.EACCES):
		hint = " (ports below 1024 need root, with --user, or the capability CAP_NET_BIND_SERVICE)"
	}
	return fmt.Errorf("%s: %w%s", c.where(flag), err, hint)
}

// close gives the sockets back.
func (n *node) close() {
	for _, ln := range slices.Concat(n.httpListeners, n.httpsListeners) {
		ln.Close()
	}
	for _, conn := range n.udpConns {
		conn.Close()
	}
	if n.admin != nil {
		n.admin.Close()
	}
	if n.group != nil {
		n.group.Close()
	}
	n.lists.close()
}

// joinGroup joins the multicast group before anything is served, so that the node misses
// nothing another tells from then on. An interface that is down or has no
// address yet is no error: livesync joins when it can.
func (n *node) joinGroup(iface string) error {
	if iface == "" {
		return nil
	}
	conn, err := livesync.Listen(n.cfg.group, iface)
	if errors.Is(err, syscall.EADDRINUSE) {
		return n.cfg.cannotListen("livesync-group", err)
	}
	if err == nil {
		n.group = conn
	}
	return nil
}

// rejoin is livesync's way to the network: the membership from before the start, then new ones. It is
// called by one goroutine.
func (n *node) rejoin(group netip.AddrPort, iface string) (livesync.Conn, error) {
	if conn := n.group; conn != nil {
		n.group = nil
		return conn, nil
	}
	return livesync.Listen(group, iface)
}

// assemble makes the parts and ties them together with function values.
func (n *node) assemble(who *identity) error {
	n.who, n.budget = who, n.cfg.storeBudget()
	n.hub = dashboard.NewHub(liveReaders, n.liveFrame)
	n.openDocuments()
	// The tracker is made first; nothing is announced before livesync is there.
	n.tracker = tracker.New(n.storeConfig(func(r wire.Record) { n.livesync.Offer(r) }), n.started)
	n.lists.adopt(n.tracker)
	sync := n.syncConfig(n.tracker)
	sync.Edits = n.lists.machine
	sync.ID, sync.FixedID, sync.SaveID = who.id, who.fixed, who.save
	var err error
	if sync.Epoch, err = n.epoch(); err != nil {
		return fmt.Errorf("%s: %w", n.cfg.where("state-dir"), err)
	}
	sync.Listen, sync.Appeared = n.rejoin, n.steering.nodeAppeared
	n.openRelay(&sync)
	n.livesync = livesync.New(sync)
	n.snapshots = n.snapshotsOf(n.tracker, n.livesync, "swarms", n.log)
	n.snapshots.handing = n.handsOver
	if err := n.openDirectors(); err != nil {
		return fmt.Errorf("%s: %w", n.cfg.where("state-dir"), err)
	}
	var pacing *tracker.Pacing // nil: nothing is paced, and nothing is paid for it
	if n.cfg.paced() {
		pacing = n.steering.pacing
	}
	n.openFullScrape()
	n.http = tracker.NewHTTP(n.tracker, tracker.HTTPConfig{
		Abuse:          n.abusers,
		TrustedProxies: n.cfg.trustedProxies, Route: n.route(), Pacing: pacing, Long: n.longAnswers(), MaxPerClient: n.cfg.maxPerClient,
		MaxConnections: n.cfg.maxConnections(),
	})
	n.udp = tracker.NewUDP(n.tracker, tracker.UDPConfig{
		TrustedProxies: n.cfg.trustedProxies, Pacing: pacing, Secret: n.connSecret(), Abuse: n.abusers,
	})
	n.steering.pace = func(p *tracker.Pacing) {
		n.http.Pace(p)
		n.udp.Pace(p)
	}
	return nil
}

// storeConfig is what a tracker of this node is made with; offer tells the
// other nodes, when live sync is not off.
func (n *node) storeConfig(offer func(wire.Record)) tracker.Config {
	if n.iface == "" {
		offer = nil
	}
	return tracker.Config{
		Interval: n.cfg.interval, MinInterval: n.cfg.minInterval, PeerTimeout: n.cfg.peerTimeout, Renew: n.cfg.renew,
		NumWant: n.cfg.numWant, MaxNumWant: n.cfg.maxNumWant,
		OnChange: offer, SketchKey: n.cfg.sketchKey(), Budget: n.budget,
	}
}

// syncConfig is what live sync of such a tracker is made with, but for who it is.
func (n *node) syncConfig(t *tracker.Tracker) livesync.Config {
	cfg := n.cfg
	sync := livesync.Config{
		Group: cfg.group, Interface: n.iface, Nodes: cfg.nodes,
		Flush: cfg.flush, Dialect: cfg.dialect, ScrapeSync: cfg.scrapeSync,
		BeaconInterval: cfg.beaconInterval, FirstBeaconDelay: cfg.firstBeaconDelay, InquireThreshold: cfg.inquireThreshold,
		Apply: t.ApplyAll, Learn: t.Learn, Lookup: t.Lookup, Tells: t.Tells, Torrents: t.Torrents,
		Keys: cfg.keys, PlainNodes: cfg.plainNodes, Member: func() livesync.Member { return n.syncMember(t) },
		Sketch: t.Sketch, CatchUp: n.catchUp(t),
		Budget: n.syncBudget(),
		Log:    n.log,
	}
	if n.tells != nil {
		sync.Owe, sync.Settle = n.tells.owe, n.tells.settle
	}
	return sync
}

// run serves until ctx ends or a part fails, and then ends in the order in which
// nothing is lost: the servers stop accepting and answer what is in hand; only then
// does livesync flush its last batch, which holds what they were told, and the
// admin address close, which said meanwhile that the node drains. The result is
// nil when ctx ended, or when another program is to take over: then HTTP, which takes its time, ends before UDP.
func (n *node) run(ctx context.Context) error {
	web, servers := newGroup(ctx), newGroup(ctx)
	rest := newGroup(context.WithoutCancel(ctx))
	n.snapshots.load(time.Now(), n.cfg.handed)
	n.startServers(web, servers)
	n.startRest(rest)
	n.phase.Store(phaseReady)
	n.events.add(time.Now(), eventStarted, "serving, version "+version())
	n.logStart()
	n.tellReady()

	select {
	case <-web.done():
	case <-servers.done():
	case <-rest.done():
	case <-n.handing:
	}
	n.phase.Store(phaseDraining)
	n.log.Info().Bool("hands_over", n.handsOver()).Msg("draining: no new requests, answering those in hand")
	n.events.add(time.Now(), eventDraining, "draining: no new requests, answering those in hand")
	err := n.drain(web, servers)
	err = cmp.Or(err, rest.end())
	n.lists.close()
	n.leaveSecret()
	n.log.Info().Err(err).Float64("uptime_s", seconds(time.Since(n.started))).Msg("ended")
	return err
}

// drain ends the servers.
func (n *node) drain(web, servers *group) error {
	if !n.handsOver() {
		tellSystemd("STOPPING=1")
		n.dropSockets()
		web.cancel()
		err := servers.end()
		return cmp.Or(web.end(), err)
	}
	if n.cfg.paced() {
		servers.cancel() // HTTP clients wait in the same queues
	}
	n.http.Keep()
	web.endWithin(handoverTime)
	servers.endWithin(handoverTime)
	return nil
}

// startServers starts what clients announce to.
func (n *node) startServers(web, servers *group) {
	n.http.Adopt(n.cfg.handed.conns(), len(n.httpListeners))
	for _, ln := range n.httpListeners {
		web.start("http", func(ctx context.Context) error { return n.http.Serve(ctx, ln) })
	}
	for _, ln := range n.httpsListeners {
		web.start("https", func(ctx context.Context) error { return n.http.ServeTLS(ctx, ln, n.certificate.config()) })
	}
	for _, conn := range n.udpConns {
		servers.start("udp", func(ctx context.Context) error { return n.udp.Serve(ctx, conn) })
	}
	servers.start("pacing", n.steering.runPacing) // it ends with the servers: what waits in its queues is answered then
}

// startRest starts what runs beside the servers.
func (n *node) startRest(rest *group) {
	if n.admin != nil {
		rest.start("admin", n.serveAdmin)
	}
	if n.certificate != nil {
		rest.start("certificate", n.certificate.run)
	}
	rest.start("steering", func(ctx context.Context) error {
		return n.steering.run(ctx, n.livesync.Status)
	})
	rest.start("siblings", n.steering.siblings.Run)
	rest.start("expiry", n.tracker.Run)
	rest.start("memory", n.runMemory)
	rest.start("livesync", n.runLivesync)
	if n.onDemand != nil {
		rest.start("on-demand trackers", n.onDemand.Run)
	}
	rest.start("snapshots", n.snapshots.run)
	rest.start("lists", n.lists.run)
	if n.abusers != nil {
		rest.start("abuse", n.runAbuse)
	}
	rest.start("events", n.watch)
	rest.start("dashboard", n.hub.Run)
	rest.start("systemd", n.watchdog)
}

// logStart says what is served where.
func (n *node) logStart() {
	s := n.status(time.Now())
	n.log.Info().Str("version", s.Version).Str("tracker_id", s.TrackerID).
		Strs("http", s.Listen.HTTP).Strs("https", s.Listen.HTTPS).Strs("udp", s.Listen.UDP).Str("admin", s.Listen.Admin).
		Str("livesync_interface", s.Livesync.Interface).Str("livesync_group", s.Livesync.Group).
		Msg("serving")
}
