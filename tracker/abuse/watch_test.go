package abuse

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"starling/tracker/pacer"
)

var epoch0 = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// later is when wrong connection ids count.
var later = epoch0.Add(restarted)

func newWatch(b Bounds) *Watch { return New(epoch0, b, pacer.NewJail(epoch0), true) }

// some are bounds that tests reach soon.
func some() Bounds {
	return Bounds{Requests: Bound{1000, 10}, Unknown: Bound{100, 2}, Joins: Bound{100, 2}, Failures: Bound{100, 2}, Connects: Bound{5, 5}}
}

func four(n uint32) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}

// six returns an address: the 56 bits of a site, the network in it, and the host.
func six(site uint32, network byte, host uint64) netip.Addr {
	b := [16]byte{0x20, 0x01, 0, byte(site >> 24), byte(site >> 16), byte(site >> 8), byte(site), network}
	for i := range 8 {
		b[15-i] = byte(host >> (8 * i))
	}
	return netip.AddrFrom16(b)
}

// offenceOf returns why a client is held.
func offenceOf(w *Watch, now time.Time, client netip.Prefix) string {
	for _, h := range w.jail.All(now) {
		if h.Client == client {
			return h.Offence.String()
		}
	}
	return ""
}

// TestOffences: each offence is one more than its allowance, has its name, and ends by itself.
func TestOffences(t *testing.T) {
	client := four(0xcb007101)
	for name, c := range map[string]struct {
		bound uint32
		do    func(w *Watch, now time.Time)
	}{
		"budget":  {1000, func(w *Watch, now time.Time) { w.Request(now, client) }},
		"spray":   {100, func(w *Watch, now time.Time) { w.Announced(now, client, Deed{Unknown: true}) }},
		"harvest": {100, func(w *Watch, now time.Time) { w.Announced(now, client, Deed{Joined: true}) }},
	} {
		w, now := newWatch(some()), epoch0
		for range c.bound {
			c.do(w, now)
		}
		if w.Holds(now, client) {
			t.Errorf("%s: held within its bound", name)
		}
		c.do(w, now)
		if got := offenceOf(w, now, netip.PrefixFrom(client, 32)); got != name || !w.Holds(now, client) {
			t.Errorf("%s: held for %q", name, got)
		}
		if now = now.Add(pacer.Sentence); w.Holds(now, client) {
			t.Errorf("%s: it does not end", name)
		}
		c.do(w, now)
		if w.Holds(now, client) {
			t.Errorf("%s: held for one more, five minutes later", name)
		}
	}
}

// TestGoesOn: who goes on is held all the while, and is free five minutes after it ceased.
func TestGoesOn(t *testing.T) {
	w, now, client := newWatch(some()), epoch0, four(1<<24+1)
	for range 600 {
		for range 20 {
			w.Request(now, client)
		}
		now = now.Add(time.Second)
		if at := now.Sub(epoch0); at > 2*time.Minute && !w.Holds(now, client) {
			t.Fatalf("free after %v", at)
		}
	}
	if w.Holds(now.Add(pacer.Sentence), client) {
		t.Error("not free")
	}
}

// TestCredit: who comes back to its torrents is not one that harvests, however many it joins with time.
func TestCredit(t *testing.T) {
	w, now, client := newWatch(some()), epoch0, four(1<<24+1)
	for range 5000 {
		w.Announced(now, client, Deed{Joined: true})
		w.Announced(now, client, Deed{Stayed: true})
	}
	if w.Holds(now, client) {
		t.Error("held")
	}
}

// TestRotation: who goes through the networks of a /56, or the addresses of a /64, is held as a whole, and its neighbours are not.
func TestRotation(t *testing.T) {
	w := newWatch(some())
	for i := range 201 {
		w.Announced(epoch0, six(1, byte(i), rand.Uint64()), Deed{Unknown: true})
	}
	if got := offenceOf(w, epoch0, netip.PrefixFrom(six(1, 0, 0), 56)); got != "spray" || !w.Holds(epoch0, six(1, 255, 1)) {
		t.Errorf("the /56 is held for %q", got)
	}
	for i := range uint64(101) {
		w.Announced(epoch0, six(2, 7, i), Deed{Unknown: true})
	}
	if got := offenceOf(w, epoch0, netip.PrefixFrom(six(2, 7, 0), 64)); got != "spray" || !w.Holds(epoch0, six(2, 7, 1000)) {
		t.Errorf("the /64 is held for %q", got)
	}
	if w.Holds(epoch0, six(2, 8, 0)) || w.Holds(epoch0, six(3, 0, 0)) || len(w.jail.All(epoch0)) != 2 {
		t.Errorf("held beside them: %v", w.jail.All(epoch0))
	}
}

// TestTown: with the usual bounds 5,000 clients behind one address are free, when they all come at once and for a day after.
func TestTown(t *testing.T) {
	w, now, town := newWatch(Usual()), epoch0, four(0xcb007101)
	const clients, torrents = 5000, 20
	for i := range clients * torrents { // the tracker is new, and knows none of it
		w.Request(now, town)
		w.Announced(now, town, Deed{Unknown: i%4 != 0, Joined: true})
	}
	for i := range clients {
		w.Failed(now, town)
		if w.Dampens(now, town) {
			t.Fatal("no connection id for client", i)
		}
	}
	for range 24 * 60 {
		now = now.Add(time.Minute)
		for i := range clients * torrents / 30 {
			w.Request(now, town)
			w.Announced(now, town, Deed{Unknown: i%100 == 0, Joined: i%10 == 0, Stayed: i%10 != 0})
		}
		if w.Holds(now, town) {
			t.Fatalf("held after %v", now.Sub(epoch0))
		}
	}
}

// TestCrowd: whoever comes, and however many, nobody is held for what others did, and who offends beside them is.
func TestCrowd(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 1))
	w, now, bad := newWatch(some()), epoch0, four(0xcb007101)
	for range 300_000 { // each of its own site: six for each two of the cells' allowances
		w.Request(now, six(rng.Uint32(), byte(rng.Uint32()), rng.Uint64()))
		w.Announced(now, four(rng.Uint32()|1<<31), Deed{Unknown: true})
		now = now.Add(time.Millisecond / 4)
	}
	for range 400 { // while they go on
		w.Announced(now, bad, Deed{Unknown: true})
		w.Announced(now, four(rng.Uint32()), Deed{Unknown: true})
	}
	all := w.jail.All(now)
	if len(all) != 1 || all[0].Client.Addr() != bad {
		t.Errorf("seed %d: held: %v", seed, all)
	}
}

// TestSpoofed: a flood of wrong connection ids, from one address and from all there are, puts nobody into the jail. The address gets so many
// connection ids a second, the others all they ask for.
func TestSpoofed(t *testing.T) {
	w, victim, other := newWatch(some()), four(0xcb007101), four(0xc6336401)
	for range 1000 {
		w.Failed(epoch0, victim)
	}
	if w.Stats().Failed != 0 {
		t.Error("ids of the process before are offences")
	}
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 1))
	for range 100_000 {
		w.Failed(later, four(rng.Uint32()|1<<31))
	}
	for range 1000 {
		w.Failed(later, victim)
	}
	given := 0
	for range 100 {
		if !w.Dampens(later, victim) {
			given++
		}
		if w.Dampens(later, other) {
			t.Fatalf("seed %d: another address gets no connection id", seed)
		}
	}
	if given != 5 || w.Stats().Dampened != 95 {
		t.Errorf("seed %d: %d connection ids in a second, %+v", seed, given, w.Stats())
	}
	if w.Dampens(later.Add(time.Second), victim) || w.Dampens(later.Add(time.Minute), victim) {
		t.Error("no connection id later")
	}
	if len(w.jail.All(later)) != 0 || w.Holds(later, victim) {
		t.Error("somebody is in the jail")
	}
}

// TestOnlyWatches: a watch that does not jail finds the same, and nobody is treated otherwise.
func TestOnlyWatches(t *testing.T) {
	w, client := New(epoch0, some(), pacer.NewJail(epoch0), false), six(1, 1, 1)
	for range 1001 {
		w.Request(epoch0, client)
		w.Failed(later, client)
	}
	if w.Holds(epoch0, client) || w.Dampens(later, client) || offenceOf(w, epoch0, netip.PrefixFrom(six(1, 1, 0), 64)) != "budget" {
		t.Errorf("held: %v", w.jail.All(epoch0))
	}
}

// TestBound: a counter is what a leaky bucket is, for every course of events, and takes no harm from times that go back.
func TestBound(t *testing.T) {
	for range 200 {
		seed := rand.Uint64()
		rng := rand.New(rand.NewPCG(seed, 1))
		w := newWatch(some())
		b := Bound{Burst: rng.Uint32N(50), Rate: rng.Uint32N(5)}
		w.bounds[0][unknown] = b
		client := pacer.ClientOf(four(rng.Uint32()))
		level, second := int64(0), late+int64(rng.IntN(1<<21)) // beyond where the seconds begin anew
		for i := range 500 {
			at := second
			if i > 0 {
				at -= rng.Int64N(late)
			}
			if d := int64(rng.IntN(4)); rng.IntN(3) == 0 {
				level, second, at = max(0, level-d*int64(b.Rate)), second+d, second+d
			}
			n := rng.Int32N(4) - 1
			if i == 0 {
				n = 1 // it takes the place
			}
			over := n > 0 && level+int64(n) > int64(b.Burst)
			level = min(max(level+int64(n), 0), int64(b.Burst)+1)
			if got := w.count(epoch0.Add(time.Duration(at)*time.Second), client, 0, unknown, n); i > 0 && got != over {
				t.Fatalf("seed %d, step %d: %v, want %v at level %d of %+v", seed, i, got, over, level, b)
			}
		}
	}
}

func BenchmarkRequest(b *testing.B) {
	for name, client := range map[string]netip.Addr{"v4": four(1 << 30), "v6": six(1, 1, 1)} {
		b.Run(name, func(b *testing.B) {
			w := newWatch(Usual())
			b.ReportAllocs()
			for i := range b.N {
				now := epoch0.Add(time.Duration(i) * 5 * time.Millisecond)
				w.Request(now, client)
				w.Announced(now, client, Deed{Stayed: true})
			}
		})
	}
}
