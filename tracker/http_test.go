package tracker

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/anacrolix/torrent/bencode"

	"starling/wire"
)

// testHTTP returns an exchange of a server that trusts the proxies of [testSources].
func testHTTP(cfg Config) *exchange {
	s := NewHTTP(New(cfg, testStart), HTTPConfig{TrustedProxies: testSources().proxies})
	x := s.exchanges.New().(*exchange)
	x.tally, x.ending = &s.tallies[0], new(atomic.Bool)
	return x
}

// get returns a request for a target, with more header lines, each with its CR LF.
func get(target string, header ...string) string {
	return "GET " + target + " HTTP/1.1\r\nHost: tracker\r\n" + strings.Join(header, "") + "\r\n"
}

// announceTarget returns the target of an announce for the torrent that begins with n, as
// parameters in pairs change it; an empty value takes one away.
func announceTarget(n byte, pairs ...string) string {
	v := url.Values{"info_hash": {string(append([]byte{n}, make([]byte, 19)...))}, "port": {"6881"}, "left": {"1"}}
	for i := 0; i < len(pairs); i += 2 {
		if v.Set(pairs[i], pairs[i+1]); pairs[i+1] == "" {
			v.Del(pairs[i])
		}
	}
	return "/announce?" + v.Encode()
}

// ask hands over one request and returns its answer as net/http understands it.
func (x *exchange) ask(t *testing.T, from netip.Addr, request string) (*http.Response, string) {
	t.Helper()
	out, n, last := x.handle(testStart, from, []byte(request), nil)
	if n != len(request) && !last {
		t.Fatalf("%q: took %d of %d bytes", request, n, len(request))
	}
	method, _, _ := strings.Cut(request, " ")
	r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(out)), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	if r.Close != last {
		t.Errorf("%q: the answer says close %v, the connection does %v", request, r.Close, last)
	}
	if r.Header.Get("Content-Type") != "text/plain" {
		t.Errorf("%q: header %v", request, r.Header)
	}
	return r, string(body)
}

// announceAnswer is an answer as a client decodes it.
type announceAnswer struct {
	Complete    int    `bencode:"complete"`
	Incomplete  int    `bencode:"incomplete"`
	Downloaded  int    `bencode:"downloaded"`
	Interval    int    `bencode:"interval"`
	MinInterval int    `bencode:"min interval"`
	ExternalIP  string `bencode:"external ip"`
	Peers       any    `bencode:"peers"`
	Peers6      string `bencode:"peers6"`
	Failure     string `bencode:"failure reason"`
}

// announceOK asks for a target and returns the answer, whatever it says.
func (x *exchange) announceOK(t *testing.T, from netip.Addr, target string, header ...string) (a announceAnswer) {
	t.Helper()
	r, body := x.ask(t, from, get(target, header...))
	if r.StatusCode != 200 {
		t.Errorf("%s: status %d", target, r.StatusCode)
	}
	if err := bencode.Unmarshal([]byte(body), &a); err != nil {
		t.Fatalf("%s: %q: %v", target, body, err)
	}
	return a
}

func TestHTTPAnnounce(t *testing.T) {
	x := testHTTP(testConfig)
	fill(x.tracker, wire.InfoHash{1}, 3, true, false)
	fill(x.tracker, wire.InfoHash{1}, 4, true, true)
	for _, from := range []netip.Addr{testAddr4, testAddr6} {
		a := x.announceOK(t, from, announceTarget(1, "event", "started"))
		if a.Failure != "" || a.Complete != 7 || len(a.Peers.(string)) != 3*wire.Compact4 || len(a.Peers6) != 4*wire.Compact6 {
			t.Errorf("%v: %+v", from, a)
		}
		if a.ExternalIP != string(from.AsSlice()) || a.MinInterval != 900 || a.Interval < 1620 || a.Interval > 1980 {
			t.Errorf("%v: %+v", from, a)
		}
		a = x.announceOK(t, from, announceTarget(1, "event", "stopped", "left", "0", "numwant", "9"))
		if a.Failure != "" || a.Complete != 7 || a.Incomplete != 0 || len(a.Peers.(string))+len(a.Peers6) != 0 {
			t.Errorf("%v stopped: %+v", from, a)
		}
	}
	// A numwant that one family fills leaves nothing for the other, and the asker's comes first.
	if a := x.announceOK(t, testAddr6, announceTarget(1, "numwant", "5")); len(a.Peers.(string)) != 1*wire.Compact4 || len(a.Peers6) != 4*wire.Compact6 {
		t.Errorf("five peers: %+v", a)
	}
	if a := x.announceOK(t, testAddr4, announceTarget(1, "compact", "0")); len(a.Peers.([]any)) < 7 || a.Peers6 != "" {
		t.Errorf("compact=0: %+v", a)
	}
	if c := x.Counts(); c.Announces != 6 {
		t.Errorf("%d announces counted", c.Announces)
	}
}

// Which address is stored for a client: the one it is seen at, unless somebody trusted says otherwise.
func TestHTTPClientAddress(t *testing.T) {
	const refused = ""
	for _, c := range []struct{ from, forwarded, ip, want string }{
		{"198.51.100.1", "", "", "198.51.100.1"},
		{"198.51.100.1", "", "192.0.2.1", "198.51.100.1"},
		{"198.51.100.1", "192.0.2.2", "192.0.2.1", "198.51.100.1"},
		{"10.9.9.9", "", "192.0.2.1", "192.0.2.1"},
		{"10.9.9.9", "192.0.2.2", "", "10.9.9.9"},
		{"::1", "", "2001:db8::2", "2001:db8::2"},
		{"fd00::1", "", "192.0.2.1", "192.0.2.1"},
		{"10.1.0.1", "", "192.0.2.1", "192.0.2.1"}, // a proxy that writes ip=
		{"10.1.0.1", "192.0.2.2", "", "192.0.2.2"},
		{"10.1.0.1", "192.0.2.2", "192.0.2.1", "192.0.2.2"}, // its client wrote ip=
		{"10.1.0.1", "192.168.0.2", "192.0.2.1", "192.0.2.1"},
		{"10.1.0.1", "unknown", "", refused},
		{"10.1.0.1", "0.0.0.0", "", refused},
		{"10.9.9.9", "", "224.0.0.1", refused},
		{"::ffff:198.51.100.1", "", "", "198.51.100.1"},
	} {
		x := testHTTP(testConfig)
		var header []string
		if c.forwarded != "" {
			header = append(header, "X-Forwarded-For: "+c.forwarded+"\r\n")
		}
		a := x.announceOK(t, netip.MustParseAddr(c.from), announceTarget(1, "ip", c.ip), header...)
		if c.want == refused {
			if _, known := x.tracker.Scrape(wire.InfoHash{1}); a.Failure == "" || known {
				t.Errorf("%v: not refused: %+v", c, a)
			}
			continue
		}
		if got, _ := netip.AddrFromSlice([]byte(a.ExternalIP)); a.Failure != "" || got != x.announce.Peer.Addr() || got.String() != c.want {
			t.Errorf("%v: stored as %v, answered %+v", c, x.announce.Peer, a)
		}
	}
}

// Every bad parameter is named, and none changes a swarm.
func TestHTTPBadAnnounce(t *testing.T) {
	x := testHTTP(testConfig)
	for _, c := range []struct{ param, value string }{
		{"info_hash", ""}, {"info_hash", "short"}, {"port", ""}, {"port", "0"}, {"port", "65536"}, {"port", "x"},
		{"left", "-1"}, {"left", "18446744073709551616"}, {"event", "nonsense"}, {"numwant", "x"}, {"peer_id", "short"}, {"ip", "nonsense"},
	} {
		a := x.announceOK(t, testAddr4, announceTarget(1, c.param, c.value))
		if !strings.Contains(a.Failure, c.param) {
			t.Errorf("%s=%s: failure reason %q", c.param, c.value, a.Failure)
		}
	}
	if a := x.announceOK(t, testAddr4, "/announce"); !strings.Contains(a.Failure, "info_hash") {
		t.Errorf("no query: %+v", a)
	}
	if a := x.announceOK(t, testAddr4, announceTarget(1)+"&port=1"); !strings.Contains(a.Failure, "port") {
		t.Errorf("port twice: %+v", a)
	}
	if _, known := x.tracker.Scrape(wire.InfoHash{1}); known {
		t.Error("a refused announce was stored")
	}
	if c := x.Counts(); c.Announces != 0 || c.Refused["parameter"] != 14 {
		t.Errorf("counts %+v", c)
	}
}

func TestHTTPScrape(t *testing.T) {
	x := testHTTP(testConfig)
	fill(x.tracker, wire.InfoHash{1}, 3, true, false)
	fill(x.tracker, wire.InfoHash{1}, 2, false, true)
	x.announceOK(t, testAddr4, announceTarget(1, "event", "paused"))
	hash := func(n byte) string {
		return "info_hash=" + url.QueryEscape(string(append([]byte{n}, make([]byte, 19)...)))
	}
	type file struct {
		Complete    int `bencode:"complete"`
		Incomplete  int `bencode:"incomplete"`
		Downloaders int `bencode:"downloaders"`
	}
	scrape := func(query string) (files map[string]file, failure string) {
		t.Helper()
		var answer struct {
			Files   map[string]file `bencode:"files"`
			Failure string          `bencode:"failure reason"`
		}
		r, body := x.ask(t, testAddr6, get("/scrape"+query))
		if err := bencode.Unmarshal([]byte(body), &answer); err != nil || r.StatusCode != 200 {
			t.Fatalf("%s: %d, %q, %v", query, r.StatusCode, body, err)
		}
		return answer.Files, answer.Failure
	}
	files, failure := scrape("?" + hash(1) + "&" + hash(9) + "&" + hash(1))
	want := map[string]file{"\x01" + strings.Repeat("\x00", 19): {Complete: 3, Incomplete: 3, Downloaders: 2}}
	if failure != "" || !maps.Equal(files, want) {
		t.Errorf("scrape: %+v, %s", files, failure)
	}
	if files, failure := scrape("?" + strings.Repeat(hash(1)+"&", 99) + hash(9)); failure != "" || len(files) != 1 {
		t.Errorf("100 hashes: %d files, %s", len(files), failure)
	}
	for _, query := range []string{"", "?", "?x=1", "?" + strings.Repeat(hash(1)+"&", 100) + hash(9), "?info_hash=short"} {
		if _, failure := scrape(query); !strings.Contains(failure, "info_hash") {
			t.Errorf("scrape %.20s: failure reason %q", query, failure)
		}
	}
	if c := x.Counts(); c.Scrapes != 2 || c.Refused["parameter"] != 5 {
		t.Errorf("counts %+v", c)
	}
}

// What is no announce and no scrape: the path is not there, the connection stays.
func TestHTTPPaths(t *testing.T) {
	x := testHTTP(testConfig)
	paths := []string{"/", "/announce/", "/announce.php", "/Announce", "/scrape/x", "//announce", "/announc%65", "/favicon.ico"}
	for _, path := range paths {
		if r, _ := x.ask(t, testAddr4, get(path)); r.StatusCode != 404 || r.Close {
			t.Errorf("%s: %d, close %v", path, r.StatusCode, r.Close)
		}
	}
	if got := x.Counts().Refused["path"]; got != uint64(len(paths)) {
		t.Errorf("%d counted", got)
	}
}

func TestHTTPVersionsAndMethods(t *testing.T) {
	x := testHTTP(testConfig)
	target := announceTarget(1)
	for _, c := range []struct {
		request    string
		close      bool
		connection string
	}{
		{get(target), false, ""},
		{get(target, "Connection: keep-alive\r\n"), false, ""},
		{get(target, "Connection: close\r\n"), true, "close"},
		{"GET " + target + " HTTP/1.0\r\n\r\n", true, "close"},
		{"GET " + target + " HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", false, "keep-alive"},
		{"GET http://tracker:6969" + target + " HTTP/1.1\r\nHost: x\r\n\r\n", false, ""},
	} {
		out, n, last := x.handle(testStart, testAddr4, []byte(c.request), nil)
		r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(out)), nil)
		if err != nil || n != len(c.request) || last != c.close || r.Header.Get("Connection") != c.connection && !(c.close && r.Close) {
			t.Errorf("%q: %q, %v", c.request, out, err)
		}
	}
	full, n, _ := x.handle(testStart, testAddr4, []byte(get(target)), nil)
	head, n2, _ := x.handle(testStart, testAddr4, []byte("HEAD"+get(target)[3:]), nil)
	if n2 != n+1 || !bytes.HasSuffix(head, []byte("\r\n\r\n")) || bytes.HasSuffix(full, []byte("\r\n\r\n")) {
		t.Errorf("HEAD: %q, GET %q", head, full)
	}
}

// What is no request of HTTP/1 without a body is answered with a status and ends the connection.
func TestHTTPMalformed(t *testing.T) {
	for request, status := range map[string]int{
		get("/announce", "Content-Length: 3\r\n"):                        413,
		get("/announce", "Transfer-Encoding: chunked\r\n"):               400,
		"POST /announce HTTP/1.1\r\nHost: x\r\n\r\n":                     405,
		"GET /announce HTTP/1.1\r\n\r\n":                                 400,
		"GET  /announce HTTP/1.1\r\nHost: x\r\n\r\n":                     400,
		"GET /announce\r\n\r\n":                                          400,
		"GET /announce HTTP/1.1\nHost: x\n\n":                            400,
		get("/announce", " folded: 1\r\n"):                               400,
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":                               505,
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc":                           400,
		get("/announce", "A: "+strings.Repeat("x", wire.MaxHead)+"\r\n"): 431,
		"GET /" + strings.Repeat("x", wire.MaxHead):                      431,
	} {
		x := testHTTP(testConfig)
		r, body := x.ask(t, testAddr4, request)
		if r.StatusCode != status || !r.Close || !strings.HasSuffix(body, "\n") {
			t.Errorf("%.60q: %d, close %v, %q", request, r.StatusCode, r.Close, body)
		}
		if allow := r.Header.Get("Allow"); (allow == "GET, HEAD") != (status == 405) {
			t.Errorf("%.60q: Allow %q", request, allow)
		}
		if c := x.Counts(); c.Refused["malformed"]+c.Refused["method"] != 1 {
			t.Errorf("%.60q: counts %+v", request, c)
		}
	}
}

// A request cut anywhere waits for the rest; nothing is eaten, answered, stored or counted.
func TestHTTPTruncated(t *testing.T) {
	x := testHTTP(testConfig)
	request := []byte(get(announceTarget(1), "X-Forwarded-For: 192.0.2.1\r\n", "Connection: close\r\n"))
	for n := range request {
		if out, eaten, last := x.handle(testStart, testAddr4, request[:n], nil); len(out) != 0 || eaten != 0 || last {
			t.Fatalf("%q: took %d, last %v, answer %q", request[:n], eaten, last, out)
		}
	}
	if _, known := x.tracker.Scrape(wire.InfoHash{1}); known || x.Counts().Announces != 0 {
		t.Error("stored before the request was whole")
	}
}

// FuzzHTTP hands over any bytes from a client, a private address and a proxy,
// and reads the answer with net/http.
func FuzzHTTP(f *testing.F) {
	var x *exchange
	var runs int
	f.Add([]byte(get(announceTarget(1))))
	f.Add([]byte(get(announceTarget(1, "compact", "0", "ip", "2001:db8::9"), "X-Forwarded-For: 10.1.2.3, x\r\n")))
	f.Add([]byte(get("/scrape?info_hash=01234567890123456789") + "HEAD / HTTP/1.0\r\n\r\n"))
	f.Add([]byte(get("/", "Content-Length: 9\r\n")))
	sources := []netip.Addr{testAddr4, testAddr6, netip.MustParseAddr("10.9.9.9"), netip.MustParseAddr("10.1.0.1"), {}}
	f.Fuzz(func(t *testing.T, in []byte) {
		if runs++; runs%fuzzRenew == 1 {
			x = testHTTP(testConfig)
			fill(x.tracker, wire.InfoHash{1}, 3, true, false)
			fill(x.tracker, wire.InfoHash{1}, 3, false, true)
		}
		for _, from := range sources {
			checkHTTPAnswers(t, x, from, slices.Clone(in))
		}
	})
}

// checkHTTPAnswers answers all there is in the bytes of a connection and checks what must hold for any.
func checkHTTPAnswers(t *testing.T, x *exchange, from netip.Addr, in []byte) {
	for {
		out, n, last := x.handle(testStart, from, in, nil)
		if n == 0 && !last {
			if len(out) > 0 || len(in) >= wire.MaxHead {
				t.Fatalf("waits for more than %d bytes, after %q", len(in), out)
			}
			return
		}
		method := "GET"
		if bytes.Contains(in[:n], []byte("HEAD ")) && !bytes.Contains(in[:n], []byte("GET ")) {
			method = "HEAD"
		} else if bytes.Contains(in[:n], []byte("HEAD ")) {
			return // which of the two is the method is not for this test to say
		}
		answers := bufio.NewReader(bytes.NewReader(out))
		r, err := http.ReadResponse(answers, &http.Request{Method: method})
		if err != nil {
			t.Fatalf("%q: %v", out, err)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil || answers.Buffered() > 0 || r.Close != last {
			t.Fatalf("%q: %v", out, err)
		}
		var v any
		if r.StatusCode == 200 && method == "GET" {
			if err := bencode.Unmarshal(body, &v); err != nil {
				t.Fatalf("%q: %v", body, err)
			}
		}
		if last {
			return
		}
		in = in[n:]
	}
}

func TestHTTPAllocs(t *testing.T) {
	x := testHTTP(testConfig)
	fill(x.tracker, wire.InfoHash{1}, 100, true, false)
	fill(x.tracker, wire.InfoHash{1}, 100, true, true)
	for name, request := range map[string]string{
		"announce":    get(announceTarget(1)),
		"no compact":  get(announceTarget(1, "compact", "0")),
		"scrape":      get("/scrape?info_hash=%01%00%00%00%00%00%00%00%00%00%00%00%00%00%00%00%00%00%00%00"),
		"other paths": get("/"),
	} {
		in, out := []byte(request), make([]byte, 0, 64<<10)
		if n := testing.AllocsPerRun(100, func() { x.handle(testStart, testAddr6, in, out) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// BenchmarkHTTPAnnounce is one announce from the bytes of the request to those
// of the answer, without the socket: one of 10,000 torrents with 100 peers each, 50 wanted.
func BenchmarkHTTPAnnounce(b *testing.B) {
	const torrents = 10000
	x := testHTTP(testConfig)
	requests := make([][]byte, torrents)
	for i := range requests {
		var h wire.InfoHash
		copy(h[:], fmt.Sprintf("%020d", i*7919))
		fill(x.tracker, h, 100, i%2 == 0, false)
		requests[i] = []byte(get("/announce?info_hash="+string(h[:])+"&peer_id=-TR4060-abcdefghijkl&port=51413&uploaded=0&downloaded=0"+
			"&left=1048576&numwant=50&key=1a2b3c4d&compact=1&supportcrypto=1&event=started",
			"User-Agent: Transmission/4.0.6\r\n", "Accept: */*\r\n", "Accept-Encoding: deflate, gzip, br, zstd\r\n"))
	}
	out := make([]byte, 0, 64<<10)
	b.ReportAllocs()
	var i, bytes int
	for b.Loop() {
		answer, _, _ := x.handle(testStart, testAddr4, requests[i*7919%torrents], out)
		bytes += len(answer)
		i++
	}
	b.ReportMetric(float64(bytes)/float64(i), "answer-bytes")
}
