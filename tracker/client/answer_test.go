package client

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/anacrolix/torrent/bencode"

	"starling/wire"
)

// randomAnnounce returns an answer and the dictionary that says it.
func randomAnnounce(r *rand.Rand) (*AnnounceReply, map[string]any) {
	a := &AnnounceReply{Interval: r.Uint32(), Peers: []Peer{}}
	d := map[string]any{"interval": a.Interval}
	count := func(key string) *uint64 {
		if r.IntN(2) == 0 {
			return nil
		}
		v := r.Uint64() >> 1
		d[key] = v
		return &v
	}
	a.Complete, a.Incomplete, a.Downloaded = count("complete"), count("incomplete"), count("downloaded")
	if r.IntN(2) == 0 {
		a.MinInterval = r.Uint32()
		d["min interval"] = a.MinInterval
	}
	if r.IntN(2) == 0 {
		a.ExternalIP = netip.AddrFrom4([4]byte{192, 0, 2, byte(r.Uint32())})
		d["external ip"] = a.ExternalIP.AsSlice()
	}
	var peers4, peers6 []byte
	for range r.IntN(4) {
		p := wire.PeerFrom(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(r.Uint32()), 1}), uint16(r.Uint32())))
		peers4 = append(peers4, p.Compact()...)
		a.Peers = append(a.Peers, Peer{p.Addr(), p.Port()})
	}
	for range r.IntN(4) {
		p := wire.Peer{0: 0xfd, 15: byte(r.Uint32()), 17: byte(r.Uint32())}
		peers6 = append(peers6, p.Compact()...)
		a.Peers = append(a.Peers, Peer{p.Addr(), p.Port()})
	}
	d["peers"], d["peers6"] = peers4, peers6
	return a, d
}

func TestParseAnnounceReadsWhatTheLibraryWrites(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	for i := range 500 {
		want, d := randomAnnounce(r)
		body := bencode.MustMarshal(d)
		got, err := parseAnnounce(body)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d, answer %d %q: %+v, %v; want %+v", seed, i, body, got, err, want)
		}
	}
}

func TestEveryTruncationIsAnError(t *testing.T) {
	_, d := randomAnnounce(rand.New(rand.NewPCG(1, 1)))
	hash := wire.InfoHash{1}
	for _, body := range [][]byte{
		bencode.MustMarshal(d),
		bencode.MustMarshal(map[string]any{"files": map[string]any{string(hash[:]): map[string]any{"complete": 1}}}),
		[]byte("d14:failure reason4:gonee"),
	} {
		for n := range body {
			var ae *AnswerError
			if _, err := parseAnnounce(body[:n]); !errors.As(err, &ae) {
				t.Errorf("announce %q: %v", body[:n], err)
			}
			if _, err := parseScrape(body[:n], []wire.InfoHash{hash}); !errors.As(err, &ae) {
				t.Errorf("scrape %q: %v", body[:n], err)
			}
		}
	}
}

func TestMalformedAnnounces(t *testing.T) {
	for _, test := range []struct{ body, want string }{
		{"", "no bencoded dictionary"},
		{"<html>", "no bencoded dictionary"},
		{"i1e", "no bencoded dictionary"},
		{"d8:intervali9e5:peers0:ex", "unused trailing bytes"},
		{"d5:peers0:e", "no interval"},
		{"d8:interval1:95:peers0:e", "want an integer"},
		{"d8:intervalli9ee5:peers0:e", "want an integer"},
		{"d8:intervali-1e5:peers0:e", "want an integer"},
		{"d8:intervali4294967296e5:peers0:e", "want an integer"},
		{"d8:intervali09e5:peers0:e", "want an integer"},
		{"d8:completei-1e8:intervali9e5:peers0:e", "complete is"},
		{"d8:intervali9e", "EOF"},
		{"d8:intervali9e6:peers0:e", "bencode"},
		{"d8:intervali9e5:peers5:12345e", "no multiple of 6"},
		{"d8:intervali9e6:peers617:12345678901234567e", "no multiple of 18"},
		{"d8:intervali9e5:peersi4ee", "want a string"},
		{"d8:intervali9e5:peersd1:a1:bee", "want a string"},
		{"d8:intervali9e5:peersli4eee", "peers:"},
		{"d8:intervali9e5:peersld2:ip9:127.0.0.1eee", "peer 1 of 1"},
		{"d8:intervali9e5:peersld2:ip3:foo4:porti1eeee", "peer 1 of 1"},
		{"d8:intervali9e5:peersld2:ip9:127.0.0.14:porti65536eeee", "port is"},
		{"d11:external ip3:abc8:intervali9e5:peers0:e", "external ip has 3 bytes"},
		{"d14:failure reasoni5ee", "want a string"},
		{strings.Repeat("l", 1<<20), "no bencoded dictionary"},
		{"d1:a" + strings.Repeat("l", 1<<20), "nesting"},
		{"d9999999999:", "exceeds"},
	} {
		_, err := parseAnnounce([]byte(test.body))
		var ae *AnswerError
		if !errors.As(err, &ae) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%.60q: %v, want an AnswerError that says %q", test.body, err, test.want)
		}
	}
}

func TestAnswersOfOtherTrackers(t *testing.T) {
	for name, body := range map[string]string{
		"unsorted keys":       "d5:peers6:\x7f\x00\x00\x01\x1a\xe18:intervali1800ee",
		"list of peers":       "d8:intervali1800e5:peersld2:ip9:127.0.0.17:peer id3:abc4:porti6881eeee",
		"unknown keys":        "d8:intervali1800e5:peers6:\x7f\x00\x00\x01\x1a\xe13:zzzd1:ali1ei2eeee",
		"an empty peers6":     "d8:intervali1800e5:peers6:\x7f\x00\x00\x01\x1a\xe16:peers60:e",
		"mapped IPv6 peer":    "d8:intervali1800e6:peers618:\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x7f\x00\x00\x01\x1a\xe1e",
		"empty external ip":   "d11:external ip0:8:intervali1800e5:peers6:\x7f\x00\x00\x01\x1a\xe1e",
		"no count is too big": "d8:completei9223372036854775807e8:intervali1800e5:peers6:\x7f\x00\x00\x01\x1a\xe1e",
	} {
		a, err := parseAnnounce([]byte(body))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if a.Interval != 1800 || len(a.Peers) != 1 || a.Peers[0].String() != "127.0.0.1:6881" {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

func TestFailures(t *testing.T) {
	for _, test := range []struct {
		body string
		want FailureError
	}{
		{"d14:failure reason4:gonee", FailureError{Reason: "gone"}},
		{"d14:failure reason0:e", FailureError{}},
		{"d14:failure reason4:busy8:retry ini5ee", FailureError{Reason: "busy", RetryIn: 5 * time.Minute}},
		{"d14:failure reason4:gone8:retry in5:nevere", FailureError{Reason: "gone", Never: true}},
		{"d14:failure reason4:gone8:retry ini-5ee", FailureError{Reason: "gone"}},
	} {
		_, err := parseAnnounce([]byte(test.body))
		var fe *FailureError
		if !errors.As(err, &fe) || *fe != test.want {
			t.Errorf("%q: %v", test.body, err)
		}
	}
}

func TestParseScrape(t *testing.T) {
	a, b, c := wire.InfoHash{1}, wire.InfoHash{2}, wire.InfoHash{3}
	body := bencode.MustMarshal(map[string]any{
		"files": map[string]any{
			string(a[:]): map[string]any{"complete": 1, "incomplete": 2, "downloaded": 3, "downloaders": 1},
			string(b[:]): map[string]any{"complete": 4, "incomplete": 5},
			string(c[:]): map[string]any{"complete": 9},
		},
		"flags": map[string]any{"min_request_interval": 900},
	})
	got, err := parseScrape(body, []wire.InfoHash{a, b, {4}})
	one := uint64(1)
	want := map[wire.InfoHash]ScrapeFile{a: {1, 2, 3, &one}, b: {4, 5, 0, nil}}
	if err != nil || !reflect.DeepEqual(got.Files, want) {
		t.Fatalf("%+v, %v; want %+v", got, err, want)
	}
	for _, bad := range []string{"de", "d5:filesi1ee", "d5:filesle", "d5:filesld1:aeee", "d5:filesd20:\x01" + strings.Repeat("\x00", 19) + "i1eee"} {
		var ae *AnswerError
		if _, err := parseScrape([]byte(bad), []wire.InfoHash{a}); !errors.As(err, &ae) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// known reports whether an answer parser may fail with err.
func known(err error) bool {
	var ae *AnswerError
	var fe *FailureError
	return errors.As(err, &ae) || errors.As(err, &fe)
}

func FuzzParseAnnounce(f *testing.F) {
	_, d := randomAnnounce(rand.New(rand.NewPCG(1, 1)))
	f.Add(bencode.MustMarshal(d))
	f.Add([]byte("d14:failure reason4:busy8:retry ini5ee"))
	f.Add([]byte("d8:intervali1800e5:peersld2:ip9:127.0.0.14:porti6881eeee"))
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := parseAnnounce(body)
		if err != nil {
			if a != nil || !known(err) {
				t.Fatalf("%+v, %v", a, err)
			}
			return
		}
		for _, p := range a.Peers {
			if !p.IP.IsValid() {
				t.Fatalf("%q: an invalid peer in %+v", body, a)
			}
		}
	})
}

func FuzzParseScrape(f *testing.F) {
	hash := wire.InfoHash{1}
	f.Add(bencode.MustMarshal(map[string]any{"files": map[string]any{string(hash[:]): map[string]any{"complete": 1}}}))
	f.Add([]byte("d14:failure reason4:gonee"))
	f.Fuzz(func(t *testing.T, body []byte) {
		s, err := parseScrape(body, []wire.InfoHash{hash})
		if err != nil && (s != nil || !known(err)) {
			t.Fatalf("%+v, %v", s, err)
		}
		if err == nil && len(s.Files) > 1 {
			t.Fatalf("more files than asked: %+v", s)
		}
	})
}

func FuzzUDPReply(f *testing.F) {
	f.Add(append(wire.AppendUDPAnnounceReply(nil, 1, 1800, 2, 3), make([]byte, 12)...), true)
	f.Add(wire.AppendUDPScrapeEntry(wire.AppendUDPScrapeReply(nil, 1), 1, 2, 3), false)
	f.Add(wire.AppendUDPError(nil, 1, "gone"), true)
	f.Fuzz(func(t *testing.T, b []byte, is4 bool) {
		size := wire.Compact6
		if is4 {
			size = wire.Compact4
		}
		if r, err := parseUDPReply(b, wire.ActionAnnounce); err == nil {
			a, err := announceFromUDP(&r, size)
			if err == nil && len(a.Peers) != (len(b)-wire.UDPAnnounceReplySize)/size || err != nil && !known(err) {
				t.Fatalf("%x: %+v, %v", b, a, err)
			}
		} else if !known(err) {
			t.Fatalf("%x: %v", b, err)
		}
		if r, err := parseUDPReply(b, wire.ActionScrape); err == nil {
			if s, err := scrapeFromUDP(&r, []wire.InfoHash{{1}, {2}}); err == nil && len(s.Files) != 2 || err != nil && !known(err) {
				t.Fatalf("%x: %+v, %v", b, s, err)
			}
		}
	})
}
