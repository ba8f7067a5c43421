package main

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"starling/livesync"
	"starling/tracker"
	"starling/wire"
)

// TestCoalescedForTheStore offers every sequence of up to six records of one peer to a node, each sequence of a torrent of its
// own, and has a store apply what left and another all that was offered: they cannot be told apart, whatever they held
// before, not even by what is announced later.
func TestCoalescedForTheStore(t *testing.T) {
	const longest = 6
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	peer := wire.PeerFrom(netip.MustParseAddrPort("192.0.2.1:6881"))
	did := []wire.Flags{0, wire.Seeding, wire.Seeding | wire.Complete, wire.Stopped}
	before := [][]wire.Flags{nil, did[:1], did[1:2], did[2:3], {did[2], did[0]}}
	node := livesync.New(livesync.Config{
		ID: wire.NodeID{1}, Group: wire.Group, Interface: "eth0", Flush: time.Second, BeaconInterval: time.Minute,
		FirstBeaconDelay: time.Hour, Seed: new([32]byte),
	})
	node.Start(now, livesync.Link{Name: "eth0"})
	all, left := tracker.New(tracker.Config{}, now), tracker.New(tracker.Config{}, now)
	flush := func() {
		for range 2 { // the first that the node sees of a record is not its time to leave
			for pkt := node.Next(now); pkt != nil; pkt = node.Next(now) {
				p, err := wire.ParsePacket(pkt)
				if err != nil {
					t.Fatal(err)
				}
				for i := range p.Len() {
					left.Apply(now, p.Record(i))
				}
			}
			now = now.Add(time.Second)
		}
	}
	var names []string
	var extend func(seq []int)
	extend = func(seq []int) {
		for i, known := range before {
			h := wire.InfoHash{19: byte(i)}
			binary.BigEndian.PutUint32(h[:], uint32(len(names)))
			for _, f := range known {
				all.Apply(now, wire.Record{InfoHash: h, Peer: peer, Flags: f})
				left.Apply(now, wire.Record{InfoHash: h, Peer: peer, Flags: f})
			}
			for _, what := range seq {
				r := wire.Record{InfoHash: h, Peer: peer, Flags: did[what]}
				all.Apply(now, r)
				node.Offer(r)
			}
		}
		names = append(names, fmt.Sprint(seq))
		if len(names)%200 == 0 {
			flush() // 200 x 5 x 6 records are the most that wait
		}
		for what := range did {
			if len(seq) < longest {
				extend(append(seq[:len(seq):len(seq)], what))
			}
		}
	}
	extend(nil)
	flush()
	compare := func(when string) {
		for n, name := range names {
			for i := range before {
				h := wire.InfoHash{19: byte(i)}
				binary.BigEndian.PutUint32(h[:], uint32(n))
				want, known := all.Scrape(h)
				if got, ok := left.Scrape(h); got != want || ok != known {
					t.Fatalf("%s, %s after %v: %+v, want %+v", when, name, before[i], got, want)
				}
				again := wire.Record{InfoHash: h, Peer: peer, Flags: did[2]}
				all.Apply(now, again)
				left.Apply(now, again)
			}
		}
	}
	compare("at the end")
	compare("after another completion")
	if st := node.StatusAt(now); st.Dropped.Queue != 0 || st.Discarded.Merged == 0 {
		t.Errorf("%d records were given up, %d merged", st.Dropped.Queue, st.Discarded.Merged)
	}
}
