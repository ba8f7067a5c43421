package tracker

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"starling/tracker/abuse"
	"starling/tracker/pacer"
	"starling/wire"
)

// fewAtOnce are bounds that a test reaches soon, and that do not fill up again in it.
var fewAtOnce = abuse.Bounds{
	Requests: abuse.Bound{Burst: 60}, Unknown: abuse.Bound{Burst: 20}, Joins: abuse.Bound{Burst: 20},
	Failures: abuse.Bound{Burst: 10}, Connects: abuse.Bound{Burst: 3, Rate: 3},
}

// afterStart is when what an abuse.Watch heard from the process before is forgotten.
var afterStart = testStart.Add(time.Hour)

// watchedServers are the two servers, whose clients are watched. The torrent 1 has peers.
func watchedServers(t *testing.T, cfg *PacingConfig) (*exchange, *udpWorker, *pacer.Jail) {
	t.Helper()
	jail := pacer.NewJail(testStart)
	watch := abuse.New(testStart, fewAtOnce, jail, true)
	if cfg == nil {
		x, w := testHTTP(testConfig), testUDP(testConfig)
		x.abuse, w.abuse, w.UDP.tracker = watch, watch, x.tracker
		fill(x.tracker, wire.InfoHash{1}, 100, true, false)
		fill(x.tracker, wire.InfoHash{1}, 100, true, true)
		return x, w, jail
	}
	cfg.Jail = jail
	x, w, _ := paced(t, *cfg)
	x.abuse, w.abuse = watch, watch
	fill(x.tracker, wire.InfoHash{1}, 100, true, false)
	return x, w, jail
}

// An abuser sends the request of a number.
type abuser struct {
	from    func(i int) netip.Addr
	torrent func(i int) byte
	port    func(i int) int
	left    int
}

// overHTTP and overUDP send it as a client does, and return what is answered.
func (a *abuser) overHTTP(x *exchange, now time.Time, i int) string {
	request := get(announceTarget(a.torrent(i), "port", fmt.Sprint(a.port(i)), "left", fmt.Sprint(a.left)))
	out, _, _ := x.handle(now, a.from(i), []byte(request), nil)
	return string(out)
}

func (a *abuser) overUDP(w *udpWorker, now time.Time, i int) string {
	h := wire.UDPHeader{ConnectionID: w.ids.make(now, a.from(i), new(connScratch)), Action: wire.ActionAnnounce, TransactionID: testTransaction}
	q := wire.UDPAnnounce{InfoHash: wire.InfoHash{a.torrent(i)}, Port: uint16(a.port(i)), Left: uint64(a.left), NumWant: 5}
	return string(w.handle(now, a.from(i), append(h.Append(nil), q.Append(nil)...), nil))
}

// TestAbuseInRequests sends, over HTTP and over UDP, what no client does: each is in the jail with its reason and as the network that it is, refused, counted, and free
// when its sentence is over; a neighbour is served all the while.
func TestAbuseInRequests(t *testing.T) {
	always := func(text string) func(int) netip.Addr {
		return func(int) netip.Addr { return netip.MustParseAddr(text) }
	}
	hosts := func(i int) netip.Addr { return netip.MustParseAddr(fmt.Sprintf("2001:db8:2:100::%x", i+1)) }
	networks := func(i int) netip.Addr { return netip.MustParseAddr(fmt.Sprintf("2001:db8:2:1%02x::1", i)) }
	known, other := func(int) byte { return 1 }, func(i int) byte { return byte(i + 2) }
	same, another := func(int) int { return 6881 }, func(i int) int { return 7000 + i }
	for _, c := range []struct {
		name    string
		abuser  abuser
		within  int // requests that are within the bound
		network string
		reason  string
	}{
		{"budget of an address", abuser{always("203.0.113.1"), known, same, 0}, 60, "203.0.113.1/32", "budget"},
		{"budget of a /64", abuser{hosts, known, same, 0}, 60, "2001:db8:2:100::/64", "budget"},
		{"budget of a /56", abuser{networks, known, same, 0}, 120, "2001:db8:2:100::/56", "budget"},
		{"spraying", abuser{always("203.0.113.1"), other, same, 1}, 20, "203.0.113.1/32", "spray"},
		{"spraying from a /56", abuser{networks, other, same, 1}, 40, "2001:db8:2:100::/56", "spray"},
		{"harvesting", abuser{always("203.0.113.1"), known, another, 1}, 20, "203.0.113.1/32", "harvest"},
	} {
		for _, udp := range []bool{false, true} {
			x, w, jail := watchedServers(t, nil)
			ask := func(a *abuser, now time.Time, i int) (served bool) {
				if udp {
					return a.overUDP(w, now, i) != ""
				}
				return !strings.Contains(a.overHTTP(x, now, i), jailed)
			}
			for i := range c.within {
				if !ask(&c.abuser, testStart, i) || len(jail.All(testStart)) != 0 {
					t.Fatalf("%s, UDP %v: refused at %d", c.name, udp, i)
				}
			}
			next := c.within
			for ; len(jail.All(testStart)) == 0 && next < c.within+8; next++ { // a network may share its cell with one of those in it, which takes off what it counts
				ask(&c.abuser, testStart, next)
			}
			held := jail.All(testStart)
			if len(held) != 1 || held[0].Client.String() != c.network || held[0].Offence.String() != c.reason {
				t.Fatalf("%s, UDP %v: in the jail are %+v", c.name, udp, held)
			}
			if ask(&c.abuser, testStart, next) {
				t.Errorf("%s, UDP %v: served in the jail", c.name, udp)
			}
			if got := x.Counts().Refused["jail"] + w.tally.refused[refuseJail].Load(); got < 1 || got > 2 {
				t.Errorf("%s, UDP %v: %d refusals are counted", c.name, udp, got)
			}
			neighbour := abuser{always("203.0.113.2"), known, same, 1}
			if !ask(&neighbour, testStart, 0) {
				t.Errorf("%s, UDP %v: a neighbour is refused", c.name, udp)
			}
			if later := testStart.Add(pacer.Sentence + time.Second); len(jail.All(later)) != 0 {
				t.Errorf("%s, UDP %v: it does not end", c.name, udp)
			}
		}
	}
}

// TestHeldBringsNothingIn: with pacing, who sprays is served in a class of its own, but what it sprays on is not stored any more, and other nodes are not told of it.
func TestHeldBringsNothingIn(t *testing.T) {
	x, w, jail := watchedServers(t, &PacingConfig{AnnounceRate: 1_000_000})
	told := 0
	x.tracker.cfg.OnChange = func(wire.Record) { told++ }
	from := func(int) netip.Addr { return netip.MustParseAddr("203.0.113.1") }
	a := abuser{from, func(i int) byte { return byte(i + 2) }, func(int) int { return 6881 }, 1}
	const within = 20
	for i := range within + 1 {
		a.overHTTP(x, testStart, i)
	}
	if len(jail.All(testStart)) != 1 || x.tracker.Torrents() != 1+within+1 {
		t.Fatalf("%+v, %d torrents", jail.All(testStart), x.tracker.Torrents())
	}
	told = 0
	for i := range 30 {
		if out := a.overHTTP(x, testStart, 100+i); !strings.Contains(out, "8:interval") {
			t.Fatalf("over HTTP: %q", out)
		}
		if a.overUDP(w, testStart, 150+i) == "" {
			t.Fatal("no answer over UDP")
		}
		stop := get(announceTarget(byte(200+i), "event", "stopped"))
		x.handle(testStart, from(0), []byte(stop), nil)
	}
	if s := x.tracker.Stats(); x.tracker.Torrents() != 1+within+1 || told != 0 || s.Unstored.Jailed != 90 {
		t.Errorf("%d torrents, %d records told, %+v", x.tracker.Torrents(), told, s.Unstored)
	}
	a.torrent = func(int) byte { return 1 }
	if out := a.overUDP(w, testStart, 0); len(out) <= wire.UDPAnnounceReplySize {
		t.Errorf("in a torrent that is known it gets %d bytes", len(out))
	}
}

// TestWrongConnectionIDs: beyond a bound an address from which wrong ids come gets few new ones, which come back with time, and nobody is in the jail for it. Ids that were good
// once are no offence, however often they come.
func TestWrongConnectionIDs(t *testing.T) {
	for name, guesser := range map[string]netip.Addr{"IPv4": netip.MustParseAddr("203.0.113.1"), "IPv6": netip.MustParseAddr("2001:db8:2::1")} {
		_, w, jail := watchedServers(t, nil)
		connect := func(now time.Time) bool {
			h := wire.UDPHeader{ConnectionID: wire.ProtocolID, Action: wire.ActionConnect, TransactionID: testTransaction}
			return len(w.handle(now, guesser, h.Append(nil), nil)) > 0
		}
		announce := func(now time.Time, id uint64) {
			h := wire.UDPHeader{ConnectionID: id, Action: wire.ActionAnnounce, TransactionID: testTransaction}
			if w.handle(now, guesser, append(h.Append(nil), new(wire.UDPAnnounce).Append(nil)...), nil) != nil {
				t.Fatalf("%s: the id %x is taken", name, id)
			}
		}
		old := w.ids.make(afterStart, guesser, new(connScratch))
		now := afterStart.Add(3 * connIDPeriod)
		for range 1000 {
			announce(now, old)
		}
		if s := w.abuse.Stats(); s.Failed != 0 {
			t.Errorf("%s: an id of a quarter of an hour ago: %+v", name, s)
		}
		for i := range 10 * uint64(fewAtOnce.Failures.Burst) {
			announce(now, old+1+i)
		}
		given := 0
		for range 100 {
			if connect(now) {
				given++
			}
		}
		if given != int(fewAtOnce.Connects.Burst) || w.tally.refused[refuseConnect].Load() != uint64(100-given) || len(jail.All(now)) != 0 {
			t.Errorf("%s: %d ids are given, %d refused, in the jail are %+v", name, given, w.tally.refused[refuseConnect].Load(), jail.All(now))
		}
		if !connect(now.Add(2 * time.Second)) {
			t.Errorf("%s: it gets none later", name)
		}
	}
}

// TestWasValid: an id that is not good any more is known for six periods more, whenever packets come; those of other addresses, and guessed ones, are not.
func TestWasValid(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 500 {
		var scratch connScratch
		ids := newConnIDs(testStart, nil)
		dense := rng.IntN(2) == 0
		step := func() time.Duration {
			if dense {
				return randDuration(rng, connIDPeriod)
			}
			return randDuration(rng, 3*connIDPeriod)
		}
		made := testStart.Add(step())
		id := ids.make(made, testAddr4, &scratch)
		other := ids.make(made, testAddr4.Next(), &scratch)
		for now := made; now.Before(made.Add(12 * connIDPeriod)); now = now.Add(step()) {
			age := now.Sub(made)
			is := ids.valid(now, testAddr4, id, &scratch) || ids.wasValid(now, testAddr4, id, &scratch)
			if age <= (1+connIDsKnown)*connIDPeriod && !is || dense && age >= (2+connIDsKnown)*connIDPeriod+connIDPeriod && is {
				t.Fatalf("seed %d: an id is known %v after %v", seed, is, age)
			}
			if ids.wasValid(now, testAddr4, other, &scratch) || ids.wasValid(now, testAddr4, rng.Uint64(), &scratch) {
				t.Fatalf("seed %d: another's or a guessed id is known", seed)
			}
		}
	}
}
