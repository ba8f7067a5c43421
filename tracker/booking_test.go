package tracker

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"starling/tracker/pacer"
	"starling/wire"
)

// TestEarly: for how much longer a client was not expected is right to a tick either way, whatever the phase of the clocks; it is
// known of every one that was booked for three quarters of an hour or more, and never said of one that comes when it is due, that
// another node told of, or that nobody booked.
func TestEarly(t *testing.T) {
	const tick = DefaultPeerTimeout / timeoutTicks
	r := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		tr := newTracker(nil)
		now := epoch.Add(time.Duration(r.IntN(int(time.Hour))))
		booked := 30*time.Minute + time.Duration(r.IntN(int(90*time.Minute)))
		a := Announce{InfoHash: hashOf(1), Peer: peer4(1), Seeder: r.IntN(2) == 0, Booked: uint32(booked / time.Second)}
		var ans Answer
		if tr.Announce(now, &a, &ans); !ans.New || ans.Early != 0 {
			t.Fatalf("the first time: %+v", ans)
		}
		passed := time.Duration(r.IntN(int(booked + 10*time.Minute)))
		for at := time.Duration(0); at < passed; at += 20 * time.Second { // sweeps go on
			tr.Expire(now.Add(at))
		}
		now = now.Add(passed)
		a.Seeder = r.IntN(2) == 0
		if r.IntN(3) == 0 {
			a.Event, a.Booked = wire.EventStopped, 0
		}
		tr.Announce(now, &a, &ans)
		left := booked - passed
		switch off := ans.Early - left; {
		case ans.New:
			t.Fatalf("booked for %v, new after %v", booked, passed)
		case ans.Early == 0 && booked > 45*time.Minute && passed < 30*time.Minute && left > tick:
			t.Fatalf("booked for %v, after %v nobody knows", booked, passed)
		case ans.Early > 0 && (off < -tick-time.Second || off > tick+time.Second):
			t.Fatalf("booked for %v, early by %v after %v", booked, ans.Early, passed)
		}
	}
	tr := newTracker(nil)
	tr.Apply(epoch, wire.Record{InfoHash: hashOf(1), Peer: peer4(1)})
	tr.Announce(epoch, &Announce{InfoHash: hashOf(1), Peer: peer4(2)}, new(Answer))
	for i := range 60 {
		now := epoch.Add(time.Duration(i) * time.Minute / 2)
		for _, a := range []Announce{
			{InfoHash: hashOf(1), Peer: peer4(1), Event: wire.EventStopped}, {InfoHash: hashOf(2), Peer: peer4(2), Event: wire.EventStopped},
			{InfoHash: hashOf(1), Peer: peer4(2)},
		} {
			var ans Answer
			if tr.Announce(now, &a, &ans); ans.Early != 0 || ans.New {
				t.Fatalf("%+v after %v: %+v", a, now.Sub(epoch), ans)
			}
		}
		tr.Apply(now, wire.Record{InfoHash: hashOf(1), Peer: peer4(1)})
	}
}

// bookings returns how many announces the calendar holds.
func (p *Pacing) bookings(now time.Time) (sum int) {
	for at := now; at.Before(now.Add(3 * time.Hour)); at = at.Add(10 * time.Second) {
		n, _ := p.requests.calendar.Load(at)
		sum += int(n)
	}
	return sum
}

// TestPlacesComeBack: clients of a crowd that stop, or come early, do not keep the places that they were booked for.
func TestPlacesComeBack(t *testing.T) {
	now := epoch
	p := newPacing(t, PacingConfig{AnnounceRate: 1}, now)
	tr := newTracker(nil)
	announce := func(i int, e wire.Event) time.Duration {
		a := Announce{InfoHash: hashOf(1), Peer: peer4(i), Event: e}
		b := p.book(now, tr, netip.Addr{}, &a)
		var ans Answer
		tr.Announce(now, &a, &ans)
		p.booked(now, tr, netip.Addr{}, &a, &ans, b)
		return b.Interval
	}
	const clients = 3000 // eight a slot: the last come after an hour more
	late := map[int]bool{}
	for i := range clients {
		if announce(i, wire.EventStarted) > 46*time.Minute {
			late[i] = true
		}
	}
	all := p.bookings(now)
	if len(late) < 1000 || all < clients {
		t.Fatalf("%d of %d are booked, %d of them late", all, clients, len(late))
	}
	now = now.Add(5 * time.Minute)
	for i := range late {
		announce(i, wire.EventStopped)
	}
	left := p.bookings(now)
	if gone := all - left; gone < len(late)*95/100 || gone > len(late) {
		t.Errorf("%d late clients stopped and %d places are free", len(late), gone)
	}
	// A place for each, and with a rest of strangers' visits, however often they come.
	for range 5 {
		now = now.Add(time.Minute)
		for i := range late {
			announce(i, wire.EventStarted)
		}
	}
	if most := left + len(late)*15/10; p.bookings(now) > most {
		t.Errorf("%d are booked, want %d at most", p.bookings(now), most)
	}
}

// TestUnpacedIsNotBooked: nothing of this happens to a tracker without an announce rate.
func TestUnpacedIsNotBooked(t *testing.T) {
	p := newPacing(t, PacingConfig{Rate: 1000}, epoch)
	a := Announce{InfoHash: hashOf(1), Peer: peer4(1)}
	if b := p.book(epoch, newTracker(nil), netip.Addr{}, &a); b != (pacer.Booking{}) || a.Booked != 0 {
		t.Errorf("%+v, %d", b, a.Booked)
	}
	p.booked(epoch, nil, netip.Addr{}, &a, &Answer{New: true}, pacer.Booking{})
}

// TestJailedClients: a client that announces every few seconds, whatever it is told, is served by the class jail alone until it has
// ceased for five minutes; one beside it is not, nor is one that comes from this host, nor anybody where there is no such class.
func TestJailedClients(t *testing.T) {
	local := netip.MustParseAddr("127.0.0.1")
	for _, classes := range [][]pacer.Class{nil, pacer.WanClasses()[:4]} {
		x, w, p := paced(t, PacingConfig{AnnounceRate: 1000, Classes: classes})
		now := testStart
		spent := func(class string) int64 {
			for _, c := range p.Stats(now).Requests {
				if c.Name == class {
					return c.Spent
				}
			}
			return 0
		}
		announce := func(from netip.Addr) {
			x.handle(now, from, []byte(get(announceTarget(1))), nil)
			packet := w.announceRequest(from, wire.UDPAnnounce{InfoHash: hashOf(1), NumWant: -1, Port: 1})
			w.handle(now, from, packet, nil)
		}
		for range 10 {
			announce(clientAt(1))
			announce(local)
			now = now.Add(2 * time.Second)
			p.tick(now)
		}
		announce(clientAt(2))
		before := spent("regular")
		announce(clientAt(1))
		announce(clientAt(2))
		announce(local)
		p.tick(now)
		if jail := p.Stats(now).Jail; classes == nil && (spent("jail") == 0 || spent("regular") != before+4 || jail.Held["early"] != 1) {
			t.Errorf("jail %d, regular %d more, %+v", spent("jail"), spent("regular")-before, jail)
		} else if classes != nil && (spent("regular") != before+6 || jail.Held != nil) {
			t.Errorf("without a jail: %d more, %+v", spent("regular")-before, jail)
		}
		now = now.Add(6 * time.Minute)
		p.tick(now)
		before = spent("regular")
		announce(clientAt(1))
		if p.tick(now); spent("regular") != before+2 {
			t.Error("it is never free")
		}
	}
}

// TestLess: it is known when a request got less than everything last; neither what is no request nor who is in the jail counts.
func TestLess(t *testing.T) {
	x, w, p := paced(t, PacingConfig{AnnounceRate: 100})
	now := testStart
	ask := func(n int, e wire.Event) {
		w.handle(now, clientAt(n), w.announceRequest(clientAt(n), wire.UDPAnnounce{InfoHash: hashOf(1), NumWant: -1, Port: 1, Event: e}), nil)
	}
	x.handle(now, clientAt(1), []byte("\x00garbage\r\n\r\n"), nil)
	for range 1000 {
		ask(1, wire.EventNone)
		now = now.Add(time.Second / 100)
		p.tick(now)
	}
	if held := p.Stats(now).Jail.Held["early"]; held != 1 || !p.Less().IsZero() {
		t.Errorf("%d are held; short at %v", held, p.Less())
	}
	for range 100 {
		ask(2, wire.EventStarted)
	}
	if !p.Less().Equal(now) {
		t.Errorf("short at %v, want %v", p.Less(), now)
	}
}

// TestManyBehindOneAddress: an address whose announces are mostly in order is not put into the jail for those that are not.
func TestManyBehindOneAddress(t *testing.T) {
	_, w, p := paced(t, PacingConfig{AnnounceRate: 1000})
	now := testStart
	for port := range uint16(40) {
		for range 2 { // the second comes early
			w.handle(now, clientAt(1), w.announceRequest(clientAt(1), wire.UDPAnnounce{InfoHash: hashOf(1), NumWant: -1, Port: 1 + port}), nil)
		}
		w.handle(now, clientAt(1), w.announceRequest(clientAt(1), wire.UDPAnnounce{InfoHash: hashOf(1), NumWant: -1, Port: 1000 + port}), nil)
		now = now.Add(time.Second)
		p.tick(now)
	}
	if jail := p.Stats(now).Jail; jail.Held["early"] != 0 {
		t.Errorf("%+v", jail)
	}
}
