package tracker

import (
	"math"
	"math/rand/v2"
	"testing"

	"starling/wire"
)

// differing estimates how many peers two trackers hold differently, as nodes do.
func differing(a, b *Tracker) (n float64) {
	for group := range wire.SketchGroups {
		x, y := a.Sketch(group), b.Sketch(group)
		for i := range x {
			d := float64(x[i]) - float64(y[i])
			n += d * d
		}
	}
	return n
}

// TestSketchEstimates gives two stores the same peers but for some. However these lie, in one swarm or in many, with addresses
// that count up, over both families or in another role, the estimate is right on average and its error what 256 sums have.
func TestSketchEstimates(t *testing.T) {
	kinds := map[string]func(rng *rand.Rand, i int) wire.Record{
		"one swarm":   func(_ *rand.Rand, i int) wire.Record { return wire.Record{InfoHash: hashOf(1), Peer: peer4(i)} },
		"many swarms": func(_ *rand.Rand, i int) wire.Record { return wire.Record{InfoHash: hashOf(i), Peer: peer4(7)} },
		"one client": func(_ *rand.Rand, i int) wire.Record {
			p := peer4(7)
			p[16], p[17] = byte(i>>8), byte(i)
			return wire.Record{InfoHash: hashOf(1), Peer: p}
		},
		"both families": func(rng *rand.Rand, i int) wire.Record {
			r := wire.Record{InfoHash: hashOf(rng.IntN(50)), Peer: peer6(i), Flags: wire.Seeding}
			if i&1 != 0 {
				r.Peer = peer4(i)
			}
			return r
		},
	}
	for name, kind := range kinds {
		for _, d := range []int{0, 1, 5, 100, 3000} {
			rounds, sum, squares := max(fewer(100), 10), 0.0, 0.0
			for round := range rounds {
				rng := rand.New(rand.NewPCG(uint64(d), uint64(round)))
				key := [32]byte{byte(round), byte(d), byte(d >> 8)}
				a := New(Config{Shards: 4, SketchKey: &key}, epoch)
				b := New(Config{Shards: 1, SketchKey: &key}, epoch)
				for i := range d {
					[2]*Tracker{a, b}[rng.IntN(2)].Apply(epoch, kind(rng, i+1))
				}
				for i := range 50 { // what both have does not count
					r := wire.Record{InfoHash: hashOf(i % 3), Peer: peer4(1<<20 + i)}
					a.Apply(epoch, r)
					b.Apply(epoch, r)
				}
				got := differing(a, b)
				if d <= 1 && got != float64(d) {
					t.Fatalf("round %d: estimate %v of %d", round, got, d)
				}
				sum += got
				squares += (got - float64(d)) * (got - float64(d))
			}
			n, want := float64(rounds), float64(d)
			mean, deviation := sum/n, math.Sqrt(squares/n)
			// The standard error of one estimate is below sqrt(2/256) of it; five times that of the mean, and of the deviation, are allowed.
			// The rounds are the same each time: of small numbers two in one sum are rare and far off, and no bound holds for any seeds.
			one := math.Sqrt(2.0/sketchSums) * want
			if math.Abs(mean-want) > 5*one/math.Sqrt(n) || deviation > one*(1+5/math.Sqrt(n)) {
				t.Errorf("%s: estimates of %d are %.1f on average, with an error of %.1f", name, d, mean, deviation)
			}
		}
	}
}

// TestSketchRole: a peer that is a seeder here and a leecher there counts twice, once for each role that the other lacks.
func TestSketchRole(t *testing.T) {
	sum := 0.0
	for i := range 400 {
		key := [32]byte{byte(i), byte(i >> 8)}
		a, b := New(Config{SketchKey: &key}, epoch), New(Config{SketchKey: &key}, epoch)
		r := wire.Record{InfoHash: hashOf(i), Peer: peer4(i)}
		a.Apply(epoch, r)
		r.Flags = wire.Seeding
		b.Apply(epoch, r)
		sum += differing(a, b)
		a.Apply(epoch, r)
		if n := differing(a, b); n != 0 {
			t.Fatalf("they are the same and differ by %v", n)
		}
	}
	if mean := sum / 400; math.Abs(mean-2) > 0.1 {
		t.Errorf("estimate %v, want 2", mean)
	}
}

func TestSketchOff(t *testing.T) {
	tr := populate(3, 100)
	for group := range wire.SketchGroups {
		if tr.Sketch(group) != [wire.SketchGroup]int32{} {
			t.Fatal("sums without a key")
		}
	}
}

func TestSketchDoesNotAllocate(t *testing.T) {
	tr := New(Config{SketchKey: &[32]byte{1}}, epoch)
	r := wire.Record{InfoHash: hashOf(1), Peer: peer4(1)}
	tr.Apply(epoch, r)
	if n := testing.AllocsPerRun(100, func() {
		r.Flags ^= wire.Seeding
		tr.Apply(epoch, r)
		tr.Sketch(3)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkSketch measures what a peer that comes and leaves costs with and without sums, and what asking for a group does.
func BenchmarkSketch(b *testing.B) {
	for name, key := range map[string]*[32]byte{"off": nil, "on": {1}} {
		t := New(Config{Seed: &[32]byte{1}, SketchKey: key}, epoch)
		b.Run("come+leave/"+name, func(b *testing.B) {
			r := wire.Record{InfoHash: hashOf(1), Peer: peer4(1)}
			for range b.N {
				r.Flags = 0
				t.Apply(epoch, r)
				r.Flags = wire.Stopped
				t.Apply(epoch, r)
			}
		})
		b.Run("ask/"+name, func(b *testing.B) {
			for n := range b.N {
				t.Sketch(n % wire.SketchGroups)
			}
		})
	}
}
