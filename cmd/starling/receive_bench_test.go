package main

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"starling/livesync"
	"starling/livesync/seal"
	"starling/tracker"
	"starling/wire"
)

// The swarms of the benchmarks of what other nodes tell.
const (
	benchTorrents = 100_000
	benchPeers    = 10 // of each
	benchBatch    = 64 // packets that are there when the receiver looks: a busy segment
)

// BenchmarkHear is the receiver's way from the bytes of packets to the swarms of the store, each record of a random one of
// 1,000,000 peers in 100,000 torrents: everything that the program does but for the socket. cpu-ns/record is what the
// receiver's thread used, the median of the rounds of a million, and the least that a round used, when the rest of the machine
// took least of the memory's time.
func BenchmarkHear(b *testing.B) {
	for _, mode := range []string{"plain", "keyed"} {
		b.Run(mode, func(b *testing.B) {
			var keys seal.Keys
			cfg := tracker.Config{Renew: time.Minute}
			if mode == "keyed" {
				keys = seal.Keys{{1}}
				key := keys[0].DivergenceKey()
				cfg.SketchKey = &key
			}
			now := time.Now()
			h := newHearing(b, keys, tracker.New(cfg, now))
			h.play(now, benchRecords(0)) // everybody is new
			var cpu, wall []float64      // of a record, by round
			for round := 1; b.Loop(); round++ {
				b.StopTimer()
				n, used, took := h.play(time.Now(), benchRecords(round))
				cpu, wall = append(cpu, float64(used)/float64(n)), append(wall, float64(took)/float64(n))
				b.StartTimer()
			}
			slices.Sort(cpu)
			slices.Sort(wall)
			b.ReportMetric(cpu[0], "least-cpu-ns/record")
			b.ReportMetric(cpu[len(cpu)/2], "cpu-ns/record")
			b.ReportMetric(wall[len(wall)/2], "ns/record")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// benchRecords returns a record of each peer, in random order; one in four is a seeder.
func benchRecords(round int) []wire.Record {
	rs := make([]wire.Record, 0, benchTorrents*benchPeers)
	names := rand.New(rand.NewPCG(1, 1))
	for range benchTorrents {
		var h wire.InfoHash
		for i := 0; i < len(h); i += 4 {
			binary.LittleEndian.PutUint32(h[i:], names.Uint32())
		}
		for range benchPeers {
			addr := netip.AddrFrom4([4]byte{11, byte(names.Uint32()), byte(names.Uint32()), byte(1 + names.Uint32N(254))})
			r := wire.Record{InfoHash: h, Peer: wire.PeerFrom(netip.AddrPortFrom(addr, uint16(1024+names.Uint32N(60_000))))}
			if names.Uint32N(4) == 0 {
				r.Flags = wire.Seeding
			}
			rs = append(rs, r)
		}
	}
	order := rand.New(rand.NewPCG(2, uint64(round)))
	order.Shuffle(len(rs), func(i, j int) { rs[i], rs[j] = rs[j], rs[i] })
	return rs
}

// hearing is a node that tells, step by step, and one that runs and hears it.
type hearing struct {
	b         *testing.B
	teller    *livesync.Node
	hearer    *livesync.Node
	handshake chan []byte // to the hearer, until it believes the teller
	said      chan []byte // by the hearer
	feeds     chan *feed
}

// feed is a series of packets, and what it took to take them in.
type feed struct {
	packets [][]byte
	wall    time.Time
	cpu     time.Duration
	done    chan time.Duration // the thread's time
}

func newHearing(b *testing.B, keys seal.Keys, store *tracker.Tracker) *hearing {
	h := &hearing{b: b, handshake: make(chan []byte), said: make(chan []byte, 100), feeds: make(chan *feed)}
	cfg := livesync.Config{
		Group: wire.Group, Interface: "eth0", Flush: time.Second, BeaconInterval: time.Hour, FirstBeaconDelay: time.Hour,
		Keys: keys, ScrapeSync: livesync.Off,
		Apply: store.ApplyAll, Learn: store.Learn, Lookup: store.Lookup, Tells: store.Tells, Torrents: store.Torrents,
	}
	now := time.Now()
	cfg.ID, cfg.Epoch = wire.NodeID{1}, uint64(now.UnixNano())
	h.teller = livesync.New(cfg)
	h.teller.Start(now, benchLink(1))
	cfg.ID, cfg.Epoch = wire.NodeID{2}, cfg.Epoch+1
	cfg.Listen = func(netip.AddrPort, string) (livesync.Conn, error) {
		return &hearingConn{hearing: h, closed: make(chan struct{})}, nil
	}
	h.hearer = livesync.New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- h.hearer.Run(ctx) }()
	b.Cleanup(func() { cancel(); <-ended })
	for deadline := now.Add(10 * time.Second); keys != nil && !h.believed(); {
		now = time.Now()
		if now.After(deadline) {
			b.Fatal("the nodes do not believe each other")
		}
		for pkt := h.teller.Next(now); pkt != nil; pkt = h.teller.Next(now) {
			h.handshake <- slices.Clone(pkt)
		}
		select {
		case pkt := <-h.said:
			h.teller.Receive(now, benchLink(2).Local, wire.Group.Addr(), pkt)
		case <-time.After(10 * time.Millisecond):
		}
	}
	return h
}

func benchLink(i byte) livesync.Link {
	addr := netip.AddrFrom4([4]byte{10, 0, 0, i})
	return livesync.Link{Name: "eth0", Local: netip.AddrPortFrom(addr, 4000), Subnets: []netip.Prefix{netip.PrefixFrom(addr, 24).Masked()}, ReceiveBuffer: 8 << 20}
}

func (h *hearing) believed() bool {
	nodes := h.hearer.Status().Nodes
	return len(nodes) > 0 && nodes[0].Mode == "keyed"
}

// play has the hearer take in records, all of which it must, and returns how many there were, and the time its thread used and what went by.
func (h *hearing) play(now time.Time, rs []wire.Record) (n int, cpu, wall time.Duration) {
	before := h.hearer.Status().Received.Records
	f := &feed{done: make(chan time.Duration)}
	for _, r := range rs {
		h.teller.Offer(r)
		if n++; n%4096 == 0 || n == len(rs) {
			for _, at := range []time.Time{now, now.Add(2 * time.Second)} { // the last packet is not full
				for pkt := h.teller.Next(at); pkt != nil; pkt = h.teller.Next(at) {
					f.packets = append(f.packets, slices.Clone(pkt))
				}
			}
		}
	}
	runtime.GC()
	h.feeds <- f
	cpu = <-f.done
	wall = time.Since(f.wall)
	if got := h.hearer.Status().Received.Records - before; got != uint64(n) {
		h.b.Errorf("%d of %d records were applied, dropped %+v", got, n, h.hearer.Status().Dropped)
	}
	return n, cpu, wall
}

// hearingConn hands the packets of a feed to the node that hears, as many at a time as a busy socket does.
type hearingConn struct {
	*hearing
	current *feed
	batch   [benchBatch]livesync.Datagram
	closed  chan struct{}
}

// ReadBatch is called by one goroutine, which has a thread to itself from then on.
func (c *hearingConn) ReadBatch() ([]livesync.Datagram, int, error) {
	runtime.LockOSThread()
	if f := c.current; f != nil && len(f.packets) == 0 {
		c.current = nil
		f.done <- threadTime() - f.cpu
	}
	if c.current == nil {
		select {
		case <-c.closed:
			return nil, 0, net.ErrClosed
		case pkt := <-c.handshake:
			c.batch[0] = datagramOf(pkt)
			return c.batch[:1], 0, nil
		case c.current = <-c.feeds:
			c.current.wall, c.current.cpu = time.Now(), threadTime()
		}
	}
	f := c.current
	n := min(len(f.packets), benchBatch)
	for i := range n {
		c.batch[i] = datagramOf(f.packets[i])
	}
	f.packets = f.packets[n:]
	return c.batch[:n], 0, nil
}

func datagramOf(pkt []byte) livesync.Datagram {
	return livesync.Datagram{From: benchLink(1).Local, To: wire.Group.Addr(), B: pkt}
}

// threadTime returns how long the caller's thread has run.
func threadTime() time.Duration {
	var u unix.Rusage
	unix.Getrusage(unix.RUSAGE_THREAD, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// SendBatch keeps what the node says while somebody wants it.
func (c *hearingConn) SendBatch(pkts [][]byte) (int, error) {
	for _, pkt := range pkts {
		select {
		case c.said <- slices.Clone(pkt):
		default:
		}
	}
	return len(pkts), nil
}

func (c *hearingConn) Send(pkt []byte) error {
	_, err := c.SendBatch([][]byte{pkt})
	return err
}

func (c *hearingConn) Read([]byte) (int, netip.AddrPort, netip.Addr, error) {
	panic("the node reads batches")
}

func (c *hearingConn) Link() livesync.Link { return benchLink(2) }
func (c *hearingConn) Check() error        { return nil }
func (c *hearingConn) Close() error        { close(c.closed); return nil }
