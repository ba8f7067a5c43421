package wire_test

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"starling/wire"
)

// vector is one packet of testdata/livesync.json, captured from a real
// opentracker or crafted and shown to one, with what it did there.
type vector struct {
	Name   string
	Hex    string
	Origin string
	Effect []effect
	packet []byte
}

// effect is the state of one torrent after a packet came to an empty tracker.
type effect struct {
	InfoHash string    `json:"info_hash"`
	Absent   bool      // the torrent is not there at all
	Scrape   [3]uint32 // seeders, downloaded, leechers
	Peers4   [][2]any  // address and port
	Peers6   [][2]any
}

func loadVectors(t testing.TB) []vector {
	t.Helper()
	text, err := os.ReadFile("testdata/livesync.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []vector
	if err := json.Unmarshal(text, &vectors); err != nil {
		t.Fatal(err)
	}
	for i := range vectors {
		v := &vectors[i]
		if v.packet, err = hex.DecodeString(v.Hex); err != nil {
			t.Fatalf("%s: %v", v.Name, err)
		}
	}
	return vectors
}

// vectorReadings says how each vector is read; a vector without a line here fails.
var vectorReadings = map[string]struct {
	kind     wire.Kind
	err      error
	length   int // records or entries
	torrents uint64
}{
	"v4-started":              {kind: wire.KindLive4, length: 1},
	"v4-mixed":                {kind: wire.KindLive4, length: 6},
	"v4-2010":                 {kind: wire.KindLive4, length: 3},
	"v4-full":                 {kind: wire.KindLive4, length: 52},
	"v4-trailing":             {kind: wire.KindLive4, length: 1},
	"v4-complete-not-seeding": {kind: wire.KindLive4, length: 1},
	"v4-add-then-stop":        {kind: wire.KindLive4, length: 3},
	"v4-stop-unknown":         {kind: wire.KindLive4, length: 1},
	"v4-short":                {err: wire.ErrShort},
	"v4-header-only":          {kind: wire.KindEmpty},
	"empty-type0":             {kind: wire.KindEmpty},
	"v6-started":              {kind: wire.KindLive6, length: 1},
	"v6-mixed":                {kind: wire.KindLive6, length: 5},
	"v6-many":                 {kind: wire.KindLive6, length: 17},
	"v6-short":                {err: wire.ErrShort},
	"beacon-few":              {kind: wire.KindBeacon, torrents: 7},
	"beacon-many":             {kind: wire.KindBeacon, torrents: 57},
	"beacon-none":             {kind: wire.KindBeacon},
	"beacon-17":               {err: wire.ErrShort},
	"inquire":                 {kind: wire.KindInquire},
	"tell-1":                  {kind: wire.KindTell, length: 46},
	"tell-2":                  {kind: wire.KindTell, length: 11},
	"tell-trailing":           {kind: wire.KindTell, length: 1},
	"unknown-type-4":          {err: wire.ErrType},
}

// Every vector is read as what it is, and has the effect on a tracker that it had on the real ones.
func TestVectors(t *testing.T) {
	for _, v := range loadVectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			want, known := vectorReadings[v.Name]
			if !known {
				t.Fatal("vectorReadings does not say how this vector is read")
			}
			p, err := wire.ParsePacket(v.packet)
			if !errors.Is(err, want.err) {
				t.Fatalf("error %v, want %v", err, want.err)
			}
			if p.From != wire.NodeID(v.packet) {
				t.Errorf("from %v, want %x", p.From, v.packet[:4])
			}
			model := swarms{}
			if err == nil {
				if p.Kind != want.kind || p.Len() != want.length || p.Torrents != want.torrents {
					t.Errorf("%v of %d records, %d torrents, want %v", p.Kind, p.Len(), p.Torrents, want)
				}
				if p.Kind == wire.KindInquire && p.Target.String() != "a6bb2856" {
					t.Errorf("asks %v, want a6bb2856", p.Target)
				}
				model.apply(&p)
			}
			for _, e := range v.Effect {
				model.check(t, e)
			}
			if len(model) > len(v.Effect) {
				t.Errorf("%d torrents, want %d", len(model), len(v.Effect))
			}
		})
	}
}

// What was captured is written again byte for byte from the values it was read as.
func TestVectorsWritten(t *testing.T) {
	written := 0
	for _, v := range loadVectors(t) {
		p, err := wire.ParsePacket(v.packet)
		if !strings.HasPrefix(v.Origin, "captured") || p.Kind == wire.KindEmpty {
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", v.Name, err)
		}
		if got := appendPacket(nil, &p); !bytes.Equal(got, v.packet) {
			t.Errorf("%s: written as\n%x, captured as\n%x", v.Name, got, v.packet)
		}
		written++
	}
	if written < 12 {
		t.Errorf("only %d captured packets", written)
	}
}

// swarms is the least a receiver can be: torrents by info hash, peers by
// address, the rules of WIRE-FACTS section 3 and 6 in a few lines.
type swarms map[wire.InfoHash]*swarm

type swarm struct {
	peers      map[wire.Peer]role
	downloaded uint64
}

type role struct{ seeder, completed bool }

func (s swarms) apply(p *wire.Packet) {
	for i := range p.Len() {
		if p.Kind == wire.KindTell {
			tell := p.Tell(i)
			torrent := s.torrent(tell.InfoHash)
			torrent.downloaded = max(torrent.downloaded, tell.Downloaded)
			continue
		}
		r := p.Record(i)
		if r.Flags&wire.Stopped != 0 {
			if torrent := s[r.InfoHash]; torrent != nil {
				delete(torrent.peers, r.Peer)
			}
			continue
		}
		torrent := s.torrent(r.InfoHash)
		was := torrent.peers[r.Peer]
		if r.Flags.Completion() && !was.completed {
			was.completed = true
			torrent.downloaded++
		}
		was.seeder = r.Flags&wire.Seeding != 0
		torrent.peers[r.Peer] = was
	}
}

func (s swarms) torrent(h wire.InfoHash) *swarm {
	if s[h] == nil {
		s[h] = &swarm{peers: map[wire.Peer]role{}}
	}
	return s[h]
}

// check compares a torrent with what the real trackers made of it.
func (s swarms) check(t *testing.T, want effect) {
	t.Helper()
	h, err := wire.ParseInfoHash(want.InfoHash)
	if err != nil {
		t.Fatal(err)
	}
	torrent := s[h]
	if (torrent == nil) != want.Absent {
		t.Fatalf("%v: there %t, want %t", h, torrent != nil, !want.Absent)
	}
	if torrent == nil {
		return
	}
	got := [3]uint32{1: uint32(torrent.downloaded)}
	for _, r := range torrent.peers {
		if r.seeder {
			got[0]++
		} else {
			got[2]++
		}
	}
	if got != want.Scrape {
		t.Errorf("%v: scrape %v, want %v", h, got, want.Scrape)
	}
	peers := slices.SortedFunc(maps.Keys(torrent.peers), comparePeers)
	wantPeers := slices.Concat(want.peers(t, want.Peers4), want.peers(t, want.Peers6))
	slices.SortFunc(wantPeers, comparePeers)
	if !slices.Equal(peers, wantPeers) {
		t.Errorf("%v: peers %v, want %v", h, peers, wantPeers)
	}
}

func comparePeers(a, b wire.Peer) int { return cmp.Compare(string(a[:]), string(b[:])) }

// peers reads addresses and ports as the file has them.
func (effect) peers(t *testing.T, list [][2]any) (peers []wire.Peer) {
	t.Helper()
	for _, entry := range list {
		address, ok := entry[0].(string)
		port, ok2 := entry[1].(float64)
		ip, err := netip.ParseAddr(address)
		if !ok || !ok2 || err != nil {
			t.Fatalf("vector with peer %v", entry)
		}
		peers = append(peers, wire.PeerFrom(netip.AddrPortFrom(ip, uint16(port))))
	}
	return peers
}
