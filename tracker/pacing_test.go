package tracker

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"starling/tracker/pacer"
	"starling/wire"
)

// newPacing returns pacing that the test ticks.
func newPacing(t testing.TB, cfg PacingConfig, now time.Time) *Pacing {
	t.Helper()
	p, err := NewPacing(cfg, now)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// paced returns an exchange and a UDP worker of servers that share pacing.
func paced(t testing.TB, cfg PacingConfig) (*exchange, *udpWorker, *Pacing) {
	p := newPacing(t, cfg, testStart)
	x := testHTTP(testConfig)
	x.pacing = p
	x.toll.waiter = pacer.NewWaiter()
	w := testUDP(testConfig)
	w.pacing, w.UDP.tracker = p, x.tracker
	return x, w, p
}

// clientAt returns the address of a client of the tests.
func clientAt(n int) netip.Addr { return netip.AddrFrom4([4]byte{203, 0, byte(n >> 8), byte(n)}) }

// TestResponseHeadSize: what an answer costs is what it has.
func TestResponseHeadSize(t *testing.T) {
	for _, length := range []int{0, 9, 10, 99, 100, 999, 1000, 65535} {
		for _, h := range []responseHead{
			{status: 200}, {status: 404, close: true}, {status: 200, http10: true}, {status: 302, location: []byte("http://x/announce")}, {status: 302},
		} {
			if got, want := h.size(length), len(h.append(nil, length)); got != want {
				t.Errorf("%+v with a body of %d: %d, want %d", h, length, got, want)
			}
		}
	}
}

// TestShorten: a shorter list has peers of the longer one, each once, in its order, from all over it, and no more than asked for.
func TestShorten(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		four, six, n := rng.IntN(60), rng.IntN(60), rng.IntN(130)
		var a Answer
		for i := range four {
			a.Peers4 = append(a.Peers4, 0, 0, 0, 0, 0, byte(i))
		}
		for i := range six {
			a.Peers6 = append(a.Peers6, make([]byte, 17)...)
			a.Peers6 = append(a.Peers6, byte(i))
		}
		a.shorten(n)
		if got, want := len(a.Peers4)/6+len(a.Peers6)/18, min(n, four+six); got != want {
			t.Fatalf("%d and %d cut to %d: %d", four, six, n, got)
		}
		for _, list := range []struct {
			peers     []byte
			size, all int
		}{{a.Peers4, 6, four}, {a.Peers6, 18, six}} {
			last, kept := -1, len(list.peers)/list.size
			for i := range kept {
				id := int(list.peers[(i+1)*list.size-1])
				if id <= last || id != i*list.all/kept {
					t.Fatalf("place %d of %d has number %d of %d", i, kept, id, list.all)
				}
				last = id
			}
		}
	}
}

// TestPacedUDP: with no time for new tokens answers get shorter and then bare, none is missing, each is stored, and what was
// sent in the end is the burst and what cannot be refused.
func TestPacedUDP(t *testing.T) {
	const rate = 100_000
	_, w, p := paced(t, PacingConfig{Rate: rate})
	fill(w.tracker, hashOf(1), 300, false, false)
	var whole, short, bare, sent int
	for i := range 200 {
		from := clientAt(i)
		reply := w.handle(testStart, from, w.announceRequest(from, wire.UDPAnnounce{InfoHash: hashOf(1), NumWant: -1, Port: 1, Left: 1}), nil)
		w.paceRest(len(reply))
		switch peers := (len(reply) - wire.UDPAnnounceReplySize) / wire.Compact4; {
		case len(reply) < wire.UDPAnnounceReplySize:
			t.Fatalf("request %d: answer %x", i, reply)
		case peers == 50:
			whole++
		case peers > 0:
			short++
		default:
			bare++
		}
		sent += len(reply)
	}
	if c, _ := w.tracker.Scrape(hashOf(1)); c.Leechers != 500 {
		t.Errorf("%d of 500 are stored", c.Leechers)
	}
	if whole == 0 || short == 0 || bare < 150 {
		t.Errorf("%d whole, %d short, %d bare", whole, short, bare)
	}
	if most := rate/50 + 1 + bare*wire.UDPAnnounceReplySize; sent > most {
		t.Errorf("%d bytes, want at most %d", sent, most)
	}
	s := p.Stats(testStart)
	if s.Steps["serve"] != uint64(whole) || s.Steps["short"] != uint64(short) || s.Steps["bare"] != uint64(bare) {
		t.Errorf("%d whole, %d short, %d bare, and counted are %v", whole, short, bare, s.Steps)
	}
	if got := s.Bytes[0].Spent; got != int64(sent) {
		t.Errorf("%d bytes are charged, %d were sent", got, sent)
	}
}

// TestPacedUDPRequests: an announce rate refuses requests, not bytes: those beyond it get a bare answer and a booked interval.
func TestPacedUDPRequests(t *testing.T) {
	_, w, p := paced(t, PacingConfig{AnnounceRate: 1000})
	fill(w.tracker, hashOf(1), 300, false, false)
	bare := 0
	for i := range 200 {
		from := clientAt(i)
		reply := w.ask(t, from, w.announceRequest(from, wire.UDPAnnounce{InfoHash: hashOf(1), NumWant: -1, Port: 1, Left: 1}))
		if len(reply.Body) == 0 {
			bare++
		}
		if reply.Interval < uint32(testConfig.Interval/time.Second) {
			t.Fatalf("interval %d", reply.Interval)
		}
	}
	if bare < 150 || bare > 195 {
		t.Errorf("%d of 200 are bare", bare)
	}
	booked, room := p.requests.calendar.Load(testStart.Add(testConfig.Interval))
	if booked == 0 || booked > room {
		t.Errorf("%d booked, room for %d", booked, room)
	}
}

// tooLate waits until a request waits, and lets it wait too long.
func tooLate(p *Pacing) {
	for !p.requests.gate.Waiting() {
		runtime.Gosched()
	}
	p.requests.gate.Tick(testStart.Add(3 * time.Second))
}

// TestPacedSteps: an HTTP request that finds nothing is sent on, fails or gets a bare answer, as the ladder says, and is stored.
func TestPacedSteps(t *testing.T) {
	redirect := func(_ time.Time, dst, path, query []byte) ([]byte, bool) {
		if bytes.Contains(query, []byte("moved=1")) {
			return nil, false
		}
		dst = append(append(append(append(dst, "http://other:1"...), path...), '?'), query...)
		return append(dst, "&moved=1"...), true
	}
	jail := pacer.WanClasses()
	jail[4].Match = []pacer.Match{{ClientIDs: []string{"-BAD"}}}
	jail = append([]pacer.Class{jail[4]}, jail[:4]...)
	for _, c := range []struct {
		name   string
		cfg    PacingConfig
		target string
		status int
		want   string
	}{
		{"sibling", PacingConfig{Redirect: redirect}, announceTarget(1, "compact", "1"), 302, "another node"},
		{"sent on already", PacingConfig{Redirect: redirect}, announceTarget(1, "moved", "1", "compact", "1"), 200, "5:peers0:"},
		{"no sibling", PacingConfig{}, announceTarget(1, "compact", "1"), 200, "5:peers0:"},
		{"jail", PacingConfig{Classes: jail, Redirect: redirect}, announceTarget(1, "peer_id", "-BAD0000000000000000"), 200, "8:retry ini"},
		{"scrape", PacingConfig{}, "/scrape?info_hash=%01" + strings.Repeat("%00", 19), 200, "14:failure reason"},
	} {
		c.cfg.AnnounceRate = 100
		x, _, p := paced(t, c.cfg)
		fill(x.tracker, wire.InfoHash{1}, 300, false, false)
		for class := range p.classes.Load().waits {
			for p.requests.gate.Try(testStart, 0, class, 1) {
			}
		}
		go tooLate(p)
		r, body := x.ask(t, testAddr4, get(c.target))
		if r.StatusCode != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s: %d %q", c.name, r.StatusCode, body)
		}
		if c.status == 302 && r.Header.Get("Location") != "http://other:1"+c.target+"&moved=1" {
			t.Errorf("%s: Location %q", c.name, r.Header.Get("Location"))
		}
		if n := x.tracker.Stats().Peers4; c.target[1] == 'a' && n != 301 {
			t.Errorf("%s: %d peers are stored", c.name, n)
		}
	}
}

// TestPacedShortAfterWait: an answer that waited for more than a quarter of its deadline has fewer peers, and gives back what those would have cost.
func TestPacedShortAfterWait(t *testing.T) {
	x, _, p := paced(t, PacingConfig{Rate: 1 << 30})
	fill(x.tracker, wire.InfoHash{1}, 300, false, false)
	k := p.classes.Load()
	for _, c := range []struct {
		waited time.Duration
		peers  int
	}{{0, 50}, {400 * time.Millisecond, 50}, {600 * time.Millisecond, 25}, {1100 * time.Millisecond, 10}, {1600 * time.Millisecond, 0}} {
		r, _, err := wire.ParseRequest([]byte(get(announceTarget(1, "compact", "1"))))
		if err != nil {
			t.Fatal(err)
		}
		x.body = x.body[:0]
		x.handleAnnounce(testStart, testAddr4, &r)
		x.answer.Peers4 = make([]byte, 50*wire.Compact4)
		h := responseHead{status: 200}
		tl := &x.toll
		tl.request.Path = r.Path
		p.enter(tl)
		tl.peers, tl.bytes, tl.paid, tl.waited = 50, 1000, 1000, c.waited
		step := x.lessThanAll(testStart, k, &r, &h)
		if got := len(x.answer.Peers4) / wire.Compact4; got != c.peers || (step == pacer.Short) != (c.peers < 50) {
			t.Errorf("after %v: step %v, %d peers, want %d", c.waited, step, got, c.peers)
		}
	}
}

// TestPacedTimeJumps: an hour in one step gives a burst and no more, and time that runs backwards gives nothing.
func TestPacedTimeJumps(t *testing.T) {
	const rate = 1000
	_, _, p := paced(t, PacingConfig{AnnounceRate: rate, Rate: 100_000})
	drain := func(now time.Time) (n int) {
		p.tick(now)
		for p.requests.gate.Try(now, 0, 1, perRequest) {
			n++
		}
		return n
	}
	full := drain(testStart)
	if full == 0 || full > rate/50+2 {
		t.Errorf("%d at the start", full)
	}
	if n := drain(testStart.Add(time.Hour)); n > rate/50+2 {
		t.Errorf("%d after an hour in one step", n)
	}
	for _, back := range []time.Duration{time.Nanosecond, 500 * time.Millisecond, time.Minute, 2 * time.Hour} {
		if n := drain(testStart.Add(time.Hour - back)); n > 0 {
			t.Errorf("%d after a step back by %v", n, back)
		}
	}
}

// TestPacingConfig: what is wrong is refused by name, at the start and later, and then changes nothing.
func TestPacingConfig(t *testing.T) {
	list := pacer.WanClasses()
	wrong := pacer.WanClasses()
	wrong[0].Rate = pacer.Percent(90)
	unmatched := pacer.WanClasses()
	unmatched[2].Match = nil
	for _, c := range []struct {
		cfg  PacingConfig
		want string
	}{
		{PacingConfig{Rate: -1}, "-1"},
		{PacingConfig{AnnounceRate: -5}, "-5"},
		{PacingConfig{Rate: 1000, Classes: wrong}, "sum up to"},
		{PacingConfig{Classes: wrong}, "sum up to"},
		{PacingConfig{AnnounceRate: 1000, Classes: unmatched}, "scrape"},
	} {
		if _, err := NewPacing(c.cfg, testStart); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c.cfg, err)
		}
	}
	_, _, p := paced(t, PacingConfig{AnnounceRate: 1000, Rate: 1000, Classes: list})
	before := fmt.Sprint(p.Stats(testStart))
	for _, bad := range [][]pacer.Class{wrong, unmatched, list[:4], append(list[1:5:5], list[0])} {
		if err := p.SetClasses(testStart, bad); err == nil {
			t.Errorf("%v was taken", bad)
		}
	}
	if after := fmt.Sprint(p.Stats(testStart)); after != before {
		t.Errorf("wrong classes changed\n%s to\n%s", before, after)
	}
	list = pacer.WanClasses()
	list[1].Rate, list[1].Scheduler, list[1].Wait = pacer.Percent(20), pacer.LIFO, time.Second
	if err := p.SetClasses(testStart, list); err != nil {
		t.Fatal(err)
	}
	s := p.Stats(testStart)
	if s.Requests[2].Rate != 200 || s.Bytes[2].Rate != 200 || s.Requests[2].Schedule != pacer.LIFO || p.classes.Load().waits[1] != time.Second {
		t.Errorf("new classes: %+v", s.Requests[2])
	}
}

// TestPacedAllocations: what is admitted is answered without an allocation.
func TestPacedAllocations(t *testing.T) {
	x, w, _ := paced(t, PacingConfig{Rate: 1 << 40, AnnounceRate: 1 << 30})
	fill(x.tracker, wire.InfoHash{1}, 300, false, false)
	for _, target := range []string{announceTarget(1, "compact", "1"), "/scrape?info_hash=%01" + strings.Repeat("%00", 19), "/none"} {
		request, out := []byte(get(target)), make([]byte, 0, 4096)
		if n := testing.AllocsPerRun(100, func() { x.handle(testStart, testAddr4, request, out) }); n != 0 {
			t.Errorf("%s: %v allocations", target, n)
		}
	}
	packet := w.announceRequest(testAddr4, wire.UDPAnnounce{InfoHash: hashOf(1), NumWant: -1, Port: 1})
	out := make([]byte, 0, wire.MaxUDPReply)
	if n := testing.AllocsPerRun(100, func() { w.paceRest(len(w.handle(testStart, testAddr4, packet, out))) }); n != 0 {
		t.Errorf("UDP: %v allocations", n)
	}
}
