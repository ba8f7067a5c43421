package wire_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"starling/wire"
)

// randomAnnounce returns a request with options, and its bytes.
func randomAnnounce(rng *rand.Rand) (wire.UDPHeader, wire.UDPAnnounce, []byte) {
	h := wire.UDPHeader{ConnectionID: rng.Uint64(), Action: wire.ActionAnnounce, TransactionID: rng.Uint32()}
	a := wire.UDPAnnounce{
		InfoHash:   wire.InfoHash(randomBytes(rng, 20)),
		PeerID:     [20]byte(randomBytes(rng, 20)),
		Downloaded: rng.Uint64(),
		Left:       rng.Uint64(),
		Uploaded:   rng.Uint64(),
		Event:      wire.Event(rng.IntN(5)),
		IP:         [4]byte(randomBytes(rng, 4)),
		Key:        rng.Uint32(),
		NumWant:    int32(rng.Uint32()),
		Port:       uint16(rng.Uint32()),
		Options:    wire.AppendURLDataOptions(nil, strings.Repeat("/x", rng.IntN(300))),
	}
	return h, a, a.Append(h.Append(nil))
}

func sameAnnounce(a, b wire.UDPAnnounce) bool {
	same := bytes.Equal(a.Options, b.Options)
	a.Options, b.Options = nil, nil
	return same && bytes.Equal(a.Append(nil), b.Append(nil))
}

func TestUDPAnnounceRoundTrip(t *testing.T) {
	for seed := range uint64(500) {
		h, want, b := randomAnnounce(rand.New(rand.NewPCG(seed, 20)))
		if len(b) != wire.UDPAnnounceSize+len(want.Options) {
			t.Fatalf("seed %d: %d bytes", seed, len(b))
		}
		if got, ok := wire.ParseUDPHeader(b); !ok || got != h {
			t.Fatalf("seed %d: header %v, want %v", seed, got, h)
		}
		got, err := wire.ParseUDPAnnounce(b)
		if err != nil || !sameAnnounce(got, want) {
			t.Fatalf("seed %d: %v, %v, want %v", seed, err, got, want)
		}
	}
}

// A cut announce is refused unless the cut is between two options.
func TestUDPAnnounceTruncated(t *testing.T) {
	_, _, b := randomAnnounce(rand.New(rand.NewPCG(0, 21)))
	b = append(b[:wire.UDPAnnounceSize], 0x02, 3, 'a', 'b', 'c', 0x01, 0x02, 1, 'd')
	whole := map[int]bool{0: true, 5: true, 6: true, 9: true}
	for n := range len(b) + 1 {
		_, err := wire.ParseUDPAnnounce(b[:n:n])
		want := error(nil)
		if n < wire.UDPAnnounceSize {
			want = wire.ErrUDPShort
		} else if !whole[n-wire.UDPAnnounceSize] {
			want = wire.ErrUDPOptions
		}
		if !errors.Is(err, want) {
			t.Errorf("%d bytes: %v, want %v", n, err, want)
		}
		if _, ok := wire.ParseUDPHeader(b[:n:n]); ok != (n >= wire.UDPHeaderSize) {
			t.Errorf("%d bytes: header %t", n, ok)
		}
	}
}

func TestUDPAnnounceEvent(t *testing.T) {
	_, _, b := randomAnnounce(rand.New(rand.NewPCG(0, 22)))
	for _, event := range []byte{0, 1, 2, 3, 4, 5, 255} {
		b[83] = event
		a, err := wire.ParseUDPAnnounce(b)
		if event > 4 && !errors.Is(err, wire.ErrUDPEvent) || event <= 4 && (err != nil || a.Event != wire.Event(event)) {
			t.Errorf("event %d: %v, %v", event, a.Event, err)
		}
	}
	b[80] = 1
	if _, err := wire.ParseUDPAnnounce(b); !errors.Is(err, wire.ErrUDPEvent) {
		t.Errorf("event 0x01000004: %v", err)
	}
}

func TestUDPOptions(t *testing.T) {
	long := "/announce?" + strings.Repeat("passkey", 100)
	for _, c := range []struct {
		name, options, url string
		err                error
	}{
		{"none", "", "", nil},
		{"written by us", string(wire.AppendURLDataOptions(nil, long)), long, nil},
		{"end at once", "\x00", "", nil},
		{"bytes after the end", "\x02\x01a\x00\x02\xff", "a", nil},
		{"padding", "\x01\x01\x02\x02ab\x01", "ab", nil},
		{"unknown option between", "\x02\x01a\x07\x02xy\x02\x01b", "ab", nil},
		{"empty data", "\x02\x00", "", nil},
		{"no length", "\x02", "", wire.ErrUDPOptions},
		{"cut data", "\x02\x03ab", "", wire.ErrUDPOptions},
		{"unknown and cut", "\x09\x01", "", wire.ErrUDPOptions},
	} {
		a, err := wire.ParseUDPAnnounce(append(make([]byte, wire.UDPAnnounceSize), c.options...))
		if !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", c.name, err, c.err)
		}
		if got := string(a.AppendURLData(nil)); got != c.url {
			t.Errorf("%s: URL %q, want %q", c.name, got, c.url)
		}
	}
}

func TestUDPScrape(t *testing.T) {
	rng := rand.New(rand.NewPCG(0, 23))
	hashes := randomBytes(rng, 20*(wire.MaxUDPScrape+1))
	h := wire.UDPHeader{ConnectionID: 1, Action: wire.ActionScrape, TransactionID: 2}
	whole := append(h.Append(nil), hashes...)
	for n := range len(whole) + 1 {
		b := whole[:n:n]
		got, err := wire.ParseUDPScrape(b)
		want := max(0, n-wire.UDPHeaderSize) / 20
		switch {
		case n < wire.UDPHeaderSize:
			if !errors.Is(err, wire.ErrUDPShort) {
				t.Errorf("%d bytes: %v", n, err)
			}
		case want == 0 || want > wire.MaxUDPScrape:
			if !errors.Is(err, wire.ErrUDPScrape) {
				t.Errorf("%d bytes: %v", n, err)
			}
		default:
			if err != nil || got != want {
				t.Fatalf("%d bytes: %d hashes, %v, want %d", n, got, err, want)
			}
			for i := range got {
				if wire.UDPScrapeHash(b, i) != wire.InfoHash(hashes[20*i:]) {
					t.Fatalf("hash %d of %d", i, got)
				}
			}
		}
	}
}

// replies has a reply of each action, each with the shortest length that is whole.
func replies() []struct {
	b     []byte
	want  wire.UDPReply
	whole func(n int) bool
} {
	entries := wire.AppendUDPScrapeEntry(wire.AppendUDPScrapeEntry(nil, 1, 2, 3), 4, 5, 6)
	return []struct {
		b     []byte
		want  wire.UDPReply
		whole func(n int) bool
	}{
		{
			wire.AppendUDPConnectReply(nil, 7, 1<<63+9),
			wire.UDPReply{Action: wire.ActionConnect, TransactionID: 7, ConnectionID: 1<<63 + 9},
			func(n int) bool { return n >= 16 },
		}, {
			append(wire.AppendUDPAnnounceReply(nil, 8, 1800, 3, 2), "peers1peers2"...),
			wire.UDPReply{Action: wire.ActionAnnounce, TransactionID: 8, Interval: 1800, Leechers: 3, Seeders: 2, Body: []byte("peers1peers2")},
			func(n int) bool { return n >= 20 },
		}, {
			append(wire.AppendUDPScrapeReply(nil, 9), entries...),
			wire.UDPReply{Action: wire.ActionScrape, TransactionID: 9, Body: entries},
			func(n int) bool { return n >= 8 && (n-8)%12 == 0 },
		}, {
			wire.AppendUDPError(nil, 10, "no"),
			wire.UDPReply{Action: wire.ActionError, TransactionID: 10, Body: []byte("no")},
			func(n int) bool { return n >= 8 },
		},
	}
}

// Every reply is read as it was written, and refused when cut inside a field.
func TestUDPReply(t *testing.T) {
	for _, c := range replies() {
		for n := range len(c.b) + 1 {
			r, err := wire.ParseUDPReply(c.b[:n:n])
			if (err == nil) != c.whole(n) || err != nil && !errors.Is(err, wire.ErrUDPShort) {
				t.Errorf("action %d, %d bytes: %v", c.want.Action, n, err)
			}
			if n < len(c.b) {
				continue
			}
			if !bytes.Equal(r.Body, c.want.Body) {
				t.Errorf("action %d: body %x, want %x", r.Action, r.Body, c.want.Body)
			}
			if appendReply(r) != appendReply(c.want) {
				t.Errorf("%v, want %v", r, c.want)
			}
		}
	}
	r, err := wire.ParseUDPReply(replies()[2].b)
	if seeders, completed, leechers := r.ScrapeEntry(1); err != nil || seeders != 4 || completed != 5 || leechers != 6 {
		t.Errorf("%v: entry %d %d %d", err, seeders, completed, leechers)
	}
	if _, err := wire.ParseUDPReply([]byte("\x00\x00\x00\x04abcdefgh")); !errors.Is(err, wire.ErrUDPReply) {
		t.Errorf("action 4: %v", err)
	}
}

// appendReply writes a reply that was read again.
func appendReply(r wire.UDPReply) string {
	var b []byte
	switch r.Action {
	case wire.ActionConnect:
		b = wire.AppendUDPConnectReply(nil, r.TransactionID, r.ConnectionID)
	case wire.ActionAnnounce:
		b = append(wire.AppendUDPAnnounceReply(nil, r.TransactionID, r.Interval, r.Leechers, r.Seeders), r.Body...)
	case wire.ActionScrape:
		b = wire.AppendUDPScrapeReply(nil, r.TransactionID)
		for i := range len(r.Body) / wire.UDPScrapeEntrySize {
			seeders, completed, leechers := r.ScrapeEntry(i)
			b = wire.AppendUDPScrapeEntry(b, seeders, completed, leechers)
		}
	case wire.ActionError:
		b = wire.AppendUDPError(nil, r.TransactionID, string(r.Body))
	}
	return string(b)
}

func TestUDPAllocations(t *testing.T) {
	_, _, announce := randomAnnounce(rand.New(rand.NewPCG(0, 24)))
	buf := make([]byte, 0, wire.MaxUDPReply)
	url := make([]byte, 0, 1024)
	allocs := testing.AllocsPerRun(100, func() {
		h, _ := wire.ParseUDPHeader(announce)
		a, err := wire.ParseUDPAnnounce(announce)
		if err != nil {
			t.Fatal(err)
		}
		url = a.AppendURLData(url[:0])
		if n, err := wire.ParseUDPScrape(announce); err != nil || wire.UDPScrapeHash(announce, n-1) == a.InfoHash {
			t.Fatal(n, err)
		}
		buf = wire.AppendUDPConnectReply(buf[:0], h.TransactionID, h.ConnectionID)
		buf = wire.AppendUDPAnnounceReply(buf, h.TransactionID, 1, 2, 3)
		buf = wire.AppendUDPScrapeEntry(wire.AppendUDPScrapeReply(buf, h.TransactionID), 1, 2, 3)
		buf = wire.AppendUDPError(buf, h.TransactionID, "no")
		if _, err := wire.ParseUDPReply(buf); err != nil {
			t.Fatal(err)
		}
	})
	if allocs != 0 {
		t.Errorf("%.0f allocations", allocs)
	}
}

// What is accepted is the same bytes when written again.
func FuzzParseUDPAnnounce(f *testing.F) {
	for seed := range uint64(5) {
		_, _, b := randomAnnounce(rand.New(rand.NewPCG(seed, 25)))
		f.Add(b)
	}
	f.Add(append(make([]byte, wire.UDPAnnounceSize), "\x01\x02\x02ab\x07\x01x\x00rest"...))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := wire.ParseUDPAnnounce(b)
		if err != nil {
			return
		}
		h, ok := wire.ParseUDPHeader(b)
		if again := a.Append(h.Append(nil)); !ok || !bytes.Equal(again, b) {
			t.Fatalf("written again as\n%x, read from\n%x", again, b)
		}
		if url := a.AppendURLData(nil); len(url) > len(a.Options) {
			t.Fatalf("a URL of %d bytes from options of %d", len(url), len(a.Options))
		}
	})
}

func FuzzParseUDPScrape(f *testing.F) {
	f.Add(make([]byte, wire.UDPHeaderSize+20))
	f.Add(make([]byte, wire.UDPHeaderSize+20*75))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := wire.ParseUDPScrape(b)
		h, ok := wire.ParseUDPHeader(b)
		if err != nil {
			return
		}
		again := h.Append(nil)
		for i := range n {
			hash := wire.UDPScrapeHash(b, i)
			again = append(again, hash[:]...)
		}
		if !ok || n < 1 || n > wire.MaxUDPScrape || !bytes.HasPrefix(b, again) || len(b)-len(again) >= 20 {
			t.Fatalf("%d hashes, %x of %x", n, again, b)
		}
	})
}

func FuzzParseUDPReply(f *testing.F) {
	for _, c := range replies() {
		f.Add(c.b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := wire.ParseUDPReply(b)
		if err != nil {
			return
		}
		// A connect reply may be longer than it need be.
		if again := appendReply(r); !strings.HasPrefix(string(b), again) || r.Action != wire.ActionConnect && len(again) != len(b) {
			t.Fatalf("written again as\n%x, read from\n%x", again, b)
		}
	})
}
