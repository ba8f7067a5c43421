package tracker

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"
)

var (
	testStart = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	testAddr4 = netip.MustParseAddr("192.0.2.7")
	testAddr6 = netip.MustParseAddr("2001:db8::7")
)

// An id is accepted for at least one period and at most two, whatever packets come meanwhile.
func TestConnIDLife(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 2000 {
		var scratch connScratch
		ids := newConnIDs(testStart, nil)
		made := testStart.Add(randDuration(rng, 40*time.Minute))
		for now := testStart.Add(randDuration(rng, 20*time.Minute)); now.Before(made); now = now.Add(randDuration(rng, 20*time.Minute)) {
			ids.at(now)
		}
		id := ids.make(made, testAddr4, &scratch)
		var dead bool
		for now := made; now.Before(made.Add(30 * time.Minute)); now = now.Add(randDuration(rng, 6*time.Minute)) {
			age, ok := now.Sub(made), ids.valid(now, testAddr4, id, &scratch)
			switch {
			case ok && dead:
				t.Fatalf("refused and then, %v old, accepted again", age)
			case !ok && age <= connIDPeriod:
				t.Fatalf("refused when %v old", age)
			case ok && age >= 2*connIDPeriod:
				t.Fatalf("accepted when %v old", age)
			}
			dead = !ok
		}
	}
}

func randDuration(rng *rand.Rand, limit time.Duration) time.Duration {
	return time.Duration(rng.Int64N(int64(limit)))
}

// The second and the third rotation are as good as the first.
func TestConnIDRotations(t *testing.T) {
	var scratch connScratch
	ids := newConnIDs(testStart, nil)
	var made []uint64
	for period := range 6 {
		now := testStart.Add(time.Duration(period) * connIDPeriod)
		made = append(made, ids.make(now, testAddr6, &scratch))
		for i, id := range made {
			if got, want := ids.valid(now, testAddr6, id, &scratch), i >= period-1; got != want {
				t.Errorf("in period %d the id of period %d: accepted %v, want %v", period, i, got, want)
			}
		}
	}
}

// An id is bound to its address, and to the one node that made it.
func TestConnIDBinding(t *testing.T) {
	var scratch connScratch
	ids, other := newConnIDs(testStart, nil), newConnIDs(testStart, nil)
	id := ids.make(testStart, testAddr4, &scratch)
	if !ids.valid(testStart, netip.AddrFrom16(testAddr4.As16()), id, &scratch) {
		t.Error("the mapped form of the address is refused")
	}
	if other.valid(testStart, testAddr4, id, &scratch) {
		t.Error("another node accepts the id")
	}
	for _, addr := range []netip.Addr{testAddr4.Next(), testAddr6, {}, netip.IPv4Unspecified()} {
		if ids.valid(testStart, addr, id, &scratch) {
			t.Errorf("accepted from %v", addr)
		}
	}
	for bit := range 64 {
		if ids.valid(testStart, testAddr4, id^1<<bit, &scratch) {
			t.Errorf("accepted with bit %d changed", bit)
		}
	}
}

// A goroutine whose clock reading is a little older than the rotation of another still works with
// the new secrets.
func TestConnIDTimeBackwards(t *testing.T) {
	var scratch connScratch
	ids := newConnIDs(testStart, nil)
	before := testStart.Add(connIDPeriod - time.Millisecond)
	id := ids.make(before, testAddr4, &scratch)
	ids.at(testStart.Add(connIDPeriod))
	if !ids.valid(before, testAddr4, id, &scratch) {
		t.Error("refused after the rotation of another goroutine")
	}
	if !ids.valid(before, testAddr4, ids.make(before, testAddr4, &scratch), &scratch) {
		t.Error("an id of the new period is refused")
	}
}

// Goroutines that see a period end together rotate once: rotating twice would kill the ids of the
// period before.
func TestConnIDConcurrentRotation(t *testing.T) {
	ids := newConnIDs(testStart, nil)
	now := testStart
	for range 50 {
		var scratch connScratch
		id := ids.make(now, testAddr4, &scratch)
		now = now.Add(connIDPeriod)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				var scratch connScratch
				if !ids.valid(now, testAddr4, id, &scratch) {
					t.Error("refused after a concurrent rotation")
				}
			})
		}
		all.Wait()
	}
}

func TestConnIDAllocs(t *testing.T) {
	scratch := new(connScratch)
	ids := newConnIDs(testStart, nil)
	if n := testing.AllocsPerRun(100, func() {
		if !ids.valid(testStart, testAddr6, ids.make(testStart, testAddr6, scratch), scratch) {
			t.Error("refused")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkConnID(b *testing.B) {
	scratch := new(connScratch)
	ids := newConnIDs(testStart, nil)
	id := ids.make(testStart, testAddr4, scratch)
	for b.Loop() {
		if !ids.valid(testStart, testAddr4, id, scratch) {
			b.Fatal("refused")
		}
	}
}

// TestConnIDSecret: a server that takes over goes on with the ids of the one before it, until they run out.
func TestConnIDSecret(t *testing.T) {
	var scratch connScratch
	a := netip.MustParseAddr("192.0.2.1")
	old := newConnIDs(testStart, nil)
	first := old.make(testStart, a, &scratch)
	now := testStart.Add(connIDPeriod)
	second := old.make(now, a, &scratch)
	is := newConnIDs(now, old.secret())
	if !is.valid(now, a, first, &scratch) || !is.valid(now, a, second, &scratch) || is.make(now, a, &scratch) != second {
		t.Error("ids of the server before are not good")
	}
	if later := now.Add(connIDPeriod); is.valid(later, a, first, &scratch) || !is.valid(later, a, second, &scratch) {
		t.Error("they do not end")
	}
	for n := range connSecretSize {
		if cut := newConnIDs(now, old.secret()[:n]); cut.valid(now, a, second, &scratch) {
			t.Errorf("%d bytes of a secret are one", n)
		}
	}
	if late := newConnIDs(now.Add(2*connIDPeriod), old.secret()); late.valid(now.Add(2*connIDPeriod), a, second, &scratch) {
		t.Error("an old secret is taken")
	}
}
