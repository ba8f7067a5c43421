package tracker

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"starling/wire"
)

// TestChooseUniform counts how often each peer of a swarm is chosen. The sum of squared deviations from the mean must be what
// chance makes it (chi-square; answers are drawn without replacement, which narrows it by the share left out). Answers from large
// swarms take a few neighbours at once, which makes the sum vary up to three times as much.
func TestChooseUniform(t *testing.T) {
	for _, c := range []struct {
		peers, want, rounds int
		v6                  bool
	}{
		{20, 5, 20_000, false},   // one block
		{64, 50, 20_000, false},  // one full block
		{150, 50, 20_000, false}, // a directory that is gone through whole
		{250, 50, 20_000, true},
		{400, 50, 20_000, false}, // drawn from few blocks
		{3000, 50, 40_000, false},
		{3000, 50, 40_000, true},
		{3000, 200, 10_000, false},
		{2000, mostWanted, 1_000, false}, // gone through whole
		{9000, mostWanted, 1_000, true},  // some blocks of it are
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			tr := New(Config{Shards: 1, MaxNumWant: 2 * mostWanted, Seed: &[32]byte{9}}, epoch)
			nth := peer4
			if c.v6 {
				nth = peer6
			}
			for i := range c.peers {
				tr.Apply(epoch, wire.Record{InfoHash: hashOf(1), Peer: nth(i)})
			}
			counts := map[wire.Peer]int{}
			rounds := fewer(c.rounds)
			a := Announce{InfoHash: hashOf(1), Peer: nth(c.peers), NumWant: c.want}
			for range rounds {
				var ans Answer
				tr.Announce(epoch, &a, &ans)
				for b := ans.Peers4; len(b) > 0; b = b[wire.Compact4:] {
					counts[wire.PeerFrom4(b)]++
				}
				for b := ans.Peers6; len(b) > 0; b = b[wire.Compact6:] {
					counts[wire.PeerFrom6(b)]++
				}
			}
			expect := float64(rounds) * float64(c.want) / float64(c.peers)
			sum, total := 0.0, 0
			for i := range c.peers {
				n := counts[nth(i)]
				total += n
				sum += (float64(n) - expect) * (float64(n) - expect) / expect
			}
			if total != rounds*c.want {
				t.Fatalf("%d peers in %d answers, not %d each", total, rounds, c.want)
			}
			free := float64(c.peers - 1)
			chi := sum / (1 - float64(c.want)/float64(c.peers))
			deviation := (chi - free) / math.Sqrt(2*free)
			t.Logf("chi-square %.0f with %.0f degrees of freedom: %.1f standard deviations", chi, free, deviation)
			if math.Abs(deviation) > 12 {
				t.Errorf("peers are not equally likely")
			}
		})
	}
}

// TestMark marks each number of bits in sets of many sizes: as many as are wanted are set, none beyond the size, and each as often as any other.
func TestMark(t *testing.T) {
	rng := rand.NewPCG(1, 2)
	var set [5]uint64
	for n := 1; n <= 64*len(set); n += 1 + n/9 {
		for want := 0; want <= n; want += 1 + n/9 {
			const rounds = 200
			var counts [64 * len(set)]int
			for range rounds {
				mark(set[:(n+63)/64], want, n, rng)
				marked := 0
				for i := range n {
					if set[i/64]>>(i%64)&1 != 0 {
						counts[i]++
						marked++
					}
				}
				if past := set[(n-1)/64] >> ((n - 1) % 64) >> 1; marked != want || past != 0 {
					t.Fatalf("%d of %d: %d are marked, and %b beyond", want, n, marked, past)
				}
			}
			p := float64(want) / float64(n)
			for i, c := range counts[:n] {
				if d := math.Abs(float64(c) - p*rounds); d > 6*math.Sqrt(p*(1-p)*rounds)+1 {
					t.Errorf("%d of %d: bit %d is marked %d times in %d", want, n, i, c, rounds)
				}
			}
		}
	}
}
