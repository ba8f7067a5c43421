package tracker

import (
	"slices"
	"testing"
	"time"

	"starling/wire"
)

// TestRenew announces a peer again and again: the other nodes are told when more than the renew boundary has
// passed since they were last told, however often the peer announced meanwhile.
func TestRenew(t *testing.T) {
	const tick = DefaultRenew / renewTicks
	for _, every := range []time.Duration{time.Minute, 8 * time.Minute, 599 * time.Second, 10 * time.Minute, 13 * time.Minute, 30 * time.Minute} {
		for _, phase := range []time.Duration{0, tick / 3, tick - 1} {
			told := []time.Duration{}
			at := phase
			tr := newTracker(func(wire.Record) { told = append(told, at) })
			for ; at < 12*time.Hour; at += every {
				tr.Expire(epoch.Add(at))
				seen(tr, epoch.Add(at), hashOf(1), peer4(1))
			}
			if len(told) < 2 {
				t.Fatalf("every %v: told %d times", every, len(told))
			}
			for i := 1; i < len(told); i++ {
				if d := told[i] - told[i-1]; d < DefaultRenew && every != 10*time.Minute || d >= DefaultRenew+2*tick+every {
					t.Fatalf("every %v, phase %v: told again after %v", every, phase, d)
				}
			}
		}
	}
}

// TestRenewEveryEightMinutes is the case opentracker gets wrong: it measures from the last announce, never tells
// of such a client again, and the others forget it.
func TestRenewEveryEightMinutes(t *testing.T) {
	var told []int
	minute := 0
	tr := newTracker(func(wire.Record) { told = append(told, minute) })
	for ; minute <= 64; minute += 8 {
		now := epoch.Add(time.Duration(minute) * time.Minute)
		tr.Expire(now)
		seen(tr, now, hashOf(1), peer4(1))
	}
	if want := []int{0, 16, 32, 48, 64}; !slices.Equal(told, want) {
		t.Fatalf("told in minutes %v, not %v", told, want)
	}
}

// TestRenewShort covers boundaries that are far from the peer timeout, which only more sweeps can keep apart.
func TestRenewShort(t *testing.T) {
	for _, renew := range []time.Duration{1, time.Second, 5 * time.Second, time.Minute, 3 * time.Hour} {
		var last, longest, shortest time.Duration = 0, 0, 1 << 62
		at := time.Duration(0)
		tr := New(Config{Shards: 1, Renew: renew, Seed: &[32]byte{}, OnChange: func(wire.Record) {
			if at > 0 {
				longest, shortest = max(longest, at-last), min(shortest, at-last)
			}
			last = at
		}}, epoch)
		step := max(250*time.Millisecond, renew/100)
		for ; at < max(2*DefaultPeerTimeout, 4*renew); at += step {
			tr.Expire(epoch.Add(at))
			seen(tr, epoch.Add(at), hashOf(1), peer4(1))
		}
		slack := max(renew/4, 2*DefaultPeerTimeout/60/renewParts+2) + step
		if shortest < renew || longest > renew+slack {
			t.Errorf("renew %v: told again after %v to %v, at most %v is allowed", renew, shortest, longest, renew+slack)
		}
	}
}

// TestRenewAfterSilence announces a peer again after any time it may be silent. The bits that hold when it was told go round several
// times meanwhile, but sweeps see to it that it is due.
func TestRenewAfterSilence(t *testing.T) {
	for _, renew := range []time.Duration{10 * time.Second, time.Minute, 5 * time.Minute} {
		told := 0
		tr := New(Config{Shards: 1, Renew: renew, Seed: &[32]byte{}, OnChange: func(wire.Record) { told++ }}, epoch)
		const step = 5 * time.Second
		peers := int(DefaultPeerTimeout / step)
		for i := range peers { // each is silent 5 s longer than the one before
			seen(tr, epoch, hashOf(i), peer4(i))
		}
		told = 0
		for i := range peers {
			at := time.Duration(i) * step
			tr.Expire(epoch.Add(at))
			seen(tr, epoch.Add(at), hashOf(i), peer4(i))
			due := at > renew+renew/4+2*time.Second
			if told == 0 && due || told > 0 && at < renew {
				t.Fatalf("renew %v: after %v of silence told %d times", renew, at, told)
			}
			told = 0
		}
	}
}

// TestTold goes through what a peer can do and what the other nodes learn of it.
func TestTold(t *testing.T) {
	var told []wire.Record
	tr := newTracker(func(r wire.Record) { told = append(told, r) })
	p := peer4(1)
	h := hashOf(1)
	for i, step := range []struct {
		what   string
		event  wire.Event
		seeder bool
		want   []wire.Flags
	}{
		{"stops unknown", wire.EventStopped, false, []wire.Flags{wire.Stopped}},
		{"is new", wire.EventStarted, false, []wire.Flags{0}},
		{"returns", wire.EventNone, false, nil},
		{"starts again", wire.EventStarted, false, nil},
		{"pauses", wire.EventPaused, false, nil},
		{"completes with something left", wire.EventCompleted, false, nil},
		{"completes", wire.EventCompleted, true, []wire.Flags{wire.Seeding | wire.Complete}},
		{"completes again", wire.EventCompleted, true, nil},
		{"becomes a leecher", wire.EventNone, false, []wire.Flags{0}},
		{"becomes a seeder without a word", wire.EventNone, true, []wire.Flags{wire.Seeding}},
		{"becomes a leecher", wire.EventPaused, false, []wire.Flags{0}},
		{"completes a third time", wire.EventCompleted, true, []wire.Flags{wire.Seeding}},
		{"stops", wire.EventStopped, true, []wire.Flags{wire.Stopped}},
		{"stops twice", wire.EventStopped, true, []wire.Flags{wire.Stopped}},
		{"is new and complete", wire.EventCompleted, true, []wire.Flags{wire.Seeding | wire.Complete}},
	} {
		told = nil
		var ans Answer
		tr.Announce(epoch, &Announce{InfoHash: h, Peer: p, Event: step.event, Seeder: step.seeder}, &ans)
		var got []wire.Flags
		for _, r := range told {
			if r.InfoHash != h || r.Peer != p {
				t.Fatalf("step %d, %s: told of another peer", i, step.what)
			}
			got = append(got, r.Flags)
		}
		if !slices.Equal(got, step.want) {
			t.Errorf("step %d, %s: told %v, not %v", i, step.what, got, step.want)
		}
	}
	if c, _ := tr.Scrape(h); c != (Counts{Seeders: 1, Downloaded: 2}) {
		t.Errorf("counts are %+v", c)
	}
}

// TestAppliedCountsAsTold announces peers here that another node has told us of.
func TestAppliedCountsAsTold(t *testing.T) {
	told := 0
	tr := newTracker(func(wire.Record) { told++ })
	tr.Apply(epoch, wire.Record{InfoHash: hashOf(1), Peer: peer4(1)})
	if told != 0 {
		t.Fatal("an applied record was told on")
	}
	seen(tr, epoch.Add(9*time.Minute), hashOf(1), peer4(1))
	if told != 0 {
		t.Fatal("a peer was told within the renew boundary of another node's record")
	}
	seen(tr, epoch.Add(13*time.Minute), hashOf(1), peer4(1))
	if told != 1 {
		t.Fatal("a peer that moved here was not told after the renew boundary")
	}
}

// TestApplyFlags goes through all that a record can say, as real opentrackers take it.
func TestApplyFlags(t *testing.T) {
	tr := newTracker(nil)
	h, p := hashOf(1), peer6(1)
	for i, step := range []struct {
		flags wire.Flags
		want  Counts
	}{
		{wire.Complete, Counts{Leechers: 1}},
		{wire.Seeding | wire.Complete, Counts{Seeders: 1, Downloaded: 1}},
		{wire.Seeding, Counts{Seeders: 1, Downloaded: 1}},
		{wire.Seeding | wire.Complete, Counts{Seeders: 1, Downloaded: 1}},
		{0, Counts{Leechers: 1, Downloaded: 1}},
		{wire.Stopped | wire.Seeding | wire.Complete, Counts{Downloaded: 1}},
		{wire.Seeding | wire.Complete, Counts{Seeders: 1, Downloaded: 2}},
	} {
		tr.Apply(epoch, wire.Record{InfoHash: h, Peer: p, Flags: step.flags})
		if c, _ := tr.Scrape(h); c != step.want {
			t.Fatalf("step %d, %v: %+v, not %+v", i, step.flags, c, step.want)
		}
	}
	tr.Apply(epoch, wire.Record{InfoHash: hashOf(2), Peer: p, Flags: wire.Stopped})
	if _, ok := tr.Scrape(hashOf(2)); ok {
		t.Fatal("a stop made a torrent")
	}
}

// TestPartialStays keeps a partial seed one when another node, which cannot say so, tells of it.
func TestPartialStays(t *testing.T) {
	tr := newTracker(nil)
	var ans Answer
	tr.Announce(epoch, &Announce{InfoHash: hashOf(1), Peer: peer4(1), Event: wire.EventPaused}, &ans)
	tr.Apply(epoch, wire.Record{InfoHash: hashOf(1), Peer: peer4(1)})
	if c, _ := tr.Scrape(hashOf(1)); c != (Counts{Leechers: 1, Partial: 1}) {
		t.Fatalf("counts are %+v", c)
	}
	tr.Apply(epoch, wire.Record{InfoHash: hashOf(1), Peer: peer4(1), Flags: wire.Seeding})
	if c, _ := tr.Scrape(hashOf(1)); c != (Counts{Seeders: 1}) || tr.Stats().Partial != 0 {
		t.Fatalf("counts are %+v", c)
	}
}

// TestInvalidPeer announces addresses that no client can reach.
func TestInvalidPeer(t *testing.T) {
	told := 0
	tr := newTracker(func(wire.Record) { told++ })
	seen(tr, epoch, hashOf(1), peer4(1))
	told = 0
	for _, p := range []wire.Peer{{}, wire.PeerFrom4([]byte{10, 0, 0, 1, 0, 0}), wire.PeerFrom4([]byte{224, 0, 0, 1, 1, 1}), {0: 0xff, 15: 1, 17: 1}} {
		for _, e := range []wire.Event{wire.EventNone, wire.EventStopped} {
			var ans Answer
			tr.Announce(epoch, &Announce{InfoHash: hashOf(1), Peer: p, Event: e, NumWant: 50, BothFamilies: true}, &ans)
			if len(ans.Peers4)+len(ans.Peers6) > 0 || ans.Leechers != 1 || ans.Interval == 0 {
				t.Fatalf("answer is %+v", ans)
			}
		}
		tr.Apply(epoch, wire.Record{InfoHash: hashOf(1), Peer: p})
	}
	if c, _ := tr.Scrape(hashOf(1)); c.Leechers != 1 || told != 0 {
		t.Fatalf("counts are %+v, %d told", c, told)
	}
}

// TestInterval draws many intervals: a tenth either way, all of them, and the minimum never above.
func TestInterval(t *testing.T) {
	for _, c := range []struct{ interval, min, least, most, lowest time.Duration }{
		{30 * time.Minute, 15 * time.Minute, 27 * time.Minute, 33 * time.Minute, 15 * time.Minute},
		{10 * time.Second, 60 * time.Second, 9 * time.Second, 11 * time.Second, 9 * time.Second},
		{time.Second, time.Second, time.Second, time.Second, time.Second},
	} {
		tr := New(Config{Interval: c.interval, MinInterval: c.min, Seed: &[32]byte{}, Shards: 1}, epoch)
		seenValues := map[uint32]bool{}
		for range 20_000 {
			ans := seen(tr, epoch, hashOf(1), peer4(1))
			if ans.MinInterval > ans.Interval || ans.MinInterval < uint32(c.lowest/time.Second) {
				t.Fatalf("interval %d, min interval %d", ans.Interval, ans.MinInterval)
			}
			seenValues[ans.Interval] = true
		}
		for s := range seenValues {
			if d := time.Duration(s) * time.Second; d < c.least || d > c.most {
				t.Fatalf("interval %v of %v", d, c.interval)
			}
		}
		if want := int((c.most-c.least)/time.Second) + 1; len(seenValues) != want {
			t.Fatalf("%d different intervals, not %d", len(seenValues), want)
		}
	}
}

// TestSeed gives two trackers with one seed the same, and gets the same.
func TestSeed(t *testing.T) {
	answers := [2][]Answer{}
	for i := range answers {
		tr := populate(20, 300)
		for n := range 1000 {
			answers[i] = append(answers[i], seen(tr, epoch, hashOf(n%20), peer4(n)))
		}
	}
	for n, a := range answers[0] {
		b := answers[1][n]
		if a.Interval != b.Interval || !slices.Equal(a.Peers4, b.Peers4) {
			t.Fatal("one seed, two different answers")
		}
	}
}

// TestNoAllocation announces, applies and scrapes, with roles and blocks changing all the while.
func TestNoAllocation(t *testing.T) {
	tr := populate(100, 300)
	tr.cfg.OnChange = func(wire.Record) {}
	buffer := make([]byte, 50*wire.Compact4)
	n := 0
	act := func() {
		n++
		i := n % 30_000
		ans := Answer{Peers4: buffer[:0]}
		a := Announce{InfoHash: hashOf(i % 100), Peer: peer4(i), Seeder: n%7 == 0, NumWant: 50}
		if n%5 == 0 {
			a.Event = wire.EventStopped
		}
		tr.Announce(epoch, &a, &ans)
		tr.Apply(epoch, wire.Record{InfoHash: a.InfoHash, Peer: peer4((i + 15_000) % 30_000), Flags: wire.Flags(n) & wire.Seeding})
		tr.Scrape(a.InfoHash)
		tr.Lookup(epoch, a.InfoHash)
	}
	for range fewer(60_000) { // until the slab has what it needs
		act()
	}
	if got := testing.AllocsPerRun(fewer(20_000), act); got != 0 {
		t.Fatalf("%v allocations", got)
	}
}
