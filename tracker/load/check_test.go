package load

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"starling/wire"
)

func testPopulation(cfg Config, is4 bool) *population {
	cfg.Seed = 1
	cfg = cfg.withDefaults()
	local := netip.MustParseAddr("fd00::1")
	if is4 {
		local = netip.MustParseAddr("127.0.0.1")
	}
	sources, err := loopbackSources(cfg.Sources, local)
	if err != nil {
		panic(err)
	}
	p := newPopulation(cfg, sources)
	p.scrapes = true
	return p
}

// compact returns peer k as it stands in an answer.
func compact(p *population, k int) []byte {
	addr := p.sources[k%len(p.sources)].Addr()
	peer := wire.PeerFrom(netip.AddrPortFrom(addr, p.port(k)))
	return append([]byte(nil), peer.Compact()...)
}

func (a *answer) setPeers(p *population, peers []byte) {
	if p.sources[0].Is4() {
		a.peers4 = peers
	} else {
		a.peers6 = peers
	}
}

// Whatever a right tracker answers, and in whatever order answers come back, is right.
func TestRightAnswersAreRight(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	for round := range 40 {
		cfg := Config{Torrents: 1 + r.IntN(20), Peers: 20 + r.IntN(500), InFlight: 1 + r.IntN(10)}
		if round%2 == 0 {
			cfg.Sources = 1 + r.IntN(5)
		}
		p := testPopulation(cfg, round%2 == 0)
		cfg = cfg.withDefaults()
		c := newChecker(p, &cfg)
		swarms := map[int]map[int]bool{}
		type flight struct {
			d deed
			a answer
		}
		var flying []flight
		for i := range 1500 {
			now := uint32(i)
			if len(flying) == cfg.InFlight || len(flying) > 0 && r.IntN(3) == 0 {
				j := r.IntN(len(flying))
				f := flying[j]
				flying[j] = flying[len(flying)-1]
				flying = flying[:len(flying)-1]
				if r.IntN(20) == 0 { // lost on the way
					p.finish(&f.d, false, now)
					continue
				}
				if wrong := c.check(&f.d, &f.a); wrong != isRight {
					t.Fatalf("seed %d round %d step %d, %+v: %s", seed, round, i, f.d, wrongNames[wrong])
				}
				p.finish(&f.d, true, now)
				continue
			}
			k := r.IntN(p.peers())
			if p.has(k, isBusy) {
				continue
			}
			d := p.begin(k, r, true, now)
			flying = append(flying, flight{d, rightAnswer(p, swarms, &d, &cfg)})
		}
	}
}

// rightAnswer does what a right tracker does.
func rightAnswer(p *population, swarms map[int]map[int]bool, d *deed, cfg *Config) answer {
	swarm := swarms[p.torrent(d.peer)]
	if swarm == nil {
		swarm = map[int]bool{}
		swarms[p.torrent(d.peer)] = swarm
	}
	switch {
	case d.scrape:
	case d.event == wire.EventStopped:
		delete(swarm, d.peer)
	default:
		swarm[d.peer] = d.left == 0
	}
	a := answer{interval: 1800}
	var peers []byte
	for other, seeder := range swarm {
		if seeder {
			a.seeders++
		} else {
			a.leechers++
		}
		if other != d.peer && len(peers) < cfg.NumWant*len(compact(p, other)) {
			peers = append(peers, compact(p, other)...)
		}
	}
	a.setPeers(p, peers)
	return a
}

func TestWrongAnswers(t *testing.T) {
	for _, is4 := range []bool{true, false} {
		cfg := Config{Torrents: 10, Peers: 1000, Skew: -1, InFlight: 5}.withDefaults()
		p := testPopulation(cfg, is4)
		c := newChecker(p, &cfg)
		first, other := int(p.first[7]), int(p.first[8])
		begin := func(k int) deed { return p.begin(k, nil, false, 100) }
		k := first
		for n := range 60 {
			d := begin(k + n)
			p.finish(&d, true, 0)
		}
		for n := range 3 {
			d := begin(other + 70 + n)
			p.finish(&d, true, 0)
		}
		gone := k + 59
		d := deed{peer: gone, event: wire.EventStopped}
		p.finish(&d, true, 99)
		many := make([]byte, 0, 51*wire.Compact6)
		for n := range 51 {
			many = append(many, compact(p, k+n+1)...)
		}
		stranger := compact(p, k+1)
		stranger[0]++
		low := compact(p, k+1)
		low[len(low)-1], low[len(low)-2] = 1, 0
		asker, counts := begin(k), &p.counts[7]
		all := answer{interval: 1, seeders: uint64(counts.seeders.Load()), leechers: uint64(counts.leechers.Load())}
		for name, test := range map[string]struct {
			answer answer
			peers  []byte
			want   wrongness
		}{
			"nobody":                      {all, nil, isRight},
			"fifty":                       {all, many[:50*len(stranger)], isRight},
			"fifty-one":                   {all, many, wrongNumber},
			"another address":             {all, stranger, wrongStranger},
			"a port below all":            {all, low, wrongStranger},
			"never announced":             {all, compact(p, k+61), wrongStranger},
			"announced elsewhere":         {all, compact(p, other+70), wrongStranger},
			"twice":                       {all, append(compact(p, k+1), compact(p, k+1)...), wrongTwice},
			"stopped":                     {all, compact(p, gone), wrongGone},
			"itself among others":         {all, append(compact(p, k+1), compact(p, k)...), wrongSelf},
			"itself only, though counted": {all, compact(p, k), wrongSelf},
			"too many seeders":            {answer{interval: 1, seeders: 61, leechers: 0}, nil, wrongSeeders},
			"too many leechers":           {answer{interval: 1, leechers: 61}, nil, wrongLeechers},
			"too few of both":             {answer{interval: 1, seeders: all.seeders - 6, leechers: all.leechers}, nil, wrongFew},
			"no interval":                 {answer{seeders: all.seeders, leechers: all.leechers}, nil, wrongInterval},
		} {
			test.answer.setPeers(p, test.peers)
			for range 2 { // nothing of one answer is left for the next
				if got := c.check(&asker, &test.answer); got != test.want {
					t.Errorf("IPv4 %v, %s: %q, want %q", is4, name, wrongNames[got], wrongNames[test.want])
				}
			}
		}
		foreign := answer{interval: 1, seeders: all.seeders, leechers: all.leechers, peers4: make([]byte, 6), peers6: make([]byte, 18)}
		if got := c.check(&asker, &foreign); got != wrongStranger {
			t.Errorf("peers of the other family: %q", wrongNames[got])
		}
		for _, word := range c.seen {
			if word != 0 {
				t.Fatalf("marks are left: %x", c.seen)
			}
		}
	}
}

// Each peer has an address and a port of its own in its torrent, and they lead back to it.
func TestPeersAreFound(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	for range 30 {
		cfg := Config{Torrents: 1 + r.IntN(30), Sources: 1 + r.IntN(700), Skew: 2 * r.Float64()}
		cfg.Peers = max(cfg.Sources, cfg.Torrents) + r.IntN(1+min(200_000, portsPer*cfg.Sources/2))
		p := testPopulation(cfg, true)
		dealt := 0
		for torrent := range cfg.Torrents {
			if n := int(p.first[torrent+1]) - int(p.first[torrent]); n < 1 {
				t.Fatalf("seed %d, %+v: torrent %d has %d peers", seed, cfg, torrent, n)
			} else {
				dealt += n
			}
		}
		if dealt != cfg.Peers || p.most > largest(cfg) {
			t.Fatalf("seed %d, %+v: %d peers were dealt, %d to one, want at most %d", seed, cfg, dealt, p.most, largest(cfg))
		}
		for range 1000 {
			k, torrent := r.IntN(cfg.Peers), r.IntN(cfg.Torrents)
			if got := p.find(p.torrent(k), compact(p, k)); got != k {
				t.Fatalf("seed %d, %+v: peer %d is found as %d", seed, cfg, k, got)
			}
			if got := p.find(torrent, compact(p, k)); got >= 0 && p.torrent(got) != torrent {
				t.Fatalf("seed %d, %+v: peer %d of torrent %d is found in %d", seed, cfg, got, p.torrent(got), torrent)
			}
		}
	}
}

func TestSourcesThatAreNotOurs(t *testing.T) {
	if _, err := loopbackSources(2, netip.MustParseAddr("192.0.2.1")); err == nil {
		t.Error("no error")
	}
}

func TestRolesAreMixed(t *testing.T) {
	for _, torrents := range []int{1, 2, 4, 100, 1000, 1024} {
		p := testPopulation(Config{Torrents: torrents, Peers: torrents * 400, Skew: -1, Sources: 16}, true)
		for torrent := range min(torrents, 50) {
			seeders := 0
			for k := p.first[torrent]; k < p.first[torrent+1]; k++ {
				if p.has(int(k), isSeeder) {
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
	cfg := Config{Torrents: 100, Peers: 10000, Skew: -1}.withDefaults()
	p := testPopulation(cfg, true)
	for k := range p.peers() {
		d := p.begin(k, nil, false, 0)
		p.finish(&d, true, 0)
	}
	a := answer{interval: 1800, seeders: 40, leechers: 10}
	for n := range 50 {
		a.peers4 = append(a.peers4, compact(p, n)...)
	}
	c, d := newChecker(p, &cfg), deed{peer: 60}
	b.ReportAllocs()
	for b.Loop() {
		if wrong := c.check(&d, &a); wrong != isRight {
			b.Fatal(wrongNames[wrong])
		}
	}
}
