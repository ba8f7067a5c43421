package sibling

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"starling/tracker/pacer"
)

func TestParse(t *testing.T) {
	for s, want := range map[string]Sibling{
		"http://b:1=http://b:2":                                    {"http://b:1", "http://b:2/healthz"},
		"http://b:1/=http://b:2/":                                  {"http://b:1", "http://b:2/healthz"},
		"http://b:1/announce=http://b:2/healthz":                   {"http://b:1", "http://b:2/healthz"},
		"https://b/t%20x/announce=https://b/up?a=b":                {"https://b/t%20x", "https://b/up?a=b"},
		"http://[fd00::1]:6969/announce=http://10.0.0.2:6970/ping": {"http://[fd00::1]:6969", "http://10.0.0.2:6970/ping"},
	} {
		if got, err := Parse(s); err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", s, got, err, want)
		}
	}
	for s, word := range map[string]string{
		"":                                   "URL=HEALTHZ-URL",
		"http://b:1":                         "URL=HEALTHZ-URL",
		"http://b:1/announce?x=http://b:2":   "query",
		"http://b:1/announce?=http://b:2":    "query",
		"http://b:1/tracker=http://b:2":      "/announce",
		"udp://b:1=http://b:2":               "http://",
		"http://=http://b:2":                 "host",
		"http://b:1=b:2":                     "host",
		"http://b:1#x=http://b:2":            "fragment",
		"http://b:1\r\nX: y=http://b:2":      "characters",
		"http://ä.example=http://b:2":        "characters",
		"http://b:1=http://name:word@b:2":    "password",
		"http://name@b:1/announce=http://b2": "password",
	} {
		_, err := Parse(s)
		if err == nil || !strings.Contains(err.Error(), word) || strings.Contains(err.Error(), "word@") {
			t.Errorf("%s: got %v, want an error with %q", s, err, word)
		}
	}
}

// web is a network without sockets: what each host answers to a probe.
type web struct {
	mu     sync.Mutex
	answer map[string]func() (*http.Response, error) // by host; none: no answer
	probes map[string]int
}

func (w *web) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	w.probes[r.URL.Host]++
	answer := w.answer[r.URL.Host]
	w.mu.Unlock()
	if answer == nil {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	addr := &net.TCPAddr{IP: net.ParseIP(r.URL.Hostname()), Port: 1}
	httptrace.ContextClientTrace(r.Context()).GotConn(httptrace.GotConnInfo{Conn: fakeConn{addr: addr}})
	return answer()
}

func (w *web) set(host string, answer func() (*http.Response, error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer[host] = answer
}

func (w *web) probesOf(host string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.probes[host]
}

type fakeConn struct {
	net.Conn
	addr net.Addr
}

func (c fakeConn) RemoteAddr() net.Addr { return c.addr }

// says returns an answer with a status, and headers in turn.
func says(status int, headers ...string) func() (*http.Response, error) {
	return func() (*http.Response, error) {
		h := make(http.Header)
		for i := 0; i < len(headers); i += 2 {
			h.Set(headers[i], headers[i+1])
		}
		return &http.Response{StatusCode: status, Status: http.StatusText(status), Header: h, Body: io.NopCloser(strings.NewReader("ok\n"))}, nil
	}
}

// running starts a set with two siblings on a fake clock, 10.0.0.2 and 10.0.0.3.
func running(t *testing.T, mode pacer.HealthMode) (*Set, *web) {
	w := &web{answer: make(map[string]func() (*http.Response, error)), probes: make(map[string]int)}
	cfg := Config{
		Siblings: []Sibling{{"http://10.0.0.2:6969", "http://10.0.0.2/healthz"}, {"http://10.0.0.3:6969", "http://10.0.0.3/healthz"}},
		Mode:     mode, Silent: 3 * time.Minute, Idle: time.Minute, Probe: 5 * time.Second,
		Log: zerolog.New(zerolog.NewTestWriter(t)), Transport: w,
	}
	s := New(cfg, time.Now())
	ctx, cancel := context.WithCancel(t.Context())
	var run sync.WaitGroup
	run.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); run.Wait() })
	return s, w
}

func pass(d time.Duration) { <-time.After(d); synctest.Wait() }

var path, query = []byte("/announce"), []byte("info_hash=%00x&port=6881")

// send returns the address of the sibling that a client is sent to, empty when it is not.
func send(s *Set) string {
	location, ok := s.Redirect(time.Now(), nil, path, query)
	if !ok {
		return ""
	}
	return strings.TrimSuffix(strings.TrimPrefix(string(location), "http://"), ":6969/announce?"+string(query)+"&"+Marker+"=1")
}

// TestOnlyHealthyOnesWithRoom goes through what a sibling may be, and holds that clients take turns among those that are
// up and have room, and no others.
func TestOnlyHealthyOnesWithRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, w := running(t, pacer.Paranoid)
		want := func(what, a, b string) {
			t.Helper()
			got := map[string]bool{send(s): true, send(s): true}
			if len(got) != len(map[string]bool{a: true, b: true}) || !got[a] || !got[b] {
				t.Errorf("%s: clients are sent to %v, want %q and %q", what, got, a, b)
			}
		}
		const b, c = "10.0.0.2", "10.0.0.3"
		want("nothing is known", "", "")
		w.set(b, says(200))
		pass(8 * time.Second)
		want("one answers", b, b)
		w.set(c, says(200))
		pass(15 * time.Second)
		want("both do", b, c)
		w.set(b, says(200, RoomHeader, NoRoom))
		pass(6 * time.Second)
		want("one is full", c, c)
		w.set(b, says(200))
		pass(6 * time.Second)
		want("it is not any more", b, c)
		w.set(c, says(503))
		pass(12 * time.Second)
		want("the other drains", b, b)
		w.set(c, says(302, "Location", "http://10.0.0.2/healthz"))
		pass(30 * time.Second)
		want("it redirects its probes", b, b)
		w.set(c, says(200))
		w.set(b, nil)
		pass(20 * time.Second)
		want("one is silent", c, c)
		w.set(b, func() (*http.Response, error) { return nil, errors.New("connection refused") })
		w.set(c, nil)
		pass(20 * time.Second)
		want("all are down", "", "")
		stats := s.Stats(time.Now())
		if stats[0].Trouble != "connection refused" || stats[0].Chosen+stats[1].Chosen != 14 {
			t.Errorf("stats %+v", stats)
		}
	})
}

// TestModes: which mode probes a sibling whose packets are heard all the time, now and then, and no more.
func TestModes(t *testing.T) {
	for mode, want := range map[pacer.HealthMode][3]bool{
		pacer.Lazy: {false, false, true}, pacer.Opportunistic: {false, true, true}, pacer.Paranoid: {true, true, true},
	} {
		t.Run(mode.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, w := running(t, mode)
				const b = "10.0.0.2"
				addr := netip.MustParseAddr(b)
				w.set(b, says(200))
				pass(3 * time.Minute) // its address is known from now on
				for i, every := range []time.Duration{time.Second, 2 * time.Minute, 10 * time.Minute} {
					s.Heard(time.Now(), addr)
					pass(6 * time.Second)
					before := w.probesOf(b)
					for range 3 {
						for d := time.Duration(0); d < every; d += every {
							s.Heard(time.Now(), addr)
							pass(every)
						}
					}
					if every == time.Second { // longer than between two probes
						for range 10 {
							s.Heard(time.Now(), addr)
							pass(every)
						}
					}
					if got := w.probesOf(b) > before; got != want[i] {
						t.Errorf("heard every %s: probed %t, want %t", every, got, want[i])
					}
				}
				if up, known := s.Look(time.Now(), addr); !up || !known {
					t.Errorf("up %t, known %t", up, known)
				}
				if _, known := s.Look(time.Now(), netip.MustParseAddr("10.0.0.9")); known {
					t.Error("an address that is none of a sibling is known")
				}
			})
		})
	}
}

// TestNeverALoop: whatever a client was sent with, it is sent on once, and what is written into a header is one line.
func TestNeverALoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, w := running(t, pacer.Paranoid)
		w.set("10.0.0.2", says(200))
		pass(time.Minute)
		for _, q := range []string{"", "a=b", "info_hash=%26&x", "starling-redirecte=1"} {
			location, ok := s.Redirect(time.Now(), []byte("Location: "), []byte("/scrape"), []byte(q))
			if !ok || !strings.HasPrefix(string(location), "Location: http://10.0.0.2:6969/scrape?"+q) {
				t.Fatalf("query %q: got %q", q, location)
			}
			_, again, _ := strings.Cut(string(location), "?")
			if location, ok := s.Redirect(time.Now(), nil, path, []byte(again)); ok {
				t.Errorf("sent on twice, to %s", location)
			}
		}
		for _, q := range []string{"a=b\r\nSet-Cookie: x", "a b", "\x00", "a=\x7f", "a=\xff", "a=#b", "#", strings.Repeat("x", maxLocation)} {
			if location, ok := s.Redirect(time.Now(), nil, path, []byte(q)); ok {
				t.Errorf("query %.20q: sent to %.80q", q, location)
			}
		}
	})
}

// TestProbeOverTCP probes real servers: the address of one that answers is learned, none is followed, and a silent one
// does not hold the end up.
func TestProbeOverTCP(t *testing.T) {
	followed := false
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, "/followed", http.StatusFound)
		case "/followed":
			followed = true
		case "/full":
			w.Header().Set(RoomHeader, NoRoom)
		}
	}))
	defer up.Close()
	s := New(Config{}, time.Now())
	ctx, cancel := context.WithCancel(t.Context())
	loopback := netip.MustParseAddr("127.0.0.1")
	for path, want := range map[string]result{
		"/healthz": {room: true, addr: loopback},
		"/full":    {addr: loopback},
		"/away":    {room: true, addr: loopback, trouble: "it answers 302 Found"},
	} {
		if got := s.probe(ctx, up.URL+path); got != want {
			t.Errorf("%s: got %+v, want %+v", path, got, want)
		}
	}
	if followed {
		t.Error("a redirect was followed")
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	cancel()
	if got := s.probe(ctx, "http://"+silent.Addr().String()); !got.ended {
		t.Errorf("after the end: %+v", got)
	}
}

// TestProbeGarbage: whatever a sibling sends instead of an answer is trouble, is heard of within the bounds of a probe, and can be shown on a
// terminal.
func TestProbeGarbage(t *testing.T) {
	for name, say := range map[string]string{
		"nothing":      "",
		"no HTTP":      "\x1b[2Jhello\r\n\r\n",
		"escapes":      "HTTP/1.1 500 \x1b[31mred\x07\r\nContent-Length: 0\r\n\r\n",
		"bad header":   "HTTP/1.1 200 OK\r\n\x1b[2J\r\n\r\n",
		"no status":    "HTTP/1.1 999999 OK\r\n\r\n",
		"endless head": "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: "+strings.Repeat("y", 1000)+"\r\n", 1000),
		"an error":     "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 100\r\n\r\nonly some",
	} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				c.Read(make([]byte, 4096))
				io.WriteString(c, say)
				c.Close()
			}
		}()
		got := New(Config{}, time.Now()).probe(t.Context(), "http://"+ln.Addr().String())
		ln.Close()
		if got.trouble == "" || got.ended || len(got.trouble) > maxTrouble || strings.ContainsFunc(got.trouble, unsafeToShow) {
			t.Errorf("%s: %+q", name, got.trouble)
		}
	}
}

// unsafeToShow reports whether a character does something to a terminal.
func unsafeToShow(r rune) bool { return r < ' ' || r > '~' }

// FuzzParse: whatever is taken can stand in a header, is on one line, and is what clients and probes can ask.
func FuzzParse(f *testing.F) {
	f.Add("http://10.0.0.2:6969/announce=http://10.0.0.2:6970/healthz")
	f.Add("https://[fd00::1]/a%20b/announce/=https://example.org?x=y")
	f.Fuzz(func(t *testing.T, s string) {
		b, err := Parse(s)
		if err != nil {
			return
		}
		for _, u := range []string{b.Base + "/announce", b.Health} {
			if _, err := url.ParseRequestURI(u); err != nil || strings.ContainsFunc(u, unsafeInHeader) {
				t.Errorf("%q gives %q, %v", s, u, err)
			}
		}
	})
}
