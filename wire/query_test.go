package wire_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"

	"starling/wire"
)

// qBittorrent is an announce as qBittorrent 5 sends it, with a hash of letters and escapes.
const qBittorrent = "info_hash=%124Vx%9a%bc%de%f1%23Eg%89%ab%cd%ef%124Vx%9a&peer_id=-qB5000-3n~Hq1!dZ.t2" +
	"&port=6881&uploaded=0&downloaded=0&left=734003200&corrupt=0&key=5C1E4BD7&event=started" +
	"&numwant=200&compact=1&no_peer_id=1&supportcrypto=1&redundant=0"

// required is the least that an announce must say.
const required = "info_hash=aaaaaaaaaabbbbbbbbbb&port=1"

func TestQueryParse(t *testing.T) {
	least := wire.Query{InfoHash: wire.InfoHash([]byte("aaaaaaaaaabbbbbbbbbb")), Port: 1, Left: math.MaxUint64, NumWant: -1, Compact: true}
	with := func(change func(*wire.Query)) wire.Query {
		q := least
		change(&q)
		return q
	}
	for query, want := range map[string]wire.Query{
		qBittorrent: {
			InfoHash: wire.InfoHash([]byte("\x124Vx\x9a\xbc\xde\xf1\x23Eg\x89\xab\xcd\xef\x124Vx\x9a")),
			PeerID:   [20]byte([]byte("-qB5000-3n~Hq1!dZ.t2")),
			Port:     6881, Left: 734003200, Event: wire.EventStarted, NumWant: 200, Compact: true,
		},
		required:              least,
		"&&" + required + "&": least,
		"info_hash=aaaaaaaaaabbbbbbbbbbcccccccccccc&port=1": least,
		"%69nfo%5Fhash=aaaaaaaaaabbbbbbbbbb&port=%31":       least,
		required + "&event=":                                least,
		required + "&unknown=%zz&%zz=1&unknown=2;port=3&=4": least,
		required + "&numwant=-1":                            least,
		required + "&numwant=-200":                          least,
		required + "&compact=1":                             least,
		required + "&left=4294967296":                       with(func(q *wire.Query) { q.Left = 1 << 32 }),
		required + "&left=18446744073709551615":             least,
		required + "&left=0":                                with(func(q *wire.Query) { q.Left = 0 }),
		required + "&left=00000000000000000000000000017":    with(func(q *wire.Query) { q.Left = 17 }),
		required + "&numwant=0":                             with(func(q *wire.Query) { q.NumWant = 0 }),
		required + "&numwant=18446744073709551615":          with(func(q *wire.Query) { q.NumWant = math.MaxInt32 }),
		required + "&compact=0":                             with(func(q *wire.Query) { q.Compact = false }),
		required + "&event=paused":                          with(func(q *wire.Query) { q.Event = wire.EventPaused }),
		required + "&event=stopped":                         with(func(q *wire.Query) { q.Event = wire.EventStopped }),
		required + "&event=completed":                       with(func(q *wire.Query) { q.Event = wire.EventCompleted }),
		required + "&ip=192.0.2.1":                          with(func(q *wire.Query) { q.IP = netip.MustParseAddr("192.0.2.1") }),
		required + "&ip=%3A%3affff:192.0.2.1":               with(func(q *wire.Query) { q.IP = netip.MustParseAddr("192.0.2.1") }),
		required + "&ip=2001:db8::1":                        with(func(q *wire.Query) { q.IP = netip.MustParseAddr("2001:db8::1") }),
		required + "&peer_id=+++++%2B++++++++++++++":        with(func(q *wire.Query) { q.PeerID = [20]byte([]byte("     +              ")) }),
	} {
		var q wire.Query
		if err := q.Parse([]byte(query)); err != nil || q != want {
			t.Errorf("%s\nis %+v, %v\nwant %+v", query, q, err, want)
		}
	}
}

// Each refusal names the parameter, and leaves the query as it was.
func TestQueryRefused(t *testing.T) {
	for query, want := range map[string]string{
		"":                                                         "info_hash",
		"port=1":                                                   "info_hash",
		"INFO_HASH=aaaaaaaaaabbbbbbbbbb":                           "info_hash",
		"info_hash=aaaaaaaaaabbbbbbbbbb":                           "port",
		"info_hash=&port=1":                                        "info_hash",
		"info_hash&port=1":                                         "info_hash",
		"info_hash=aaaaaaaaaabbbbbbbbb&port=1":                     "info_hash",
		"info_hash=aaaaaaaaaabbbbbbbbbbc&port=1":                   "info_hash",
		"info_hash=aaaaaaaaaabbbbbbbbb%&port=1":                    "info_hash",
		"info_hash=aaaaaaaaaabbbbbbbbb%4&port=1":                   "info_hash",
		"info_hash=aaaaaaaaaabbbbbbbbb%4g&port=1":                  "info_hash",
		"info_hash=aaaaaaaaaabbbbbbbbb%g4&port=1":                  "info_hash",
		"info_hash=" + strings.Repeat("%41", 40) + "&port=1":       "info_hash",
		"info_hash=" + strings.Repeat("a", 5000) + "&port=1":       "info_hash",
		required + "&info_hash=aaaaaaaaaabbbbbbbbbb":               "info_hash",
		required + "&port=1":                                       "port",
		"info_hash=aaaaaaaaaabbbbbbbbbb&port=0":                    "port",
		"info_hash=aaaaaaaaaabbbbbbbbbb&port=65536":                "port",
		"info_hash=aaaaaaaaaabbbbbbbbbb&port=-1":                   "port",
		"info_hash=aaaaaaaaaabbbbbbbbbb&port=":                     "port",
		"info_hash=aaaaaaaaaabbbbbbbbbb&port=18446744073709551617": "port",
		required + "&left=":                                        "left",
		required + "&left=-1":                                      "left",
		required + "&left=+1":                                      "left",
		required + "&left=1e3":                                     "left",
		required + "&left=0x10":                                    "left",
		required + "&left=18446744073709551616":                    "left",
		required + "&left=1" + strings.Repeat("0", 64):             "left",
		required + "&left=1&left=1":                                "left",
		required + "&event=Started":                                "event",
		required + "&event=x":                                      "event",
		required + "&numwant=":                                     "numwant",
		required + "&numwant=-":                                    "numwant",
		required + "&numwant=--1":                                  "numwant",
		required + "&numwant=many":                                 "numwant",
		required + "&peer_id=short":                                "peer_id",
		required + "&peer_id=":                                     "peer_id",
		required + "&ip=":                                          "ip",
		required + "&ip=tracker.example":                           "ip",
		required + "&ip=fe80::1%25eth0":                            "ip",
		required + "&ip=192.0.2.1:80":                              "ip",
		required + "&compact=0&compact=0":                          "compact",
	} {
		before := wire.Query{Port: 7, NumWant: 3}
		q := before
		err := q.Parse([]byte(query))
		var wrong *wire.ParamError
		if !errors.As(err, &wrong) || wrong.Param != want || !strings.HasPrefix(err.Error(), want+": ") || q != before {
			t.Errorf("%.100s: %v, %+v, want an error of %s", query, err, q, want)
		}
	}
}

func TestParseScrape(t *testing.T) {
	a, b := wire.InfoHash([]byte("aaaaaaaaaaaaaaaaaaaa")), wire.InfoHash([]byte("b bbbbbbbbbbbbbbbbbb"))
	for query, want := range map[string][]wire.InfoHash{
		"":                               nil,
		"x=1&port=%zz":                   nil,
		"info_hash=aaaaaaaaaaaaaaaaaaaa": {a},
		"info_hash=b+bbbbbbbbbbbbbbbbbbcccccccccccc&info_hash=" + string(a[:]) + "&info_hash=" + string(a[:]): {b, a, a},
	} {
		got, err := wire.ParseScrape([]byte(query), []wire.InfoHash{b})
		if err != nil || !slices.Equal(got, append([]wire.InfoHash{b}, want...)) {
			t.Errorf("%s: %v, %v, want %v", query, got, err, want)
		}
	}
	most := strings.Repeat("&info_hash=aaaaaaaaaaaaaaaaaaaa", wire.MaxScrape)
	if got, err := wire.ParseScrape([]byte(most), nil); err != nil || len(got) != wire.MaxScrape {
		t.Errorf("%d hashes, %v, want %d", len(got), err, wire.MaxScrape)
	}
	for _, query := range []string{most + most[:31], "info_hash=a", "info_hash=%z", "info_hash"} {
		var wrong *wire.ParamError
		if _, err := wire.ParseScrape([]byte(query), nil); !errors.As(err, &wrong) || wrong.Param != "info_hash" {
			t.Errorf("%.100s: %v", query, err)
		}
	}
}

// A query written by net/url is read as the values it was written from.
func TestQueryRoundTrip(t *testing.T) {
	for seed := range uint64(500) {
		rng := rand.New(rand.NewPCG(seed, 30))
		want := wire.Query{
			InfoHash: wire.InfoHash(randomBytes(rng, 20)),
			PeerID:   [20]byte(randomBytes(rng, 20)),
			Port:     uint16(1 + rng.IntN(math.MaxUint16)),
			Left:     rng.Uint64(),
			Event:    wire.Event(rng.IntN(5)),
			NumWant:  rng.IntN(1000) - 1,
			Compact:  rng.IntN(2) == 0,
			IP:       netip.AddrFrom16([16]byte(randomBytes(rng, 16))),
		}
		query := writeQuery(want)
		var got wire.Query
		if err := got.Parse([]byte(query)); err != nil || got != want {
			t.Fatalf("seed %d: %s\nis %+v, %v\nwant %+v", seed, query, got, err, want)
		}
	}
}

func TestQueryAllocations(t *testing.T) {
	query := []byte(qBittorrent)
	scrape := []byte("info_hash=aaaaaaaaaaaaaaaaaaaa&info_hash=%61aaaaaaaaaaaaaaaaaaa")
	hashes := make([]wire.InfoHash, 0, 2)
	var q wire.Query
	allocs := testing.AllocsPerRun(100, func() {
		if err := q.Parse(query); err != nil {
			t.Fatal(err)
		}
		if _, err := wire.ParseScrape(scrape, hashes); err != nil {
			t.Fatal(err)
		}
	})
	if allocs != 0 {
		t.Errorf("%.0f allocations", allocs)
	}
}

func BenchmarkQueryParse(b *testing.B) {
	query := []byte(qBittorrent)
	b.ReportAllocs()
	var q wire.Query
	for b.Loop() {
		if err := q.Parse(query); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkQueryNetURL(b *testing.B) {
	for b.Loop() {
		if _, err := url.ParseQuery(qBittorrent); err != nil {
			b.Fatal(err)
		}
	}
}
