package tracker

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"starling/wire"
)

// testConfig is the configuration that CONTRACT gives a tracker by default.
var testConfig = Config{
	Interval: 30 * time.Minute, MinInterval: 15 * time.Minute, PeerTimeout: 45 * time.Minute, Renew: 10 * time.Minute,
	NumWant: 50, MaxNumWant: 200,
}

const testTransaction = 0xcafebabe

func testUDP(cfg Config) *udpWorker {
	s := NewUDP(New(cfg, testStart), UDPConfig{TrustedProxies: testSources().proxies})
	s.ids = newConnIDs(testStart, nil)
	return s.newWorker()
}

// request returns a packet with a valid connection id for from.
func (w *udpWorker) request(from netip.Addr, action uint32, body []byte) []byte {
	h := wire.UDPHeader{ConnectionID: w.ids.make(testStart, from, new(connScratch)), Action: action, TransactionID: testTransaction}
	return append(h.Append(nil), body...)
}

func (w *udpWorker) announceRequest(from netip.Addr, a wire.UDPAnnounce) []byte {
	return w.request(from, wire.ActionAnnounce, a.Append(nil))
}

func scrapeBody(hashes ...wire.InfoHash) []byte { return slices.Concat(toSlices(hashes)...) }

func toSlices(hashes []wire.InfoHash) (s [][]byte) {
	for i := range hashes {
		s = append(s, hashes[i][:])
	}
	return s
}

// ask hands over a packet and returns the parsed answer, which must be there.
func (w *udpWorker) ask(t *testing.T, from netip.Addr, packet []byte) wire.UDPReply {
	t.Helper()
	r, err := wire.ParseUDPReply(w.handle(testStart, from, packet, nil))
	if err != nil {
		t.Fatalf("answer: %v", err)
	}
	if r.TransactionID != testTransaction {
		t.Fatalf("transaction %x", r.TransactionID)
	}
	return r
}

// fill lets n peers of a family announce.
func fill(tr *Tracker, h wire.InfoHash, n int, seeder, ipv6 bool) {
	for i := range n {
		a := netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)})
		if ipv6 {
			a = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 14: byte(i >> 8), 15: byte(i)})
		}
		var ans Answer
		tr.Announce(testStart, &Announce{InfoHash: h, Peer: wire.PeerFrom(netip.AddrPortFrom(a, 6881)), Seeder: seeder}, &ans)
	}
}

func TestUDPConnectThenAnnounce(t *testing.T) {
	w := testUDP(testConfig)
	h := wire.UDPHeader{ConnectionID: wire.ProtocolID, TransactionID: testTransaction}
	connect := h.Append(nil)
	for _, from := range []netip.Addr{testAddr4, testAddr6} {
		reply := w.handle(testStart, from, connect, nil)
		if len(reply) != wire.UDPConnectReplySize {
			t.Fatalf("%d bytes for a connect of 16", len(reply))
		}
		r := w.ask(t, from, connect)
		a := wire.UDPAnnounce{InfoHash: wire.InfoHash{1}, Left: 1, Port: 6881, NumWant: -1}
		head := wire.UDPHeader{ConnectionID: r.ConnectionID, Action: wire.ActionAnnounce, TransactionID: testTransaction}
		if r := w.ask(t, from, a.Append(head.Append(nil))); r.Action != wire.ActionAnnounce || r.Leechers+r.Seeders == 0 {
			t.Errorf("answer %+v", r)
		}
	}
	if c := w.Counts(); c.Connects != 4 || c.Announces != 2 {
		t.Errorf("counts %+v", c)
	}
}

// The family of the packet decides the peers, and an IPv4 client on a dual-stack socket is IPv4.
func TestUDPFamilies(t *testing.T) {
	w := testUDP(testConfig)
	fill(w.tracker, wire.InfoHash{1}, 3, true, false)
	fill(w.tracker, wire.InfoHash{1}, 5, true, true)
	for from, want := range map[netip.Addr]int{
		testAddr4:                              3 * wire.Compact4,
		netip.AddrFrom16(testAddr4.As16()):     3 * wire.Compact4,
		testAddr6:                              5 * wire.Compact6,
		netip.MustParseAddr("fe80::1%eth0"):    5 * wire.Compact6,
		netip.MustParseAddr("64:ff9b::c0:201"): 5 * wire.Compact6,
	} {
		a := wire.UDPAnnounce{InfoHash: wire.InfoHash{1}, Left: 1, Port: 6881, NumWant: -1, Event: wire.EventStarted}
		r := w.ask(t, from, w.announceRequest(from, a))
		if len(r.Body) != want {
			t.Errorf("%v: %d bytes of peers, want %d", from, len(r.Body), want)
		}
		if r.Seeders != 8 {
			t.Errorf("%v: %d seeders, want those of both families", from, r.Seeders)
		}
		a.Event = wire.EventStopped
		if r := w.ask(t, from, w.announceRequest(from, a)); len(r.Body) != 0 || r.Action != wire.ActionAnnounce {
			t.Errorf("%v: stopped is answered %+v", from, r)
		}
	}
}

// No configuration and no request makes an answer longer than a packet may be.
func TestUDPNumWant(t *testing.T) {
	cfg := testConfig
	cfg.NumWant, cfg.MaxNumWant = 1000, 2000
	for _, c := range []struct {
		cfg       Config
		numwant   int32
		want, six int
	}{
		{testConfig, -1, 50, 50}, {testConfig, math.MinInt32, 50, 50}, {testConfig, 0, 0, 0}, {testConfig, 1, 1, 1},
		{testConfig, 1000, 200, 67}, {cfg, -1, 202, 67}, {cfg, math.MaxInt32, 202, 67},
	} {
		w := testUDP(c.cfg)
		fill(w.tracker, wire.InfoHash{1}, 300, true, false)
		fill(w.tracker, wire.InfoHash{1}, 300, true, true)
		a := wire.UDPAnnounce{InfoHash: wire.InfoHash{1}, Left: 1, Port: 6881, NumWant: c.numwant}
		if r := w.ask(t, testAddr4, w.announceRequest(testAddr4, a)); len(r.Body) != c.want*wire.Compact4 {
			t.Errorf("numwant %d: %d bytes of IPv4 peers, want %d peers", c.numwant, len(r.Body), c.want)
		}
		reply := w.handle(testStart, testAddr6, w.announceRequest(testAddr6, a), nil)
		if len(reply) != wire.UDPAnnounceReplySize+c.six*wire.Compact6 || len(reply) > wire.MaxUDPReply {
			t.Errorf("numwant %d: answer of %d bytes, want %d IPv6 peers", c.numwant, len(reply), c.six)
		}
	}
}

// The address field counts for private, loopback and trusted sources only, and only over IPv4.
func TestUDPAddressField(t *testing.T) {
	for from, named := range map[string]bool{
		"10.9.9.9": true, "127.0.0.1": true, "203.0.113.9": true, "198.51.100.1": false, "fd00::1": false, "::1": false,
	} {
		w, from := testUDP(testConfig), netip.MustParseAddr(from)
		a := wire.UDPAnnounce{InfoHash: wire.InfoHash{1}, Left: 0, Port: 6881, IP: [4]byte{192, 0, 2, 99}}
		w.ask(t, from, w.announceRequest(from, a))
		if got := w.announce.Peer.Addr() == netip.AddrFrom4(a.IP); got != named {
			t.Errorf("from %v: stored as %v", from, w.announce.Peer)
		}
		a.IP = [4]byte{224, 0, 0, 1}
		if r := w.ask(t, from, w.announceRequest(from, a)); (r.Action == wire.ActionError) != named {
			t.Errorf("from %v with a multicast address: action %d", from, r.Action)
		}
	}
}

func TestUDPScrape(t *testing.T) {
	w := testUDP(testConfig)
	fill(w.tracker, wire.InfoHash{1}, 3, true, false)
	fill(w.tracker, wire.InfoHash{2}, 5, false, true)
	hashes := []wire.InfoHash{{9}, {1}, {2}, {1}}
	r := w.ask(t, testAddr6, w.request(testAddr6, wire.ActionScrape, scrapeBody(hashes...)))
	for i, want := range [][3]uint32{{}, {3, 0, 0}, {0, 0, 5}, {3, 0, 0}} {
		s, c, l := r.ScrapeEntry(i)
		if got := [3]uint32{s, c, l}; got != want {
			t.Errorf("torrent %d: %v, want %v", i, got, want)
		}
	}
	for n, action := range map[int]uint32{0: wire.ActionError, 1: wire.ActionScrape, 74: wire.ActionScrape, 75: wire.ActionError} {
		packet := w.request(testAddr4, wire.ActionScrape, scrapeBody(make([]wire.InfoHash, n)...))
		if r := w.ask(t, testAddr4, packet); r.Action != action || action == wire.ActionScrape && len(r.Body) != 12*n {
			t.Errorf("%d hashes: action %d with %d bytes", n, r.Action, len(r.Body))
		}
	}
}

// What is wrong behind a valid connection id is told, and stored nowhere; everything else is silence.
func TestUDPRefusals(t *testing.T) {
	ok := wire.UDPAnnounce{InfoHash: wire.InfoHash{1}, Left: 1, Port: 6881}
	portless, event, options := ok, ok, ok
	portless.Port, event.Event, options.Options = 0, 5, []byte{2, 9, 1}
	w := testUDP(testConfig)
	badProtocol := wire.UDPHeader{ConnectionID: wire.ProtocolID + 1}
	otherAddress := w.announceRequest(testAddr6, ok)
	for _, c := range []struct {
		name   string
		packet []byte
		reason string
		told   bool
	}{
		{"empty", nil, "short", false},
		{"15 bytes", make([]byte, 15), "short", false},
		{"a long one", append(w.announceRequest(testAddr4, ok), make([]byte, maxUDPRequest)...), "long", false},
		{"connect of another protocol", badProtocol.Append(nil), "protocol", false},
		{"id of another address", otherAddress, "connection_id", false},
		{"connect as announce", (&wire.UDPHeader{ConnectionID: wire.ProtocolID, Action: 1}).Append(nil), "connection_id", false},
		{"unknown action", w.request(testAddr4, 3, nil), "action", true},
		{"short announce", w.announceRequest(testAddr4, ok)[:97], "parameter", true},
		{"port 0", w.announceRequest(testAddr4, portless), "parameter", true},
		{"unknown event", w.announceRequest(testAddr4, event), "parameter", true},
		{"damaged options", w.announceRequest(testAddr4, options), "parameter", true},
	} {
		before := w.Counts().Refused[c.reason]
		reply := w.handle(testStart, testAddr4, c.packet, nil)
		if told := len(reply) > 0 && binary.BigEndian.Uint32(reply) == wire.ActionError; told != c.told || !told && len(reply) > 0 {
			t.Errorf("%s: answered %q", c.name, reply)
		}
		if got := w.Counts().Refused[c.reason] - before; got != 1 {
			t.Errorf("%s: counted %d times as %s", c.name, got, c.reason)
		}
	}
	if _, known := w.tracker.Scrape(ok.InfoHash); known {
		t.Error("a refused announce was stored")
	}
	if c := w.Counts(); c.Announces != 0 || c.Scrapes != 0 || len(c.Refused) != len(udpRefusals) {
		t.Errorf("counts %+v", c)
	}
}

// A connection id outlives the five minutes clients use one for, and then ends.
func TestUDPConnectionIDExpires(t *testing.T) {
	w := testUDP(testConfig)
	packet := w.announceRequest(testAddr4, wire.UDPAnnounce{InfoHash: wire.InfoHash{1}, Port: 6881})
	for _, c := range []struct {
		after    time.Duration
		answered bool
	}{{5 * time.Minute, true}, {connIDPeriod*2 - 1, true}, {connIDPeriod * 2, false}, {time.Hour, false}} {
		if got := len(w.handle(testStart.Add(c.after), testAddr4, packet, nil)) > 0; got != c.answered {
			t.Errorf("after %v: answered %v", c.after, got)
		}
	}
}

// Every request cut at every byte is answered with silence or an error, and a
// whole one followed by anything is still answered.
func TestUDPTruncated(t *testing.T) {
	w := testUDP(testConfig)
	announce := w.announceRequest(testAddr4, wire.UDPAnnounce{Port: 1, Options: wire.AppendURLDataOptions(nil, "/announce?x=1")})
	scrape := w.request(testAddr4, wire.ActionScrape, make([]byte, 40))
	for name, packet := range map[string][]byte{"announce": announce, "scrape": scrape} {
		for n := range packet {
			checkUDPReply(t, w, testAddr4, packet[:n], fmt.Sprintf("%s of %d bytes", name, n))
		}
	}
}

// checkUDPReply hands over a packet and checks what must hold for any.
func checkUDPReply(t *testing.T, w *udpWorker, from netip.Addr, packet []byte, what string) {
	t.Helper()
	reply := w.handle(testStart, from, packet, nil)
	h, ok := wire.ParseUDPHeader(packet)
	proved := ok && w.ids.valid(testStart, from, h.ConnectionID, new(connScratch))
	if len(reply) > wire.MaxUDPReply || !proved && len(reply) > len(packet) {
		t.Fatalf("%s: answer of %d bytes", what, len(reply))
	}
	if len(reply) == 0 {
		if proved && h.Action != wire.ActionConnect && len(packet) <= maxUDPRequest {
			t.Fatalf("%s: no answer to a client that proved its address", what)
		}
		return
	}
	r, err := wire.ParseUDPReply(reply)
	if err != nil || r.TransactionID != h.TransactionID || r.Action != h.Action && r.Action != wire.ActionError {
		t.Fatalf("%s: answer %+v, %v", what, r, err)
	}
}

// fuzzRenew is after how many inputs a fuzz target begins with an empty tracker, so that it holds
// a bounded number of torrents however long it runs.
const fuzzRenew = 10000

// FuzzUDP hands over any bytes, mostly from a client that proved its address.
func FuzzUDP(f *testing.F) {
	w := testUDP(testConfig)
	f.Add(true, false, w.announceRequest(testAddr4, wire.UDPAnnounce{Port: 6881, NumWant: -1}))
	f.Add(true, true, w.request(testAddr6, wire.ActionScrape, make([]byte, 60)))
	f.Add(false, true, (&wire.UDPHeader{ConnectionID: wire.ProtocolID}).Append(nil))
	var runs int
	f.Fuzz(func(t *testing.T, proved, ipv6 bool, packet []byte) {
		if runs++; runs%fuzzRenew == 0 {
			w = testUDP(testConfig)
		}
		from := testAddr4
		if ipv6 {
			from = testAddr6
		}
		packet = slices.Clone(packet)
		if proved && len(packet) >= 8 {
			binary.BigEndian.PutUint64(packet, w.ids.make(testStart, from, new(connScratch)))
		}
		checkUDPReply(t, w, from, packet, "fuzzed")
	})
}

func TestUDPAllocs(t *testing.T) {
	w := testUDP(testConfig)
	fill(w.tracker, wire.InfoHash{1}, 300, true, false)
	fill(w.tracker, wire.InfoHash{1}, 300, true, true)
	out := make([]byte, 0, wire.MaxUDPReply)
	a := wire.UDPAnnounce{InfoHash: wire.InfoHash{1}, Left: 1, Port: 6881, NumWant: -1}
	portless := a
	portless.Port = 0
	for name, packet := range map[string][]byte{
		"connect":  (&wire.UDPHeader{ConnectionID: wire.ProtocolID}).Append(nil),
		"announce": w.announceRequest(testAddr6, a),
		"scrape":   w.request(testAddr6, wire.ActionScrape, make([]byte, 74*20)),
		"refused":  w.announceRequest(testAddr6, portless),
		"unproved": make([]byte, 98),
	} {
		if n := testing.AllocsPerRun(100, func() { w.handle(testStart, testAddr6, packet, out) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// BenchmarkUDPAnnounce is one announce from packet to answer, without the
// socket: known peers of 10,000 torrents with 100 peers each, 50 wanted.
func BenchmarkUDPAnnounce(b *testing.B) {
	const torrents, peers = 10000, 100
	w := testUDP(testConfig)
	rng := rand.New(rand.NewPCG(1, 2))
	type request struct {
		from   netip.Addr
		packet []byte
	}
	var requests []request
	for i := range torrents {
		a := wire.UDPAnnounce{Left: uint64(rng.IntN(2)), Port: 6881, NumWant: -1}
		binary.BigEndian.PutUint64(a.InfoHash[:], uint64(i)*0x9e3779b97f4a7c15)
		for range peers {
			from := netip.AddrFrom4([4]byte{11, byte(rng.Uint32()), byte(rng.Uint32()), byte(rng.Uint32())})
			packet := w.announceRequest(from, a)
			w.handle(testStart, from, packet, nil)
			if rng.IntN(32) == 0 {
				requests = append(requests, request{from, packet})
			}
		}
	}
	rng.Shuffle(len(requests), func(i, j int) { requests[i], requests[j] = requests[j], requests[i] })
	out := make([]byte, 0, wire.MaxUDPReply)
	b.ReportAllocs()
	var i, bytes int
	for b.Loop() {
		r := &requests[i%len(requests)]
		bytes += len(w.handle(testStart, r.from, r.packet, out))
		i++
	}
	b.ReportMetric(float64(bytes)/float64(i), "answer-bytes")
}
