package main

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"starling/livesync"
	"starling/livesync/seal"
	"starling/tracker"
	"starling/wire"
)

// catchNode is a store with its livesync, on the loopback interface.
type catchNode struct {
	store *tracker.Tracker
	sync  *livesync.Node
	end   func()
}

// startCatchNode starts a node that knows what fill puts into its store.
func startCatchNode(t testing.TB, group netip.AddrPort, id byte, keys seal.Keys, fill func(*tracker.Tracker), change func(*livesync.Config)) *catchNode {
	t.Helper()
	n := new(catchNode)
	n.store = tracker.New(tracker.Config{Seed: &[32]byte{id, 1}, OnChange: func(r wire.Record) { n.sync.Offer(r) }}, time.Now())
	if fill != nil {
		fill(n.store)
	}
	cfg := livesync.Config{
		ID: wire.NodeID{0, 0, 0, id}, Group: group, Interface: "lo", Nodes: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Keys: keys, Epoch: uint64(time.Now().UnixNano()), Flush: 50 * time.Millisecond,
		BeaconInterval: time.Minute, FirstBeaconDelay: time.Hour, InquireThreshold: 25, ScrapeSync: livesync.On,
		Apply: n.store.ApplyAll, Learn: n.store.Learn, Lookup: n.store.Lookup, Tells: n.store.Tells, Torrents: n.store.Torrents,
		Member:  func() livesync.Member { return livesync.Member{Peers: n.peers()} },
		CatchUp: &livesync.CatchUp{Store: storeOf(n.store), Timeout: 45 * time.Minute},
		Log:     zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.WarnLevel),
	}
	if change != nil {
		change(&cfg)
	}
	n.sync = livesync.New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.sync.Run(ctx)
	}()
	n.end = func() {
		cancel()
		<-done
	}
	t.Cleanup(n.end)
	return n
}

func (n *catchNode) peers() uint64 {
	s := n.store.Stats()
	return s.Peers4 + s.Peers6
}

// content returns who is in a store, as what.
func (n *catchNode) content() map[wire.InfoHash]map[wire.Peer]wire.Flags {
	all := map[wire.InfoHash]map[wire.Peer]wire.Flags{}
	var x wire.Excerpt
	next := walk(n.store, tracker.Cursor{})
	for more := true; more; {
		x.Reset()
		more = next(time.Now(), &x)
		members := x.Members
		for _, s := range x.Swarms {
			if all[s.InfoHash] == nil {
				all[s.InfoHash] = map[wire.Peer]wire.Flags{}
			}
			for _, m := range members[:s.Members] {
				all[s.InfoHash][m.Peer] = m.Flags
			}
			members = members[s.Members:]
		}
	}
	return all
}

// lacks returns how many peers of one node another does not have, or has in another role.
func (n *catchNode) lacks(other *catchNode) (lacks int) {
	have := n.content()
	for h, peers := range other.content() {
		for p, f := range peers {
			if got, ok := have[h][p]; !ok || got&wire.Seeding != f&wire.Seeding {
				lacks++
			}
		}
	}
	return lacks
}

// fillStore returns what puts so many peers into a store, five to a torrent, a third over IPv6.
func fillStore(peers int) func(*tracker.Tracker) {
	return func(t *tracker.Tracker) {
		now := time.Now()
		batch := make([]wire.Record, 0, 1000)
		for i := range peers {
			n := i / 5
			batch = append(batch, wire.Record{InfoHash: wire.InfoHash{byte(n), byte(n >> 8), byte(n >> 16)}, Peer: somePeer(i), Flags: wire.Flags(i%5/4) * wire.Seeding})
			if len(batch) == cap(batch) || i == peers-1 {
				t.ApplyAll(now, batch)
				batch = batch[:0]
			}
		}
	}
}

// announceMany announces clients to a node until ctx ends, so many in a second: new ones, some that stop, some that complete. What did not
// come in time on a busy machine is left out: a second's worth at once is no test of catching up. Who has stopped does not come back soon: other
// nodes have the stop in their journals by when they heard of it, on such a machine a little after the client was back.
func announceMany(ctx context.Context, n *catchNode, rate int, announced *atomic.Int64) {
	rng := rand.New(rand.NewPCG(5, 5))
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	var ans tracker.Answer
	began, left := time.Now(), int64(0)
	for ctx.Err() == nil {
		<-tick.C
		due := int64(time.Since(began).Seconds()*float64(rate)) - left
		if late := due - announced.Load() - int64(rate)/50; late > 0 {
			due, left = due-late, left+late
		}
		for ; announced.Load() < due; announced.Add(1) {
			i, event := announced.Load(), rng.IntN(5)
			if event == 0 {
				i = max(i-4000, 0) // who announced a while ago
			}
			i %= 20_000
			a := tracker.Announce{InfoHash: wire.InfoHash{0xee, byte(i), byte(i >> 8)}, Peer: somePeer(1<<23 + int(i)), NumWant: 20}
			switch event {
			case 0:
				a.Event = wire.EventStopped
			case 1:
				a.Event, a.Seeder = wire.EventCompleted, true
			}
			ans.Peers4, ans.Peers6 = ans.Peers4[:0], ans.Peers6[:0]
			n.store.Announce(time.Now(), &a, &ans)
		}
	}
}

// awaitEqual waits until a node lacks nothing of another, nor the other of it.
func awaitEqual(t testing.TB, a, b *catchNode) {
	t.Helper()
	lacks, more := 0, 0
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if lacks, more = a.lacks(b), b.lacks(a); lacks == 0 && more == 0 {
			return
		}
	}
	t.Errorf("lacks %d peers and has %d too many", lacks, more)
}

// TestCatchUp lets fresh nodes join one that has many peers, while clients announce: one, two at once, one in the middle of a rotation of
// keys, and one with a key that the others do not have.
func TestCatchUp(t *testing.T) {
	t.Parallel()
	const peers = 30_000
	group := testGroup()
	old, next := seal.Key{1}, seal.Key{2}
	first := startCatchNode(t, group, 1, seal.Keys{old, next}, fillStore(peers), nil)
	await(t, "the first is ready", first.sync.CaughtUp)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	var announced atomic.Int64
	go func() {
		defer close(done)
		announceMany(ctx, first, 2000, &announced)
	}()
	stranger := startCatchNode(t, group, 9, seal.Keys{{3}}, nil, nil)
	second := startCatchNode(t, group, 2, seal.Keys{old}, nil, nil)
	await(t, "the second is ready", second.sync.CaughtUp)
	if n := second.peers(); n < peers {
		t.Errorf("ready before it has caught up, with %d peers", n)
	}
	third := startCatchNode(t, group, 3, seal.Keys{old, next}, nil, nil)
	fourth := startCatchNode(t, group, 4, seal.Keys{next, old}, nil, nil)
	await(t, "two more are ready", func() bool { return third.sync.CaughtUp() && fourth.sync.CaughtUp() })
	cancel()
	<-done
	for _, n := range []*catchNode{second, third, fourth} {
		awaitEqual(t, n, first)
	}
	await(t, "the stranger gives up", stranger.sync.CaughtUp)
	if n := stranger.peers(); n != 0 {
		t.Errorf("the stranger knows %d peers", n)
	}
}

// TestTellerDies ends the node that is asked when it has told a part: the other is asked, and nothing is missing.
func TestTellerDies(t *testing.T) {
	t.Parallel()
	for end := time.Now().Add(patience); !tellerDies(t); {
		if time.Now().After(end) {
			t.Fatal("the fresh node is never the one that asks")
		}
	}
}

// tellerDies reports false, and has tried nothing, when it was not the fresh node that asked: one that a busy machine kept from hearing the
// other for a while asks, too.
func tellerDies(t *testing.T) bool {
	group := testGroup()
	keys := seal.Keys{{1}}
	told := make(chan struct{})
	var sent, victim atomic.Int64
	var armed atomic.Bool // not while the two catch up with each other
	start := func(id byte) *catchNode {
		return startCatchNode(t, group, id, keys, fillStore(20_000), func(c *livesync.Config) {
			c.Budget = func(_ time.Time, lane livesync.Lane, bytes int) time.Duration {
				if lane != livesync.TellLane || !armed.Load() || !victim.CompareAndSwap(0, int64(id)) && victim.Load() != int64(id) {
					return 0
				}
				if total := sent.Add(int64(bytes)); total < 20_000 {
					return 0
				} else if total-int64(bytes) < 20_000 {
					close(told)
				}
				return time.Hour
			}
		})
	}
	nodes := []*catchNode{1: start(1), 2: start(2)}
	await(t, "both are ready", func() bool {
		for _, n := range nodes[1:] {
			if s := n.sync.Status().CatchUp; !s.Ready || s.Running || s.Waiting > 0 {
				return false
			}
		}
		return true
	})
	armed.Store(true)
	fresh := startCatchNode(t, group, 3, keys, nil, nil)
	select {
	case <-told:
	case <-time.After(patience):
		t.Fatal("nobody was asked")
	}
	dies := nodes[victim.Load()]
	if s := fresh.sync.Status().CatchUp; !s.Running || s.From != dies.sync.Status().ID {
		for _, n := range append(nodes[1:], fresh) {
			n.end()
		}
		return false
	}
	if fresh.sync.CaughtUp() {
		t.Error("ready in the middle")
	}
	dies.end()
	await(t, "it has caught up", fresh.sync.CaughtUp)
	if n := fresh.lacks(nodes[3-victim.Load()]); n != 0 {
		t.Errorf("lacks %d peers", n)
	}
	if s := fresh.sync.Status().CatchUp; s.Failed == 0 || s.Streams == 0 {
		t.Errorf("%+v", s)
	}
	return true
}

// BenchmarkJoin tells how long it takes until a fresh node has 99.9 % of a million peers in 200,000 torrents, and all, while 10,000 clients a
// second announce.
func BenchmarkJoin(b *testing.B) {
	group := testGroup()
	keys := seal.Keys{{1}}
	first := startCatchNode(b, group, 1, keys, fillStore(1_000_000), nil)
	await(b, "the first is ready", first.sync.CaughtUp)
	var most, all, took time.Duration
	for i := range b.N {
		ctx, cancel := context.WithCancel(b.Context())
		var announced atomic.Int64
		done := make(chan struct{})
		go func() {
			defer close(done)
			announceMany(ctx, first, 10_000, &announced)
		}()
		began := time.Now()
		fresh := startCatchNode(b, group, byte(2+i), keys, nil, nil)
		await(b, "most are there", func() bool { return fresh.peers()*1000 >= first.peers()*999 })
		most += time.Since(began)
		await(b, "all are there", fresh.sync.CaughtUp)
		all += time.Since(began)
		took += fresh.sync.Status().CatchUp.Took
		b.Logf("%d announces in %v", announced.Load(), time.Since(began))
		cancel()
		<-done
		awaitEqual(b, fresh, first)
		fresh.end()
	}
	n := float64(b.N) * float64(time.Second)
	b.ReportMetric(float64(most)/n, "s-99.9%")
	b.ReportMetric(float64(all)/n, "s-ready")
	b.ReportMetric(float64(took)/n, "s-stream")
}
