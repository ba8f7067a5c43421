package tracker

import (
	"math"
	"math/rand/v2"
	"testing"

	"starling/wire"
)

// TestSample lets a swarm grow to twenty times what its budget has room for, come back, shrink and go. All the while the count that clients get is
// as right as a sample can be, and they get peers of the swarm; in the end every peer is kept again.
func TestSample(t *testing.T) {
	if fewer(10) < 10 {
		return // it takes 20 seconds with the race detector, in one goroutine
	}
	const tick = DefaultPeerTimeout / 60
	seed := rand.Uint32()
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	}()
	var key [32]byte
	rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24)}).Read(key[:])
	const peers = 100_000
	b := NewBudget(300_000)
	tr := New(Config{Shards: 1, Seed: &key, Budget: b, SketchKey: &key}, epoch)
	now := epoch
	announce := func(i int, event wire.Event) (ans Answer) { // a quarter are seeders
		tr.Announce(now, &Announce{InfoHash: hashOf(1), Peer: peer4(i), Seeder: i%4 == 0, Event: event, NumWant: 50}, &ans)
		return ans
	}
	check := func(n int) {
		t.Helper()
		c, _ := tr.Scrape(hashOf(1))
		level := uint8(0)
		for _, d := range tr.shards[0].swarms.directories {
			level = max(level, d.sample.counts)
		}
		for _, n := range []struct{ got, want int }{{int(c.Leechers), n * 3 / 4}, {int(c.Seeders), n / 4}} {
			// Of so many peers each is counted 2^level times or not at all. Six standard deviations are not seen in a million years.
			most := 6*math.Sqrt(float64(n.want)*float64(int(1)<<level-1)) + 20
			if d := max(n.got-n.want, n.want-n.got); d > int(most) {
				t.Fatalf("counted %+v, there are %d of one kind; level %d, pressure %v", c, n.want, level, b.Pressure())
			}
		}
	}
	// Each peer comes once in 40 ticks. Those above n have stopped to.
	come := func(ticks, n int) {
		for k := range ticks {
			now = now.Add(tick)
			tr.Expire(now)
			for i := k % 40; i < n; i += 40 {
				announce(i, wire.EventNone)
			}
			if k > timeoutTicks {
				check(n)
			}
		}
	}
	for i := range peers {
		announce(i, wire.EventStarted)
		if i%1000 == 0 {
			check(i)
			now = now.Add(hurrySweep)
			tr.Expire(now)
		}
	}
	auditBudget(t, b, tr)
	if u := tr.Stats().Unstored; u.Sampled == 0 || b.Status().Held > b.most+slack(tr) {
		t.Fatalf("the budget is %+v, unstored %+v", b.Status(), u)
	}
	if ans := announce(1, wire.EventNone); len(ans.Peers4) != 50*wire.Compact4 {
		t.Fatalf("an answer has %d bytes of peers", len(ans.Peers4))
	}
	come(3*timeoutTicks, peers)
	for i := peers / 2; i < peers; i++ {
		announce(i, wire.EventStopped)
	}
	check(peers / 2)
	come(3*timeoutTicks, peers/2)
	audit(t, tr)
	auditBudget(t, b, tr)
	come(8*timeoutTicks, 500)
	audit(t, tr)
	if c, _ := tr.Scrape(hashOf(1)); c.Leechers != 375 || c.Seeders != 125 || tr.Stats().Peers4 != 500 {
		t.Fatalf("counted %+v, stored are %d", c, tr.Stats().Peers4)
	}
	come(2*timeoutTicks, 0)
	if n := tr.Torrents(); n != 0 {
		t.Fatalf("%d torrents are left", n)
	}
}
