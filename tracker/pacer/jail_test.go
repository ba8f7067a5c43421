package pacer

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"
)

// clientAt is a client of its own for each number.
func clientAt(i int) Client {
	return ClientOf(netip.AddrFrom4([4]byte{192, byte(i >> 16), byte(i >> 8), byte(i)}))
}

// TestJailTooMany: while there is a shortage, a client that makes far more requests than its fair share is held, others
// never are, and it is free five minutes after it ceased. Without a shortage nobody is held.
func TestJailTooMany(t *testing.T) {
	const capacity, clients = 1000, 200
	for _, crowded := range []bool{false, true} {
		j := NewJail(epoch0)
		now := epoch0
		second := func() {
			for i := range clients { // together they ask for less than there is
				if crowded {
					j.Crowded(now)
				}
				j.Request(now, clientAt(i), 4, capacity)
				j.Request(now, clientAt(clients), 2, capacity) // and one asks for two fifths of it
				now = now.Add(time.Second / clients)
			}
		}
		for range 9 {
			second()
		}
		for range 30 {
			second()
			for i := range clients + 1 {
				if got, want := j.Holds(now, clientAt(i)), crowded && i == clients; got != want {
					t.Fatalf("shortage %v, client %d after %v: held %v", crowded, i, now.Sub(epoch0), got)
				}
			}
		}
		s := j.Stats(now)
		if want := map[bool]uint64{true: 1}[crowded]; s.Sentenced["rate"] != want || s.Held["rate"] != int(want) || len(s.Some) != int(want) || s.Sentenced["early"] != 0 {
			t.Errorf("shortage %v: %+v", crowded, s)
		}
		if crowded && s.Some[0].Client.String() != "192.0.0.200/32" {
			t.Errorf("held is %v", s.Some[0].Client)
		}
		if !j.Holds(now.Add(Sentence-11*time.Second), clientAt(clients)) && crowded {
			t.Error("it is free too soon")
		}
		if now = now.Add(Sentence); j.Holds(now, clientAt(clients)) || len(j.Stats(now).Some) != 0 {
			t.Error("it is never free")
		}
	}
}

// TestJailAlone: who is alone takes nobody's share, and many torrents may be announced at once.
func TestJailAlone(t *testing.T) {
	j := NewJail(epoch0)
	for i := range 100_000 {
		now := epoch0.Add(time.Duration(i) * time.Millisecond)
		j.Crowded(now)
		j.Request(now, clientAt(1), 1, 100)
		if j.Holds(now, clientAt(1)) {
			t.Fatalf("held after %d requests", i)
		}
	}
	now := epoch0.Add(time.Hour)
	for i := range 5000 {
		j.Crowded(now)
		j.Request(now, clientAt(i%50), 1, 100)
	}
	for i := range 50 {
		if j.Holds(now, clientAt(i)) {
			t.Fatal("held for a hundred torrents")
		}
	}
}

// TestJailTooEarly: nine early announces in ten minutes are too many when most are early; the sentence ends by itself, and goes on
// while the client does.
func TestJailTooEarly(t *testing.T) {
	for _, tt := range []struct {
		early, onTime int
		within        time.Duration
		want          bool
	}{
		{8, 0, time.Minute, false}, {9, 0, time.Minute, true}, {9, 8, time.Minute, true}, {9, 9, time.Minute, false},
		{60, 100, time.Minute, false}, {15, 0, 20 * time.Minute, false}, {100_000, 0, time.Minute, true}, {100, 100_000, time.Minute, false},
	} {
		j := NewJail(epoch0)
		c := clientAt(1)
		for i := range tt.early {
			j.Early(epoch0.Add(time.Duration(i)*tt.within/time.Duration(tt.early)), c)
			if i == 0 {
				for range tt.onTime { // which count from the first early one on
					j.OnTime(epoch0, c)
				}
			}
		}
		if got := j.Holds(epoch0.Add(tt.within), c); got != tt.want {
			t.Errorf("%+v: held %v", tt, got)
		}
	}
	j := NewJail(epoch0)
	now := epoch0
	for range 200 { // ten seconds each
		j.Early(now, clientAt(1))
		now = now.Add(10 * time.Second)
	}
	if s := j.Stats(now); !j.Holds(now, clientAt(1)) || s.Sentenced["early"] > 4 {
		t.Errorf("it went on for half an hour: %+v", s)
	}
	if j.Holds(now.Add(Sentence), clientAt(1)) {
		t.Error("it is never free")
	}
}

// TestJailIsTold: another node's word holds a client, and holds one longer that was found here, which stays so; it never shortens.
func TestJailIsTold(t *testing.T) {
	j := NewJail(epoch0)
	found, told := clientAt(1), clientAt(2)
	j.Sentence(epoch0, found, Spraying)
	now := epoch0.Add(time.Second)
	until := epoch0.Add(Sentence + time.Second/2)
	for _, c := range []Client{found, told} {
		j.Told(now, c, Spraying, until)
		j.Told(now, c, Spraying, now.Add(time.Minute))
		if !j.Holds(until.Add(-time.Millisecond), c) || j.Holds(until, c) {
			t.Errorf("%v is not held until %v", c, until)
		}
	}
	for _, h := range j.All(now) {
		if h.Told != (h.Client == told.prefix()) {
			t.Errorf("%+v", h)
		}
	}
}

// TestJailIsBounded: however many misbehave, so many are held and the rest are counted; memory does not grow; those that are held
// are free afterwards and make room.
func TestJailIsBounded(t *testing.T) {
	j := NewJail(epoch0)
	const clients = 3000
	for range 40 {
		for i := range clients {
			j.Early(epoch0, clientAt(i))
		}
	}
	s := j.Stats(epoch0)
	if s.Held["early"] != maxHeld || s.Full == 0 || len(s.Some) != shownHeld || s.Sentenced["early"] != maxHeld {
		t.Errorf("%+v", s)
	}
	for one, was := range *j.held.Load() { // who is held is held on, full or not
		later := epoch0.Add(Sentence / 2)
		j.Sentence(later, one, was.offence)
		if got := j.Stats(later); !j.Holds(later.Add(Sentence-time.Second), one) || got.Full != s.Full {
			t.Errorf("held on: %+v, before %+v", got, s)
		}
		break
	}
	for range 20 {
		j.Early(epoch0.Add(time.Hour), clientAt(9999))
	}
	if s := j.Stats(epoch0.Add(time.Hour)); s.Held["early"] != 1 || len(*j.held.Load()) != 1 {
		t.Errorf("%+v", s)
	}
}

// TestJailCellsAreShared: who misbehaves is found among a hundred thousand others that come once, and none of these is held.
func TestJailCellsAreShared(t *testing.T) {
	r := seeded(t)
	j := NewJail(epoch0)
	now := epoch0
	for i := range 250_000 {
		j.Crowded(now)
		j.Request(now, clientAt(1000+r.IntN(100_000)), 1, 50_000)
		if i%25 == 0 {
			j.Request(now, clientAt(1), 20, 50_000)
		}
		now = now.Add(9 * time.Second / 250_000)
	}
	if s := j.Stats(now); !j.Holds(now, clientAt(1)) || len(s.Some) != 1 {
		t.Errorf("%+v", s)
	}
}

// TestJailClocks: time before the start, backwards by an hour and an hour in one step hold nobody for longer than five minutes.
func TestJailClocks(t *testing.T) {
	j := NewJail(epoch0)
	c := clientAt(1)
	for range 20 {
		j.Early(epoch0.Add(-time.Hour), c)
		j.OnTime(epoch0.Add(-time.Hour), c)
		j.Request(epoch0.Add(-time.Hour), c, -5, -7)
	}
	now := epoch0.Add(2 * time.Hour)
	for range 20 {
		j.Early(now, c)
	}
	if !j.Holds(now, c) || j.Holds(now.Add(-time.Hour), c) || j.Holds(now.Add(time.Hour), c) {
		t.Error("held in another time")
	}
}

// TestJailConcurrently: many at once count right and are sentenced once.
func TestJailConcurrently(t *testing.T) {
	j := NewJail(epoch0)
	var wg sync.WaitGroup
	for g := range 32 {
		wg.Go(func() {
			for range 2000 {
				j.Crowded(epoch0)
				j.Request(epoch0, clientAt(rand.IntN(20)), 1, 1000)
				j.Early(epoch0, clientAt(100+g))
				j.Holds(epoch0, clientAt(g))
			}
		})
	}
	wg.Wait()
	// Two that come equally often and share a cell are not found.
	if s := j.Stats(epoch0); s.Sentenced["early"] > 32 || s.Sentenced["early"] < 26 || s.Sentenced["rate"] > 20 || s.Sentenced["rate"] < 14 {
		t.Errorf("%+v", s)
	}
}
