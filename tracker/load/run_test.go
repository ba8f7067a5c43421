package load

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"starling/wire"
)

// fakeTracker keeps swarms in a map and answers rightly, unless spoil changes the answer.
type fakeTracker struct {
	mu     sync.Mutex
	swarms map[wire.InfoHash]map[wire.Peer]bool // true: a seeder
	spoil  func(r *wire.AnnounceReply)
}

func (f *fakeTracker) announce(h wire.InfoHash, p wire.Peer, left uint64, stops bool) *wire.AnnounceReply {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.swarms == nil {
		f.swarms = map[wire.InfoHash]map[wire.Peer]bool{}
	}
	if f.swarms[h] == nil {
		f.swarms[h] = map[wire.Peer]bool{}
	}
	f.swarms[h][p] = left == 0
	if stops {
		delete(f.swarms[h], p)
	}
	r := &wire.AnnounceReply{Interval: 1800, Compact: true}
	for other, seeder := range f.swarms[h] {
		if seeder {
			r.Seeders++
		} else {
			r.Leechers++
		}
		if other != p && other.Is4() && len(r.Peers4) < 50*wire.Compact4 {
			r.Peers4 = append(r.Peers4, other.Compact()...)
		} else if other != p && !other.Is4() && len(r.Peers6) < 50*wire.Compact6 {
			r.Peers6 = append(r.Peers6, other.Compact()...)
		}
	}
	if f.spoil != nil {
		f.spoil(r)
	}
	return r
}

func (f *fakeTracker) scrape(h wire.InfoHash) (seeders, leechers uint32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, seeder := range f.swarms[h] {
		if seeder {
			seeders++
		} else {
			leechers++
		}
	}
	return seeders, leechers
}

// ServeHTTP is the tracker's HTTP side.
func (f *fakeTracker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/scrape" {
		hashes, _ := wire.ParseScrape([]byte(r.URL.RawQuery), nil)
		seeders, leechers := f.scrape(hashes[0])
		w.Write(wire.AppendScrape(nil, []wire.ScrapeFile{{InfoHash: hashes[0], Seeders: seeders, Leechers: leechers}}))
		return
	}
	var q wire.Query
	if err := q.Parse([]byte(r.URL.RawQuery)); err != nil {
		w.Write(wire.AppendFailure(nil, err.Error()))
		return
	}
	from := netip.MustParseAddrPort(r.RemoteAddr).Addr()
	w.Write(f.announce(q.InfoHash, wire.PeerFrom(netip.AddrPortFrom(from, q.Port)), q.Left, q.Event == wire.EventStopped).Append(nil))
}

// udp runs the tracker's UDP side; lose says which packets are lost.
func (f *fakeTracker) udp(t *testing.T, address string, lose func(n int) bool) *url.URL {
	conn, err := net.ListenPacket("udp", address)
	if err != nil {
		t.Skip("no UDP socket on ", address, ": ", err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		buf := make([]byte, 4096)
		for n := 0; ; n++ {
			size, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if !lose(n) {
				conn.WriteTo(f.answerUDP(buf[:size], from.(*net.UDPAddr).AddrPort()), from)
			}
		}
	}()
	return &url.URL{Scheme: "udp", Host: conn.LocalAddr().String(), Path: "/announce"}
}

func (f *fakeTracker) answerUDP(b []byte, from netip.AddrPort) []byte {
	h, _ := wire.ParseUDPHeader(b)
	if h.Action == wire.ActionConnect {
		return wire.AppendUDPConnectReply(nil, h.TransactionID, 42)
	}
	if h.Action == wire.ActionScrape {
		seeders, leechers := f.scrape(wire.UDPScrapeHash(b, 0))
		return wire.AppendUDPScrapeEntry(wire.AppendUDPScrapeReply(nil, h.TransactionID), seeders, 0, leechers)
	}
	a, err := wire.ParseUDPAnnounce(b)
	if err != nil || h.ConnectionID != 42 {
		return wire.AppendUDPError(nil, h.TransactionID, "bad announce")
	}
	r := f.announce(a.InfoHash, wire.PeerFrom(netip.AddrPortFrom(from.Addr(), a.Port)), a.Left, a.Event == wire.EventStopped)
	reply := wire.AppendUDPAnnounceReply(nil, h.TransactionID, r.Interval, r.Leechers, r.Seeders)
	return append(append(reply, r.Peers4...), r.Peers6...)
}

func nothing(int) bool { return false }

// long is the timeout of tests in which every answer comes, on however busy a machine.
const long = time.Minute

// soon tries with a short timeout, because the test waits for it, and again with longer ones while something is wrong: on a busy
// machine what comes in time may be late.
func soon(t *testing.T, try func(timeout time.Duration) (wrong string)) {
	t.Helper()
	wrong := ""
	for timeout := 200 * time.Millisecond; timeout < time.Minute; timeout *= 4 {
		if wrong = try(timeout); wrong == "" {
			return
		}
	}
	t.Error(wrong)
}

func serveHTTP(t *testing.T, h http.Handler) *url.URL {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL + "/announce?key=1")
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// atLeast runs for a tenth of a second, or longer until something came of n requests: on a machine that is busy with other tests that time
// may be over before there was one.
func atLeast(n uint64, run func(length time.Duration) (*Report, error)) (r *Report, err error) {
	for length := 100 * time.Millisecond; length < time.Minute; length *= 4 {
		r, err = run(length)
		if err != nil || r.Right+total(r.Wrong)+total(r.Errors) >= n {
			break
		}
	}
	return r, err
}

// shortly runs a small load against the target.
func shortly(t *testing.T, target *url.URL, timeout time.Duration) (*Report, error) {
	return atLeast(40, func(length time.Duration) (*Report, error) {
		return Run(t.Context(), Config{Target: target, Duration: length, Torrents: 3, Peers: 50, InFlight: 20, Timeout: timeout})
	})
}

// patiently runs a small load against a target that answers.
func patiently(t *testing.T, target *url.URL) *Report {
	t.Helper()
	r, err := shortly(t, target, long)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// failsBy runs a small load against a target that never answers rightly, and fails the test unless all goes wrong in the same way.
func failsBy(t *testing.T, target *url.URL, want failure) {
	t.Helper()
	try := func(timeout time.Duration) (wrong string) {
		r, err := shortly(t, target, timeout)
		if err != nil || len(r.Errors) != 1 || r.Errors[0].What != failureNames[want] || r.Right+r.WrongAnswers() != 0 {
			wrong = fmt.Sprintf("want errors of kind %q: %+v, %v", failureNames[want], summary(r), err)
		}
		return wrong
	}
	if want == failTimeout {
		soon(t, try)
	} else if wrong := try(long); wrong != "" {
		t.Error(wrong)
	}
}

func TestARightTracker(t *testing.T) {
	targets := map[string]*url.URL{
		"http": serveHTTP(t, &fakeTracker{}),
		"udp":  new(fakeTracker).udp(t, "127.0.0.1:0", nothing),
	}
	if probe, err := net.Listen("tcp", "[::1]:0"); err == nil {
		probe.Close()
		targets["udp, IPv6"] = new(fakeTracker).udp(t, "[::1]:0", nothing)
	}
	for name, target := range targets {
		r := patiently(t, target)
		if r.Right == 0 || len(r.Wrong) != 0 || len(r.Errors) != 0 || r.Latency.Count() != r.Right || r.Answers() == 0 {
			t.Errorf("%s: %+v", name, summary(r))
		}
	}
}

func TestALossyNetwork(t *testing.T) {
	target := new(fakeTracker).udp(t, "127.0.0.1:0", func(n int) bool { return n%10 == 9 })
	soon(t, func(timeout time.Duration) (wrong string) {
		r, err := shortly(t, target, timeout)
		if err != nil || r.Right == 0 || len(r.Wrong) != 0 || len(r.Errors) != 1 || r.Errors[0].What != failureNames[failTimeout] {
			wrong = fmt.Sprintf("%+v, %v", summary(r), err)
		}
		return wrong
	})
}

func TestAWrongTracker(t *testing.T) {
	stranger := []byte{127, 0, 0, 1, 0, 80}
	for want, spoil := range map[wrongness]func(*wire.AnnounceReply){
		wrongStranger: func(r *wire.AnnounceReply) { r.Peers4 = stranger },
		wrongTwice: func(r *wire.AnnounceReply) {
			if len(r.Peers4) > 0 {
				r.Peers4 = append(slices.Clip(r.Peers4[:6]), r.Peers4[:6]...)
			}
		},
		wrongNumber:   func(r *wire.AnnounceReply) { r.Peers4 = make([]byte, 51*6) },
		wrongSeeders:  func(r *wire.AnnounceReply) { r.Seeders = 1000 },
		wrongLeechers: func(r *wire.AnnounceReply) { r.Leechers = 1000 },
		wrongInterval: func(r *wire.AnnounceReply) { r.Interval = 0 },
	} {
		for _, target := range []*url.URL{
			serveHTTP(t, &fakeTracker{spoil: spoil}),
			(&fakeTracker{spoil: spoil}).udp(t, "127.0.0.1:0", nothing),
		} {
			r := patiently(t, target)
			if len(r.Wrong) != 1 || r.Wrong[0].What != wrongNames[want] || len(r.Errors) != 0 {
				t.Errorf("%s, want wrong answers for %s: %+v", target.Scheme, wrongNames[want], summary(r))
			}
		}
	}
}

func TestHTTPErrorsByKind(t *testing.T) {
	for want, handler := range map[failure]http.HandlerFunc{
		failRefused: func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "d14:failure reason4:busye") },
		failStatus: func(w http.ResponseWriter, _ *http.Request) {
			http.Redirect(w, &http.Request{}, "http://192.0.2.1/", http.StatusFound)
		},
		failMalformed: func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "garbage") },
		failClosed:    func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		failTimeout:   func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	} {
		failsBy(t, serveHTTP(t, handler), want)
	}
}

// A response without a length, from a tracker that closes each connection, is an answer all the same.
func TestHTTPWithoutKeepAlive(t *testing.T) {
	tracker := &fakeTracker{}
	r := patiently(t, serveHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		rec := httptest.NewRecorder()
		tracker.ServeHTTP(rec, r)
		io.WriteString(conn, "HTTP/1.0 200 OK\r\n\r\n"+rec.Body.String())
	})))
	if r.Right == 0 || len(r.Wrong) != 0 || len(r.Errors) != 0 {
		t.Errorf("%+v", summary(r))
	}
}

// answerUDP runs a tracker that answers each packet as told, nil: not at all.
func answerUDP(t *testing.T, answer func(wire.UDPHeader) []byte) *url.URL {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		buf := make([]byte, 4096)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			h, _ := wire.ParseUDPHeader(buf[:n])
			if reply := answer(h); reply != nil {
				conn.WriteTo(reply, from)
			}
		}
	}()
	return &url.URL{Scheme: "udp", Host: conn.LocalAddr().String(), Path: "/announce"}
}

func TestUDPErrorsByKind(t *testing.T) {
	for want, answer := range map[failure]func(transaction uint32) []byte{
		failRefused:   func(id uint32) []byte { return wire.AppendUDPError(nil, id, "busy") },
		failMalformed: func(id uint32) []byte { return append(wire.AppendUDPAnnounceReply(nil, id, 1, 1, 1), 1) },
		failTimeout:   func(id uint32) []byte { return wire.AppendUDPError(nil, id^0xffff0000, "not yours") },
	} {
		target := answerUDP(t, func(h wire.UDPHeader) []byte {
			if h.Action == wire.ActionConnect {
				return wire.AppendUDPConnectReply(nil, h.TransactionID, 1)
			}
			return answer(h.TransactionID)
		})
		failsBy(t, target, want)
	}
}

func TestWhatRunRefuses(t *testing.T) {
	here := &url.URL{Scheme: "http", Host: "127.0.0.1:1", Path: "/announce"}
	for name, cfg := range map[string]Config{
		"no target":      {},
		"https":          {Target: &url.URL{Scheme: "https", Host: "127.0.0.1:1"}},
		"no port":        {Target: &url.URL{Scheme: "http", Host: "127.0.0.1"}},
		"no host":        {Target: &url.URL{Scheme: "udp", Host: ":6969"}},
		"torrents":       {Target: here, Torrents: -1},
		"peers":          {Target: here, Peers: -1},
		"a big torrent":  {Target: here, Torrents: 1, Peers: portsPer + 1},
		"skew":           {Target: here, Skew: 4},
		"rate":           {Target: here, Rate: -1},
		"sources":        {Target: here, Sources: maxSources + 1, InFlight: maxInFlight},
		"few in flight":  {Target: here, Sources: 9, InFlight: 8},
		"fresh over UDP": {Target: &url.URL{Scheme: "udp", Host: "127.0.0.1:1"}, Fresh: true},
		"no process":     {Target: here, PID: 1 << 30},
		"in flight":      {Target: here, InFlight: maxInFlight + 1},
		"duration":       {Target: here, Duration: -1},
		"nobody listens": {Target: here},
	} {
		if r, err := Run(t.Context(), cfg); err == nil {
			t.Errorf("%s: %+v, want an error", name, summary(r))
		}
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	target := serveHTTP(t, &fakeTracker{spoil: func(*wire.AnnounceReply) { cancel() }})
	r, err := Run(ctx, Config{Target: target, Duration: time.Hour})
	if err != nil || r.Right == 0 || r.Elapsed > time.Minute {
		t.Errorf("%+v, %v", summary(r), err)
	}
}

// summary is a report without its histogram.
func summary(r *Report) any {
	if r == nil {
		return nil
	}
	return struct {
		right         uint64
		wrong, errors []Count
	}{r.Right, r.Wrong, r.Errors}
}
