package livesync

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"starling/wire"
)

// TestControlLane: a newer packet of a kind about the same node takes the older one's place, others wait behind, 64 at most, and
// all of them leave before records do.
func TestControlLane(t *testing.T) {
	n, _ := newListener(t)
	for i := range 3 * wire.MaxRecords4 {
		n.Offer(recordOf(3 * i))
	}
	pkt := func(kind wire.Kind, about, text byte) []byte {
		return append(make([]byte, wire.HeaderSize), byte(kind), about, text)
	}
	for round := range byte(3) {
		for i := range byte(maxControl + 2) {
			kind := wire.KindNack + wire.Kind(i%2)
			n.say(kind, wire.NodeID{i}, pkt(kind, i, round))
		}
	}
	if d := n.discarded.Control; d != 3*2 {
		t.Errorf("%d packets had no room, want %d", d, 3*2)
	}
	for i := range byte(maxControl) {
		got := n.next(epoch)
		if want := pkt(wire.KindNack+wire.Kind(i%2), i, 2); len(got) < len(want) || !bytes.Equal(got[wire.HeaderSize:len(want)], want[wire.HeaderSize:]) {
			t.Fatalf("packet %d is %x, want %x", i, got, want)
		}
	}
	if p, err := wire.ParsePacket(n.next(epoch)); err != nil || p.Kind != wire.KindLive4 {
		t.Errorf("after control packets %v, %v, want records", p.Kind, err)
	}
}

// TestLanesWithoutTokensHoldUpNoOther refuses one lane after the other: those that carry packets of their own go on, but
// for the tell behind records.
func TestLanesWithoutTokensHoldUpNoOther(t *testing.T) {
	for refused := range lanes {
		n, m := newListener(t)
		m.Fill(epoch, 1, 1, 7)
		n.receive(epoch, another, wire.Group.Addr(), wire.AppendInquire(nil, wire.NodeID{9}, testID))
		n.scrape.beaconAt = epoch.Add(time.Second)
		for i := range wire.MaxRecords4 {
			n.Offer(recordOf(3 * i))
		}
		left := map[Lane]int{}
		open := false
		n.cfg.Budget = func(_ time.Time, lane Lane, _ int) time.Duration {
			if lane == refused && !open {
				return time.Hour
			}
			left[lane]++
			return 0
		}
		now := epoch.Add(time.Second)
		for range 100 {
			n.next(now)
		}
		for lane := range lanes {
			want := 1
			if lane == refused || lane == RepairLane || lane == TellLane && refused == LiveLane {
				want = 0
			}
			if left[lane] != want {
				t.Errorf("without tokens for %s %d packets of %s left, want %d", refused, left[lane], lane, want)
			}
		}
		open = true
		now = now.Add(time.Hour)
		for n.next(now) != nil {
		}
		if left[refused] == 0 && refused != RepairLane {
			t.Errorf("%s is held up for ever", refused)
		}
	}
}

// TestTellsYield runs a full tell beside records that come at random, through a link that is slower than both: no record
// waits for more than 16 packets of a tell, and a record that a tell counts leaves before it.
func TestTellsYield(t *testing.T) {
	const most = 16
	rng := rand.New(rand.NewPCG(4, 2))
	n, m := newListener(t)
	m.Fill(epoch, 1_000_000, 5_000, 7)
	n.receive(epoch, another, wire.Group.Addr(), wire.AppendInquire(nil, wire.NodeID{9}, testID))
	offered, left, tells := 0, 0, 0
	var before [20_000]int // tells that had left when a record was offered
	for now := epoch; tells < 100; now = now.Add(time.Duration(rng.Int64N(int64(12 * time.Millisecond)))) {
		if now.After(epoch.Add(time.Hour)) {
			t.Fatalf("%d of 100 tells left within an hour", tells)
		}
		for range rng.IntN(40) {
			if offered < len(before) {
				n.Offer(wire.Record{InfoHash: HashOf(1 + offered/60_000), Peer: PeerOf(offered % 60_000)})
				before[offered] = tells
				offered++
			}
		}
		pkt := n.next(now) // one packet is all that the link takes at a time
		if pkt == nil {
			continue
		}
		switch p, err := wire.ParsePacket(pkt); {
		case err != nil:
			t.Fatal(err)
		case p.Kind == wire.KindTell:
			tells++
		default:
			for range p.Len() {
				if tells-before[left] > most {
					t.Fatalf("record %d waited for %d packets of a tell", left, tells-before[left])
				}
				left++
			}
		}
	}
	if left < 1000 {
		t.Errorf("%d records left beside %d tells", left, tells)
	}
}
