package load

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"starling/wire"
)

// testPopulation returns a small population with an address of the given family.
func testPopulation(torrents, peers int, is4 bool) *population {
	local := netip.MustParseAddr("fd00::1")
	if is4 {
		local = netip.MustParseAddr("127.0.0.1")
	}
	return newPopulation(Config{Torrents: torrents, Peers: peers, Seed: 1}, local)
}

// compact returns peer k of p as it stands in an answer.
func compact(p *population, k int) []byte {
	peer := wire.PeerFrom(netip.AddrPortFrom(p.local.Addr(), p.port(k)))
	return append([]byte(nil), peer.Compact()...)
}

// setPeers puts compact peers where those of p's family belong.
func (a *answer) setPeers(p *population, peers []byte) {
	if p.local.Is4() {
		a.peers4 = peers
	} else {
		a.peers6 = peers
	}
}

// All answers of a tracker that keeps sets in a plain map are right, whatever the order of announces, and peers and ports are one to one.
func TestRightAnswersAreRight(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	for round := range 40 {
		p := testPopulation(1+r.IntN(20), 1+r.IntN(500), round%2 == 0)
		c := newChecker(p)
		swarms := map[int]map[int]bool{}
		for i := range 1000 {
			k := r.IntN(p.peers)
			swarm := swarms[p.torrent(k)]
			if swarm == nil {
				swarm = map[int]bool{}
				swarms[p.torrent(k)] = swarm
			}
			if event := p.announce(k); (event == wire.EventStarted) == swarm[k] {
				t.Fatalf("seed %d: event %q of a peer known %v", seed, event, swarm[k])
			}
			swarm[k] = true
			a := answer{interval: 1800}
			var peers []byte
			for other := range swarm {
				if p.seeder(other) {
					a.seeders++
				} else {
					a.leechers++
				}
				if (other != k || len(swarm) == 1) && len(peers) < numWant*len(compact(p, k)) {
					peers = append(peers, compact(p, other)...)
				}
			}
			a.setPeers(p, peers)
			if wrong := c.check(k, &a); wrong != isRight {
				t.Fatalf("seed %d round %d answer %d: %s", seed, round, i, wrongNames[wrong])
			}
		}
	}
}

func TestWrongAnswers(t *testing.T) {
	for _, is4 := range []bool{true, false} {
		p := testPopulation(10, 1000, is4)
		c := newChecker(p)
		const k = 7
		for n := range 60 {
			p.announce(k + 10*n)
		}
		p.announce(8 + 10*70)
		many := make([]byte, 0, 51*wire.Compact6)
		for n := range 51 {
			many = append(many, compact(p, k+10*(n+1))...)
		}
		stranger := compact(p, k+10)
		stranger[0]++
		low := compact(p, k+10)
		low[len(low)-1], low[len(low)-2] = 1, 0
		for name, test := range map[string]struct {
			answer answer
			peers  []byte
			want   wrongness
		}{
			"nobody":                      {answer{interval: 1}, nil, isRight},
			"fifty":                       {answer{interval: 1}, many[:50*len(stranger)], isRight},
			"fifty-one":                   {answer{interval: 1}, many, wrongNumber},
			"another address":             {answer{interval: 1}, stranger, wrongStranger},
			"a port below all":            {answer{interval: 1}, low, wrongStranger},
			"never announced":             {answer{interval: 1}, compact(p, k+10*61), wrongStranger},
			"beyond the last peer":        {answer{interval: 1}, compact(p, k+10*200), wrongStranger},
			"announced elsewhere":         {answer{interval: 1}, compact(p, 8+10*70), wrongStranger},
			"twice":                       {answer{interval: 1}, append(compact(p, k+10), compact(p, k+10)...), wrongTwice},
			"itself among others":         {answer{interval: 1}, append(compact(p, k+10), compact(p, k)...), wrongSelf},
			"itself only, though counted": {answer{interval: 1, seeders: 2}, compact(p, k), wrongSelf},
			"itself, alone":               {answer{interval: 1, seeders: 1}, compact(p, k), isRight},
			"too many seeders":            {answer{interval: 1, seeders: 61}, nil, wrongSeeders},
			"too many leechers":           {answer{interval: 1, leechers: 61}, nil, wrongLeechers},
			"no interval":                 {answer{}, nil, wrongInterval},
		} {
			test.answer.setPeers(p, test.peers)
			for range 2 { // nothing of one answer is left for the next
				if got := c.check(k, &test.answer); got != test.want {
					t.Errorf("IPv4 %v, %s: %q, want %q", is4, name, wrongNames[got], wrongNames[test.want])
				}
			}
		}
		other := answer{interval: 1, peers4: make([]byte, 6), peers6: make([]byte, 18)}
		if got := c.check(k, &other); got != wrongStranger {
			t.Errorf("peers of the other family: %q", wrongNames[got])
		}
		for _, word := range c.seen {
			if word != 0 {
				t.Fatalf("marks are left: %x", c.seen)
			}
		}
	}
}

// Three of four peers are seeders, in the whole and in every torrent with enough of them.
func TestRolesAreMixed(t *testing.T) {
	for _, torrents := range []int{1, 2, 4, 100, 1000, 1024} {
		p := testPopulation(torrents, torrents*400, true)
		for torrent := range min(torrents, 50) {
			seeders := 0
			for n := range 400 {
				if p.seeder(torrent + n*torrents) {
					seeders++
				}
			}
			if seeders < 240 || seeders > 360 {
				t.Errorf("%d torrents: %d of 400 peers of torrent %d are seeders", torrents, seeders, torrent)
			}
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	p := testPopulation(100, 10000, true)
	for k := range p.peers {
		p.announce(k)
	}
	a := answer{interval: 1800, seeders: 10, leechers: 10}
	for n := range 50 {
		a.peers4 = append(a.peers4, compact(p, 100*n)...)
	}
	c := newChecker(p)
	b.ReportAllocs()
	for b.Loop() {
		if c.check(5000, &a) != isRight {
			b.Fatal("wrong")
		}
	}
}
