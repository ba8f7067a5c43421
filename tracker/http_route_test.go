package tracker

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"starling/wire"
)

// routed returns an exchange of a server with a second tracker, for the host "other".
func routed() (x *exchange, other *Tracker) {
	x, other = testHTTP(testConfig), New(testConfig, testStart)
	x.route = func(host []byte) *Tracker {
		if string(host) == "other" {
			return other
		}
		return nil
	}
	return x, other
}

// Host decides whose swarms an announce changes and a scrape counts; that of an
// absolute target beats that of the header.
func TestHTTPRoute(t *testing.T) {
	x, other := routed()
	own := x.tracker
	toOther := func(target string) string { return strings.Replace(get(target), "Host: tracker", "Host: other", 1) }
	scrape := "/scrape?info_hash=" + "%01" + strings.Repeat("%00", 19)
	for i, c := range []struct {
		request   string
		own, here uint32
	}{
		{get(announceTarget(1, "port", "1")), 1, 0},
		{toOther(announceTarget(1, "port", "1")), 1, 1},
		{toOther(announceTarget(1, "port", "2")), 1, 2},
		{get("http://other" + announceTarget(1, "port", "3")), 1, 3},
		{toOther("http://tracker" + announceTarget(1, "port", "4")), 2, 3},
	} {
		if r, body := x.ask(t, testAddr4, c.request); r.StatusCode != 200 || strings.Contains(body, "failure") {
			t.Fatalf("%q: %d %q", c.request, r.StatusCode, body)
		}
		a, _ := own.Scrape(wire.InfoHash{1})
		b, _ := other.Scrape(wire.InfoHash{1})
		if a.Leechers != c.own || b.Leechers != c.here {
			t.Errorf("after request %d: %d leechers here and %d there, want %d and %d", i, a.Leechers, b.Leechers, c.own, c.here)
		}
	}
	for request, want := range map[string]uint32{get(scrape): 2, toOther(scrape): 3} {
		if _, body := x.ask(t, testAddr4, request); !strings.Contains(body, fmt.Sprintf("10:incompletei%de", want)) {
			t.Errorf("%q: %q, want %d", request, body, want)
		}
	}
}

// A request for another tracker is answered without an allocation, too.
func TestHTTPRouteAllocs(t *testing.T) {
	x, other := routed()
	fill(other, wire.InfoHash{1}, 100, true, false)
	in := []byte(strings.Replace(get(announceTarget(1)), "Host: tracker", "Host: other", 1))
	out := make([]byte, 0, 64<<10)
	if n := testing.AllocsPerRun(100, func() { x.handle(testStart, testAddr4, in, out) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A redirect names another host and so would lead from the tracker that Host
// chose to the sibling's own: only clients of the server's own tracker are sent on.
func TestHTTPRouteIsNotRedirected(t *testing.T) {
	redirect := func(_ time.Time, dst, _, _ []byte) ([]byte, bool) {
		return append(dst, "http://sibling/announce"...), true
	}
	x, _, p := paced(t, PacingConfig{AnnounceRate: 100, Redirect: redirect})
	other := New(testConfig, testStart)
	x.route = func(host []byte) *Tracker {
		if string(host) == "other" {
			return other
		}
		return nil
	}
	for host, want := range map[string]int{"tracker": 302, "other": 200} {
		for class := range p.classes.Load().waits {
			for p.requests.gate.Try(testStart, 0, class, 1) {
			}
		}
		go tooLate(p)
		request := strings.Replace(get(announceTarget(1)), "Host: tracker", "Host: "+host, 1)
		if r, body := x.ask(t, testAddr4, request); r.StatusCode != want || want == 200 && strings.Contains(body, "failure") {
			t.Errorf("%s: %d %q, want %d", host, r.StatusCode, body, want)
		}
	}
}
