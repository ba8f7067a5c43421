package livesync

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"starling/wire"
)

// The tests of this file are named after what the only implementation of scrape
// sync ever written got wrong, before it was removed from opentracker in 2010.

// talk plays commands and returns the dialogue they were played in.
func talk(t *testing.T, commands ...string) *conversation {
	d := &conversation{t: t, now: epoch, out: new(strings.Builder)}
	for _, c := range commands {
		d.command(strings.Fields(c))
	}
	return d
}

// tellsOf returns how often each torrent was told by name.
func (d *conversation) tellsOf(name string) (packets int, torrents map[wire.InfoHash]int) {
	torrents = map[wire.InfoHash]int{}
	for _, s := range d.sent {
		if s.name != name {
			continue
		}
		p, err := wire.ParsePacket(s.pkt)
		if err != nil || p.Kind != wire.KindTell {
			continue
		}
		packets++
		for i := range p.Len() {
			torrents[p.Tell(i).InfoHash]++
		}
	}
	return packets, torrents
}

// inquire is a datagram of node 9, which is not there, that asks the node with that number.
func inquire(number int) string {
	return fmt.Sprintf("raw 10.0.0.9:1 0000000900000002%08x", number)
}

func TestFaultIDComparedWithTheSender(t *testing.T) {
	d := talk(t, "node a", "torrents a 1 3 7", inquire(1), "run 1s")
	if packets, torrents := d.tellsOf("a"); packets != 1 || len(torrents) != 3 {
		t.Errorf("the node asked told %d torrents", len(torrents))
	}
	d = talk(t, "node a", "torrents a 1 3 7", inquire(9), inquire(2), "run 1h")
	if packets, _ := d.tellsOf("a"); packets != 0 {
		t.Error("a node that was not asked told")
	}
}

func TestFaultTellMovedTheHearersCursor(t *testing.T) {
	d := talk(t, "node a", "node b", "torrents a 1 1000 7", "torrents b 5000 1000 7", inquire(1), inquire(2), "run 5m")
	for _, name := range []string{"a", "b"} {
		packets, torrents := d.tellsOf(name)
		for h, n := range torrents {
			if n != 1 {
				t.Errorf("%s told #%d %d times", name, number(h), n)
			}
		}
		if len(torrents) < 1000 || packets < 23 {
			t.Errorf("%s told %d torrents in %d packets", name, len(torrents), packets)
		}
	}
}

// TestFaultTellReleasedTheWrongLock hears tells while everything else goes on. A lock that is not released
// hangs it, one that is not held is seen by the race detector.
func TestFaultTellReleasedTheWrongLock(t *testing.T) {
	d := talk(t, "node a", "torrents a 1 100 7")
	n, model := d.find("a").node, d.find("a").model
	tell := wire.AppendTell(nil, wire.NodeID{9})
	for i := range wire.MaxTells {
		tell = (&wire.Tell{InfoHash: HashOf(80 + i), Downloaded: uint64(i)}).Append(tell)
	}
	var wg sync.WaitGroup
	for _, f := range []func(int){
		func(int) { n.receive(epoch, another, wire.Group.Addr(), tell) },
		func(i int) { model.Announce(epoch, HashOf(90), PeerOf(i), wire.Seeding) },
		func(int) { n.next(epoch); n.due(epoch) },
		func(int) { n.Status() },
	} {
		wg.Go(func() {
			for i := range 500 {
				f(i)
			}
		})
	}
	wg.Wait()
	if model.Count() != 124 {
		t.Errorf("%d torrents, want 124", model.Count())
	}
}

func TestFaultEmptyLastPacket(t *testing.T) {
	for _, torrents := range []int{0, 1, 44, 45, 46, 89, 90, 91, 450} {
		d := talk(t, "node a first-beacon=1h", fmt.Sprintf("torrents a 1 %d 7", torrents), inquire(1), "run 10s")
		packets, told := d.tellsOf("a")
		if want := (torrents + wire.MaxTells - 1) / wire.MaxTells; packets != want || len(told) != torrents {
			t.Errorf("%d torrents: told %d in %d packets, want %d packets", torrents, len(told), packets, want)
		}
		for _, s := range d.sent {
			if len(s.pkt) <= wire.HeaderSize {
				t.Errorf("%d torrents: a packet without entries", torrents)
			}
		}
	}
}

func TestFaultBufferNotReset(t *testing.T) {
	d := talk(t, "node a", "torrents a 1 20 7", inquire(1), "run 1s")
	for range 3 {
		d.sent = nil
		d.command(strings.Fields(inquire(1)))
		d.run(time.Second)
		if packets, told := d.tellsOf("a"); packets != 1 || len(told) != 20 || len(d.sent[0].pkt) != wire.HeaderSize+20*wire.TellSize {
			t.Errorf("a later tell has %d packets, %d torrents", packets, len(told))
		}
	}
}

func TestFaultTellsInFragments(t *testing.T) {
	const ethernet, headers = 1500, 20 + 8
	d := talk(t, "node a", "torrents a 1 1000 7", inquire(1), "run 10s")
	for _, s := range d.sent {
		if len(s.pkt)+headers > ethernet {
			t.Errorf("a datagram of %d bytes does not fit %d", len(s.pkt)+headers, ethernet)
		}
	}
}

func TestFaultTellsInBursts(t *testing.T) {
	const buffer = 92 // full packets that a receive buffer of the default size held
	d := talk(t, "node a", "torrents a 1 10000 7", inquire(1), "run 10s")
	if len(d.sent) < 2*buffer {
		t.Fatalf("%d packets are too few for this test", len(d.sent))
	}
	for i := range len(d.sent) - buffer {
		if took := d.sent[i+buffer].at.Sub(d.sent[i].at); took < buffer*tellGap {
			t.Fatalf("%d packets in %s", buffer, took)
		}
	}
}

// TestFaultFailedAllocationLooped has a store that never gets anywhere, and more to correct than is remembered.
func TestFaultFailedAllocationLooped(t *testing.T) {
	d := talk(t, "node a first-beacon=1h")
	a := d.find("a")
	calls := 0
	a.node.cfg.Tells = func(_ time.Time, cursor uint64, _ []wire.Tell) (int, uint64) {
		calls++
		return 0, cursor + 1
	}
	d.command(strings.Fields(inquire(1)))
	d.run(time.Second)
	if most := int(time.Second/tellGap) * maxFills; calls == 0 || calls > most || len(d.sent) != 0 {
		t.Errorf("the store was asked %d times in a second, want up to %d", calls, most)
	}

	d = talk(t, "node a", fmt.Sprintf("torrents a 1 %d 7", maxBetter+1000))
	n := d.find("a").node
	for first := 1; first <= maxBetter+1000; first += wire.MaxTells {
		tell := wire.AppendTell(nil, wire.NodeID{9})
		for i := range wire.MaxTells {
			tell = (&wire.Tell{InfoHash: HashOf(first + i)}).Append(tell)
		}
		n.receive(d.now, another, wire.Group.Addr(), tell)
	}
	if got := n.Status().Dropped.Better; len(n.scrape.better.heard) != maxBetter || got < 1000 || got > 1000+wire.MaxTells {
		t.Errorf("%d corrections are remembered and %d were counted", len(n.scrape.better.heard), got)
	}
}

func TestFaultInquiredOfADeadNodeForEver(t *testing.T) {
	d := talk(t, "node a first-beacon=48h")
	for range 24 * 60 {
		d.command(strings.Fields("raw 10.0.0.9:1 00000009000000010000000000000009"))
		d.run(time.Minute)
	}
	// 2, 4, 8, 16, 32 minutes and then an hour, each after five minutes of asking.
	if got := len(d.sent); got < 3*20 || got > 3*28 {
		t.Errorf("%d inquiries in a day", got)
	}
}

// TestFaultRefusingNodeInquiredForEver has a node refuse some torrents of another that beacons all day.
func TestFaultRefusingNodeInquiredForEver(t *testing.T) {
	d := talk(t, "node a first-beacon=1s", "node b first-beacon=48h", "torrents a 1 10 7", "refuse b 5 100", "run 24h")
	inquiries, beacons := 0, 0
	for _, s := range d.sent {
		switch len(s.pkt) {
		case wire.InquireSize:
			inquiries++
		case wire.BeaconSize:
			beacons++
		}
	}
	if inquiries < 15 || inquiries > 30 || beacons < 1200 {
		t.Errorf("%d inquiries and %d beacons in a day", inquiries, beacons)
	}
}

// TestFaultTellDelayedTheBeaconNotTheTell hears a tell just before the node's own beacon and tell are due.
func TestFaultTellDelayedTheBeaconNotTheTell(t *testing.T) {
	const tell = "raw 10.0.0.0:1 0000000000000003"
	d := talk(t, "node a first-beacon=60s", "torrents a 1 3 7", "run 59990ms", inquire(1), tell, "run 1m")
	if len(d.sent) != 1 || len(d.sent[0].pkt) != wire.BeaconSize || !d.sent[0].at.Equal(epoch.Add(time.Minute)) {
		t.Errorf("in a minute %d packets were sent, want the beacon, when it was due", len(d.sent))
	}
	d.run(10 * time.Second)
	if packets, _ := d.tellsOf("a"); packets != 1 {
		t.Error("the tell has not left an interval after the one that was heard")
	}
}

func TestFaultTellBypassedTheAccessList(t *testing.T) {
	d := talk(t, "node a first-beacon=1s", "node b first-beacon=48h", "torrents a 1 10 7", "refuse b 5 3", "run 10m", inquire(2), "run 10s")
	if got := d.find("b").model.Count(); got != 7 {
		t.Errorf("%d torrents, want the 7 that are not refused", got)
	}
	_, told := d.tellsOf("b")
	if len(told) != 7 {
		t.Errorf("told %d torrents on being asked, want 7", len(told))
	}
}

func TestFaultAgesNotValidated(t *testing.T) {
	d := talk(t, "node a")
	a := d.find("a")
	tell := wire.AppendTell(nil, wire.NodeID{9})
	for i, age := range []uint32{0, 1440, 1441, math.MaxInt32, math.MaxUint32} {
		tell = (&wire.Tell{InfoHash: HashOf(i + 1), Age: age}).Append(tell)
	}
	a.node.receive(epoch, another, wire.Group.Addr(), tell)
	for i, want := range []uint32{0, 1440, 1440, 1440, 1440} {
		if got := a.model.Learned[i].Age; got != want {
			t.Errorf("entry %d is %d minutes old, want %d", i, got, want)
		}
	}
}
