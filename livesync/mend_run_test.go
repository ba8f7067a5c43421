package livesync_test

import (
	"context"
	"encoding/binary"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	. "starling/livesync"
	"starling/livesync/livesynctest"
	"starling/livesync/seal"
	"starling/wire"
)

// listener notes the order in which a node's records are applied.
type listener struct {
	mu    sync.Mutex // guards all below
	next  map[byte]uint64
	wrong int
	n     int
}

func (l *listener) apply(_ time.Time, rs []wire.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range rs {
		number := binary.BigEndian.Uint64(r.InfoHash[8:])
		if number < l.next[r.InfoHash[0]] {
			l.wrong++
		}
		l.next[r.InfoHash[0]] = number + 1
		l.n++
	}
}

// TestMendRun: whole nodes with their loops lose a tenth of the packets and apply all records in order.
func TestMendRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const nodes, records = 3, 3000
		segment := livesynctest.NewSegment(3)
		ctx, cancel := context.WithCancel(t.Context())
		var done sync.WaitGroup
		var all [nodes]*Node
		var heard [nodes]listener
		for i := range nodes {
			heard[i].next = map[byte]uint64{}
			cfg := Config{
				ID: wire.NodeID{byte(i + 1)}, Group: wire.Group, Flush: 50 * time.Millisecond, BeaconInterval: time.Minute,
				FirstBeaconDelay: time.Hour, ScrapeSync: Off, Seed: &[32]byte{byte(i)}, Log: zerolog.Nop(),
				Keys: seal.Keys{{7}}, Epoch: uint64(time.Now().UnixNano()),
			}
			NewModel().Join(&cfg)
			memory{segment}.config(&cfg, i+1)
			cfg.Apply = heard[i].apply
			all[i] = New(cfg)
			done.Go(func() { all[i].Run(ctx) })
		}
		wait(3 * time.Second)
		segment.SetFaults(livesynctest.Faults{Loss: 0.1, Duplicate: 0.1, Delay: 2 * time.Millisecond})
		peer := wire.PeerFrom(netip.MustParseAddrPort("198.51.100.1:6881"))
		for k := range uint64(records) {
			for i := range all {
				h := wire.InfoHash{byte(i)}
				binary.BigEndian.PutUint64(h[8:], k)
				all[i].Offer(wire.Record{InfoHash: h, Peer: peer, Flags: wire.Seeding})
			}
			wait(2 * time.Millisecond)
		}
		segment.SetFaults(livesynctest.Faults{})
		wait(4 * time.Second)
		for i := range all {
			var lost, repaired uint64
			for _, o := range all[i].Status().Nodes {
				lost, repaired = lost+o.Lost, repaired+o.Repaired
			}
			l := &heard[i]
			if l.wrong > 0 || repaired == 0 || l.n > (nodes-1)*records || l.n < (nodes-1)*records-int(lost)*wire.MaxKeyed4 {
				t.Errorf("node %d: %d records, %d out of order, %d packets repaired, %d lost", i, l.n, l.wrong, repaired, lost)
			}
		}
		cancel()
		done.Wait()
	})
}

// wait lets the time of a test on a fake clock pass.
func wait(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}
