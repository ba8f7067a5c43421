package livesync

import (
	"math/rand/v2"
	"testing"
	"time"

	"starling/wire"
)

// allowance is a budget in its simplest form: a token bucket for each lane, in bytes, that may go into debt by one packet.
type allowance struct {
	rate   [lanes]float64 // bytes a second
	level  [lanes]float64
	filled [lanes]time.Time
	asked  int
}

func (a *allowance) ask(now time.Time, lane Lane, bytes int) time.Duration {
	a.asked++
	a.level[lane] = min(a.rate[lane]/50, a.level[lane]+a.rate[lane]*now.Sub(a.filled[lane]).Seconds())
	a.filled[lane] = now
	if a.level[lane] < 1 {
		return time.Duration((1-a.level[lane])/a.rate[lane]*1e9) + 1
	}
	a.level[lane] -= float64(bytes)
	return 0
}

// TestBudget runs a sender with random work under random rates: no lane sends more than its rate, a burst and a
// packet, everything leaves in the end, no record behind one that was offered later, no tell before a record that it
// counts, and the sender sleeps while it waits.
func TestBudget(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		n, m := newListener(t)
		m.Fill(epoch, 1_000_000, 300, 7)
		a := &allowance{}
		for l := range a.rate {
			a.rate[l] = 500 + 20_000*rng.Float64()
			a.filled[l] = epoch
		}
		n.cfg.Budget = a.ask
		n.scrape.beaconAt = epoch.Add(time.Second)
		offered, sent, tells := 0, 0, 0
		var bytes [lanes]int
		inquired := epoch.Add(time.Duration(rng.Int64N(int64(10 * time.Second))))
		for now, wakes := epoch, 0; sent < 3000 || tells < 300; wakes++ {
			if wakes > 100_000 {
				t.Fatalf("seed %d: %d of 3000 records and %d of 300 tells left after %s", seed, sent, tells, now.Sub(epoch))
			}
			if offered < 3000 && rng.IntN(3) == 0 {
				for range rng.IntN(200) {
					n.Offer(wire.Record{InfoHash: HashOf(1), Peer: PeerOf(offered)})
					offered++
				}
			}
			if !inquired.IsZero() && now.After(inquired) {
				n.receive(now, another, wire.Group.Addr(), wire.AppendInquire(nil, wire.NodeID{9}, testID))
				inquired = time.Time{}
			}
			for pkt := n.next(now); pkt != nil; pkt = n.next(now) {
				p, err := wire.ParsePacket(pkt)
				if err != nil {
					t.Fatal(err)
				}
				lane := ControlLane
				switch p.Kind {
				case wire.KindLive4:
					lane = LiveLane
					for i := range p.Len() {
						if p.Record(i).Peer != PeerOf(sent) {
							t.Fatalf("seed %d: record %d is not the next one", seed, sent)
						}
						sent++
					}
				case wire.KindTell:
					lane = TellLane
					tells += p.Len()
				}
				bytes[lane] += len(pkt)
				if most := a.rate[lane] * (now.Sub(epoch).Seconds() + 0.02); float64(bytes[lane]-len(pkt)) > most {
					t.Fatalf("seed %d: %s sent %d bytes within %s at %.0f a second", seed, lane, bytes[lane], now.Sub(epoch), a.rate[lane])
				}
			}
			due := n.due(now)
			if due.IsZero() || due.After(now.Add(time.Second)) {
				due = now.Add(time.Second)
			}
			if !due.After(now) {
				t.Fatalf("seed %d: the sender does not sleep", seed)
			}
			now = due
		}
		if n.sent.Beacons == 0 || n.sent.Records < 3000 {
			t.Errorf("seed %d: sent %+v", seed, n.sent)
		}
	}
}

// TestBudgetRefusesRecords: while records may not leave at all, beacons and inquiries do, a tell waits behind the
// records, the queue gives up its oldest and counts them, and nothing is asked before its time.
func TestBudgetRefusesRecords(t *testing.T) {
	n, m := newListener(t)
	m.Fill(epoch, 1, 10, 7)
	open, asked := false, 0
	n.cfg.Budget = func(_ time.Time, lane Lane, _ int) time.Duration {
		if lane == LiveLane && !open {
			asked++
			return time.Second
		}
		return 0
	}
	n.scrape.beaconAt = epoch.Add(time.Minute)
	n.receive(epoch, another, wire.Group.Addr(), wire.AppendInquire(nil, wire.NodeID{9}, testID))
	for i := range queueSize + 2*wire.MaxRecords4 {
		n.Offer(wire.Record{InfoHash: HashOf(1), Peer: PeerOf(i)})
		if pkt := n.next(epoch); pkt != nil {
			t.Fatalf("%x left", pkt)
		}
	}
	if asked != 1 {
		t.Errorf("the budget was asked %d times at one moment", asked)
	}
	if lost := n.status(epoch).Dropped.Queue; lost != wire.MaxRecords4 {
		t.Errorf("gave up %d records, want a packet's worth", lost)
	}
	if due := n.due(epoch); !due.Equal(epoch.Add(time.Second)) {
		t.Errorf("due %s after, want 1s", due.Sub(epoch))
	}
	now := epoch.Add(time.Minute)
	if p, err := wire.ParsePacket(n.next(now)); err != nil || p.Kind != wire.KindBeacon {
		t.Errorf("want a beacon, got %+v, %v", p, err)
	}
	if pkt := n.next(now); pkt != nil {
		t.Errorf("%x left before the records", pkt)
	}
	open = true
	now = now.Add(time.Second)
	records, last := 0, wire.KindLive4
	for pkt := n.next(now); pkt != nil; pkt = n.next(now) {
		p, err := wire.ParsePacket(pkt)
		if err != nil || last == wire.KindTell {
			t.Fatalf("behind the tell: %+v, %v", p, err)
		}
		if last = p.Kind; last == wire.KindLive4 {
			records += p.Len()
		}
	}
	if records != queueSize+wire.MaxRecords4 || last != wire.KindTell {
		t.Errorf("%d records left, and then kind %v", records, last)
	}
}

// TestBudgetAtTheEnd: the last records wait for nothing.
func TestBudgetAtTheEnd(t *testing.T) {
	n, _ := newListener(t)
	n.cfg.Budget = func(time.Time, Lane, int) time.Duration { return time.Hour }
	for i := range 200 {
		n.Offer(wire.Record{InfoHash: HashOf(1), Peer: PeerOf(i)})
		n.next(epoch)
	}
	n.outbox.batch.leave()
	for n.nextLast(epoch) != nil {
	}
	if n.sent.Records != 200 {
		t.Errorf("%d of 200 records left", n.sent.Records)
	}
}

// TestIDOfAPacketThatWaited: a packet that was made before the id changed leaves with the new one.
func TestIDOfAPacketThatWaited(t *testing.T) {
	n, _ := newListener(t)
	wait := time.Second
	n.cfg.Budget = func(time.Time, Lane, int) time.Duration { return wait }
	for i := range wire.MaxRecords4 {
		n.Offer(wire.Record{InfoHash: HashOf(1), Peer: PeerOf(i)})
	}
	n.next(epoch)
	n.receive(epoch, another, wire.Group.Addr(), wire.AppendBeacon(nil, testID, 1))
	wait = 0
	p, err := wire.ParsePacket(n.next(epoch.Add(time.Second)))
	if err != nil || p.From != n.ident.id || p.From == testID || p.Len() != wire.MaxRecords4 {
		t.Errorf("from %s, want %s; %v", p.From, n.ident.id, err)
	}
}

// TestAppeared: word is left when a node is heard for the first time, and again only when it was away.
func TestAppeared(t *testing.T) {
	n, _ := newListener(t)
	words := 0
	n.cfg.Appeared = func() { words++ }
	now := epoch
	hear := func(after time.Duration, want int) {
		t.Helper()
		now = now.Add(after)
		n.receive(now, another, wire.Group.Addr(), wire.AppendBeacon(nil, wire.NodeID{9}, 1))
		if words != want {
			t.Errorf("word was left %d times, want %d", words, want)
		}
	}
	const absent = AbsentAfter * time.Minute // the beacon interval is a minute
	hear(0, 1)
	hear(time.Second, 1)
	hear(-time.Hour, 1)
	hear(absent-1, 1)
	hear(absent, 2)
	hear(0, 2)
}
