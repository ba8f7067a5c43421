package wire_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/anacrolix/torrent/bencode"

	"starling/wire"
)

// canonical fails unless the bencode library reads the answer and writes the same bytes again.
// It returns what the library read.
func canonical(t *testing.T, answer []byte) map[string]any {
	t.Helper()
	var values map[string]any
	if err := bencode.Unmarshal(answer, &values); err != nil {
		t.Fatalf("%q: %v", answer, err)
	}
	again, err := bencode.Marshal(values)
	if err != nil || !bytes.Equal(again, answer) {
		t.Fatalf("%q is canonically\n%q, %v", answer, again, err)
	}
	return values
}

// same compares a value that the library read with a wanted one, by their texts: an integer of the library may have any type.
func same(t *testing.T, answer []byte, key string, got, want any) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%q: %s is %v, want %v", answer, key, got, want)
	}
}

func TestAnnounceReply(t *testing.T) {
	peers4, peers6 := "\xc0\x00\x02\x01\x1a\xe1", "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x1a\xe1"
	for _, c := range []struct {
		name  string
		reply wire.AnnounceReply
		want  string
	}{{
		"nobody", wire.AnnounceReply{Compact: true},
		"d8:completei0e10:downloadedi0e10:incompletei0e8:intervali0e12:min intervali0e5:peers0:e",
	}, {
		"both families",
		wire.AnnounceReply{
			Seeders: 1, Leechers: 2, Downloaded: 3, Interval: 1800, MinInterval: 900, Compact: true,
			ExternalIP: netip.MustParseAddr("::ffff:192.0.2.7"), Peers4: []byte(peers4 + peers4), Peers6: []byte(peers6),
		},
		"d8:completei1e10:downloadedi3e11:external ip4:\xc0\x00\x02\x0710:incompletei2e8:intervali1800e12:min intervali900e" +
			"5:peers12:" + peers4 + peers4 + "6:peers618:" + peers6 + "e",
	}, {
		"dictionaries",
		wire.AnnounceReply{
			Seeders: math.MaxUint32, Downloaded: math.MaxInt64, ExternalIP: netip.MustParseAddr("2001:db8::2"),
			Peers4: []byte(peers4), Peers6: []byte(peers6),
		},
		"d8:completei4294967295e10:downloadedi9223372036854775807e" +
			"11:external ip16:\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x0210:incompletei0e8:intervali0e12:min intervali0e" +
			"5:peersld2:ip9:192.0.2.14:porti6881eed2:ip11:2001:db8::14:porti6881eeee",
	}, {
		"dictionaries of nobody", wire.AnnounceReply{},
		"d8:completei0e10:downloadedi0e10:incompletei0e8:intervali0e12:min intervali0e5:peerslee",
	}} {
		got := c.reply.Append([]byte("head"))
		if string(got) != "head"+c.want {
			t.Errorf("%s:\n%q, want\n%q", c.name, got[4:], c.want)
		}
		canonical(t, got[4:])
	}
}

func TestAppendScrape(t *testing.T) {
	a, b := wire.InfoHash([]byte(strings.Repeat("\x00", 20))), wire.InfoHash([]byte(strings.Repeat("\xff", 20)))
	files := []wire.ScrapeFile{
		{InfoHash: b, Seeders: 1, Leechers: 3, Downloaders: 2, Downloaded: 4},
		{InfoHash: a, Downloaded: 5},
		{InfoHash: b, Seeders: 1, Leechers: 3, Downloaders: 2, Downloaded: 4},
	}
	want := "d5:filesd20:" + string(a[:]) + "d8:completei0e10:downloadedi5e11:downloadersi0e10:incompletei0ee" +
		"20:" + string(b[:]) + "d8:completei1e10:downloadedi4e11:downloadersi2e10:incompletei3eeee"
	got := wire.AppendScrape(nil, files)
	if string(got) != want {
		t.Errorf("%q, want\n%q", got, want)
	}
	canonical(t, got)
	if got := string(wire.AppendScrape(nil, nil)); got != "d5:filesdee" {
		t.Errorf("no files: %q", got)
	}
}

func TestAppendFailure(t *testing.T) {
	if got := string(wire.AppendFailure(nil, "port: missing")); got != "d14:failure reason13:port: missinge" {
		t.Errorf("%q", got)
	}
}

func TestAnswerAllocations(t *testing.T) {
	reply := fullReply()
	dictionaries := reply
	dictionaries.Compact = false
	files := make([]wire.ScrapeFile, wire.MaxScrape)
	buf := make([]byte, 0, 16<<10)
	allocs := testing.AllocsPerRun(100, func() {
		buf = reply.Append(buf[:0])
		buf = dictionaries.Append(buf[:0])
		for i := range files {
			files[i].InfoHash[0] = byte(-i)
		}
		buf = wire.AppendScrape(buf[:0], files)
		buf = wire.AppendFailure(buf[:0], "left: not a number of 64 bits")
	})
	if allocs != 0 {
		t.Errorf("%.0f allocations", allocs)
	}
}

// fullReply is an answer with 50 peers.
func fullReply() wire.AnnounceReply {
	rng := rand.New(rand.NewPCG(0, 40))
	return wire.AnnounceReply{
		Seeders: 1234, Leechers: 567, Downloaded: 89012, Interval: 1801, MinInterval: 900, Compact: true,
		ExternalIP: netip.MustParseAddr("192.0.2.7"), Peers4: randomBytes(rng, 40*wire.Compact4), Peers6: randomBytes(rng, 10*wire.Compact6),
	}
}

// Every announce reply is canonical and says what it was given.
func FuzzAnnounceReply(f *testing.F) {
	f.Add(uint32(1), uint32(2), uint64(3), uint32(1800), uint32(900), []byte{192, 0, 2, 1}, []byte("peer4peer4pe"), []byte("eighteen bytes of p"), true)
	f.Add(uint32(0), uint32(0), uint64(0), uint32(0), uint32(0), []byte{}, []byte{}, []byte{}, false)
	f.Add(uint32(1), uint32(2), uint64(1)<<63, uint32(1), uint32(1), make([]byte, 16), make([]byte, 60), make([]byte, 180), false)
	f.Fuzz(func(t *testing.T, seeders, leechers uint32, downloaded uint64, interval, minInterval uint32, ip, peers4, peers6 []byte, compact bool) {
		// Downloads beyond 63 bits are beyond the library, and beyond what happens.
		reply := wire.AnnounceReply{
			Seeders: seeders, Leechers: leechers, Downloaded: downloaded >> 1, Interval: interval, MinInterval: minInterval, Compact: compact,
			Peers4: peers4[:len(peers4)/wire.Compact4*wire.Compact4], Peers6: peers6[:len(peers6)/wire.Compact6*wire.Compact6],
		}
		reply.ExternalIP, _ = netip.AddrFromSlice(ip)
		answer := reply.Append(nil)
		values := canonical(t, answer)
		same(t, answer, "complete", values["complete"], seeders)
		same(t, answer, "incomplete", values["incomplete"], leechers)
		same(t, answer, "downloaded", values["downloaded"], reply.Downloaded)
		same(t, answer, "interval", values["interval"], interval)
		same(t, answer, "min interval", values["min interval"], minInterval)
		if external, there := values["external ip"]; there || reply.ExternalIP.IsValid() {
			same(t, answer, "external ip", external, string(reply.ExternalIP.Unmap().AsSlice()))
		}
		if compact {
			same(t, answer, "peers", values["peers"], string(reply.Peers4))
			if v6, there := values["peers6"]; there || len(reply.Peers6) > 0 {
				same(t, answer, "peers6", v6, string(reply.Peers6))
			}
			return
		}
		var want []any
		for ; len(reply.Peers4) > 0; reply.Peers4 = reply.Peers4[wire.Compact4:] {
			want = append(want, peerDict(wire.PeerFrom4(reply.Peers4)))
		}
		for ; len(reply.Peers6) > 0; reply.Peers6 = reply.Peers6[wire.Compact6:] {
			want = append(want, peerDict(wire.PeerFrom6(reply.Peers6)))
		}
		same(t, answer, "peers", values["peers"], want)
	})
}

func peerDict(p wire.Peer) map[string]any {
	return map[string]any{"ip": p.Addr().String(), "port": p.Port()}
}

// Every scrape reply is canonical, whatever the order and the doubles of its files.
func FuzzAppendScrape(f *testing.F) {
	f.Add([]byte{}, uint64(1))
	f.Add([]byte{3, 1, 2, 1, 3}, uint64(2))
	f.Fuzz(func(t *testing.T, hashes []byte, seed uint64) {
		rng := rand.New(rand.NewPCG(seed, 41))
		want := map[wire.InfoHash]wire.ScrapeFile{}
		var files []wire.ScrapeFile
		for _, b := range hashes {
			h := wire.InfoHash{10: b}
			if _, there := want[h]; !there {
				want[h] = wire.ScrapeFile{InfoHash: h, Seeders: rng.Uint32(), Leechers: rng.Uint32(), Downloaders: rng.Uint32(), Downloaded: rng.Uint64() >> 1}
			}
			files = append(files, want[h])
		}
		answer := wire.AppendScrape(nil, files)
		got, ok := canonical(t, answer)["files"].(map[string]any)
		if !ok || len(got) != len(want) {
			t.Fatalf("%q: %d files, want %d", answer, len(got), len(want))
		}
		for h, file := range want {
			same(t, answer, h.String(), got[string(h[:])], map[string]any{
				"complete": file.Seeders, "incomplete": file.Leechers, "downloaders": file.Downloaders, "downloaded": file.Downloaded,
			})
		}
	})
}

func TestAppendRetry(t *testing.T) {
	answer := wire.AppendRetry(nil, "busy", 1800, 900, 30)
	values := canonical(t, answer)
	for key, want := range map[string]any{"failure reason": "busy", "interval": 1800, "min interval": 900, "retry in": 30} {
		same(t, answer, key, values[key], want)
	}
	if len(values) != 4 {
		t.Errorf("%q: %d keys", answer, len(values))
	}
}

func FuzzAppendFailure(f *testing.F) {
	f.Add("")
	f.Add("port: missing")
	f.Fuzz(func(t *testing.T, reason string) {
		answer := wire.AppendFailure(nil, reason)
		same(t, answer, "failure reason", canonical(t, answer)["failure reason"], reason)
	})
}

func BenchmarkAnnounceReply(b *testing.B) {
	reply := fullReply()
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		buf = reply.Append(buf[:0])
	}
}

func BenchmarkAppendScrape(b *testing.B) {
	files := []wire.ScrapeFile{{Seeders: 1234, Leechers: 567, Downloaders: 560, Downloaded: 89012}}
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		buf = wire.AppendScrape(buf[:0], files)
	}
}
