package livesync

import (
	"context"
	crand "crypto/rand"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"starling/wire"
)

const (
	// watchInterval is how often the interface is looked at, and how long a failed join waits.
	watchInterval = time.Second
	// burst is how many packets leave at once, before the sender looks at anything else.
	burst = 32
	// wantedBuffer is the receive buffer, in bytes, that outlasts a burst of the whole cluster: 3640 full packets.
	wantedBuffer = 8 << 20
)

// Node tells and hears. [New] makes one, [Node.Run] is its whole life.
type Node struct {
	cfg   Config
	log   zerolog.Logger
	queue *queue        // that of outbox.batch
	wake  chan struct{} // something was put or heard that the sender waits for

	started bool     // the timers run; with ending touched by Run's goroutines one after the other only
	ending  bool     // only what was offered is still sent
	pkts    [][]byte // the packets of a burst
	unsent  [][]byte // of them, those that the membership ended before

	// order is held by whoever applies records: the receiver, and with a key the sender as well, when it is over with waiting
	// for what is missing. So the records of one node are applied in the order in which it sent them. It is taken before mu.
	order sync.Mutex
	heard []wire.Record // what was received and is not yet applied
	ago   time.Duration // how long ago that arrived, if it was held for long; else zero

	catch *catching // nil: plain mode
	edits *editing  // nil: plain mode, or no lists are shared

	mu        sync.Mutex // guards all below; store functions are called while it is held, Offer never takes it
	rng       *rand.Rand
	ident     identity
	nodes     nodes
	scrape    scrapeSync
	link      Link
	sources   []netip.Prefix // whom we listen to
	trouble   string         // why the group is not joined
	sent      Traffic
	received  Traffic
	dropped   Dropped
	discarded Discarded // of the lanes other than live
	outbox    outbox
	keyed     *keyed                                               // nil: no key, which costs a comparison a packet
	gap       func(since time.Time)                                // told of each packet's worth of records, offered then or later, that nobody will be told of; may be nil
	behind    func(now time.Time, id wire.NodeID, since time.Time) // told that something that a node told at since or later did not come and will not; may be nil
}

// New returns a node that does nothing yet.
func New(cfg Config) *Node {
	if cfg.Listen == nil {
		cfg.Listen = Listen
	}
	seed := cfg.Seed
	if seed == nil {
		seed = new([32]byte)
		crand.Read(seed[:]) // never fails
	}
	n := &Node{
		cfg:     cfg,
		log:     cfg.Log,
		wake:    make(chan struct{}, 1),
		rng:     rand.New(rand.NewChaCha8(*seed)),
		ident:   identity{id: cfg.ID, fixed: cfg.FixedID},
		nodes:   newNodes(),
		trouble: "not started",
		outbox:  newOutbox(&cfg),
		keyed:   newKeyed(&cfg),
		heard:   make([]wire.Record, 0, heardMost),
		pkts:    make([][]byte, 0, burst),
	}
	n.queue = n.outbox.batch.q
	if n.keyed != nil && cfg.CatchUp != nil && cfg.Interface != "" {
		var err error
		if n.catch, err = newCatching(&cfg); err != nil {
			n.log.Error().Err(err).Msg("this node does not catch up with others")
			n.catch = nil
		}
		n.behind = n.fellBehind
	}
	if n.keyed != nil {
		n.gap, n.keyed.mending = n.skip, newMending(&cfg, n.rng)
	}
	n.edits = newEditing(n)
	n.scrape = newScrapeSync(&n.cfg, n.rng)
	return n
}

// Offer hands in a record to be told to the other nodes. It neither blocks nor
// allocates, so it may be called under a lock of the store. While the sender
// cannot keep up or the interface is away a full queue gives up records, and counts them. A record with [wire.Renewal] is the first to go.
func (n *Node) Offer(r wire.Record) {
	if n.catch != nil {
		n.catch.offered(&r)
	}
	if n.cfg.Interface != "" && n.queue.put(&r, n.cfg.Dialect.lineOf(&r)) {
		n.poke()
	}
}

// Run joins the group, sends and receives until ctx ends, and then flushes the
// last batch. Whatever happens to the interface, it is joined again when it is
// fit for that; so Run never fails.
func (n *Node) Run(ctx context.Context) error {
	if n.cfg.Interface == "" {
		<-ctx.Done()
		return nil
	}
	if n.catch != nil {
		n.catch.runs = true
	}
	n.start(time.Now())
	timer := time.NewTimer(0)
	defer timer.Stop()
	for retry := (time.Time{}); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-n.wake:
		case <-timer.C:
		}
		now := time.Now()
		if !now.Before(retry) {
			err := n.join(ctx)
			if err == nil {
				return nil
			}
			n.Lost(err)
			now = time.Now()
			n.askNobody(now, err)
			retry = now.Add(watchInterval)
		}
		n.Next(now) // gives up what the queue cannot hold
		timer.Reset(earliest(retry, n.Due(now)).Sub(now))
	}
}

// join joins the group and stays until the membership ends, or ctx, in which case it returns nil.
func (n *Node) join(ctx context.Context) error {
	conn, err := n.cfg.Listen(n.cfg.Group, n.cfg.Interface)
	if err != nil {
		return err
	}
	n.Start(time.Now(), conn.Link())
	return n.session(ctx, conn)
}

// session lasts as long as one membership. It returns nil when ctx has ended, else why the membership has.
func (n *Node) session(ctx context.Context, conn Conn) error {
	ended := make(chan error, 1)
	several := batched(conn)
	go func() {
		defer close(ended)
		ended <- n.hear(several)
	}()
	caughtUp := n.catchUp(ctx, conn.Link().Local.Addr())
	err := n.speak(ctx, several, ended)
	caughtUp()
	conn.Close()
	for range ended { // until the receiver has returned
	}
	return err
}

func (n *Node) start(now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.started = true
	n.scrape.start(now)
	if n.catch != nil {
		n.catch.start(now)
	}
	if n.cfg.Dialect == Both {
		n.log.Warn().Msg("dialect both: the newest opentrackers make phantom peers of the copy that they misread")
	}
}

func (n *Node) joined(now time.Time, link Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	first := !n.link.Local.IsValid()
	n.ident.moved(now, link.Local)
	// What counts torrents is stale by now; records are not, and leave as the budget and the link have it.
	o := &n.outbox
	o.lanes[ControlLane], o.lanes[TellLane], o.lanes[RepairLane] = waiting{}, waiting{}, waiting{}
	o.control.messages = o.control.messages[:0]
	o.backlog, o.grantAt = n.queue.position(), time.Time{}
	n.queue.setAway(false, false)
	if k := n.keyed; k != nil {
		k.member = n.member()
		k.state.begin(now)
	}
	n.link, n.trouble = link, ""
	n.sources = n.cfg.Nodes
	if len(n.sources) == 0 {
		n.sources = link.Subnets
	}
	n.log.Info().Stringer("group", n.cfg.Group).Str("interface", link.Name).
		Stringer("address", link.Local).Stringer("id", n.ident.id).Msg("live sync joined the group")
	if first && link.ReceiveBuffer < wantedBuffer {
		level := zerolog.WarnLevel
		if link.Local.Addr().IsLoopback() {
			level = zerolog.InfoLevel // trackers to look at, and their bursts are small
		}
		n.log.WithLevel(level).Int("bytes", link.ReceiveBuffer).Int("wanted", wantedBuffer).
			Msgf("the system grants a small receive buffer, bursts of other nodes may be lost: sysctl -w net.core.rmem_max=%d", wantedBuffer)
	}
}

func (n *Node) lost(why error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.queue.setAway(true, n.outbox.need.known())
	if n.trouble != why.Error() {
		n.trouble = why.Error()
		n.log.Warn().Str("reason", n.trouble).Msg("live sync is cut off from the group until the interface is back; clients are served on")
	}
}

// poke wakes the sender.
func (n *Node) poke() {
	select {
	case n.wake <- struct{}{}:
	default: // it has been woken already
	}
}
