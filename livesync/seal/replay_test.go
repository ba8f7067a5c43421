package seal

import (
	"math/rand/v2"
	"testing"
	"time"

	"starling/wire"
)

// The window agrees with a set of all sequences ever seen, as far as it reaches.
func TestWindow(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var w Window
		first, at := uint32(0), rng.Uint32N(1<<20)
		if rng.IntN(2) == 0 {
			first = at
			w.Start(first)
		}
		seen, highest := map[uint32]bool{}, uint64(first)
		for range 5000 {
			switch rng.IntN(20) {
			case 0:
				at += rng.Uint32N(3 * windowSize)
			case 1:
				at -= min(at, rng.Uint32N(windowSize))
			default:
				at += rng.Uint32N(4)
			}
			want := at >= first && !seen[at] && uint64(at)+windowSize >= highest
			if got := w.Fresh(at); got != want {
				t.Fatalf("seed %d: %d with highest %d is fresh: %t, want %t", seed, at, highest, got, want)
			}
			if want {
				seen[at] = true
				highest = max(highest, uint64(at)+1)
			}
		}
	}
}

// challenges are those of a test, which seldom asks when one was drawn.
type challenges struct{ Challenges }

func (c *challenges) Good(now time.Time, echo wire.Challenge) bool {
	_, ok := c.Drawn(now, echo)
	return ok
}

// Another challenge is drawn when one is wanted, but not with every STATE.
func TestChallengeRenewed(t *testing.T) {
	var c Challenges
	rng := rand.New(rand.NewPCG(1, 2))
	first := c.Now(noon, rng)
	c.Renew()
	if c.Now(noon.Add(challengePause-1), rng) != first {
		t.Error("another challenge is drawn at once")
	}
	second := c.Now(noon.Add(challengePause), rng)
	if second == first || c.Now(noon.Add(2*challengePause), rng) != second {
		t.Error("not one other challenge is drawn")
	}
	if at, ok := c.Drawn(noon.Add(2*challengePause), second); !ok || !at.Equal(noon.Add(challengePause)) {
		t.Errorf("it was drawn at %v, %t", at, ok)
	}
}

func TestChallenges(t *testing.T) {
	var c challenges
	rng := rand.New(rand.NewPCG(1, 2))
	if c.Good(noon, wire.Challenge{}) {
		t.Error("no challenge is a good one")
	}
	first := c.Now(noon, rng)
	if first == (wire.Challenge{}) || c.Now(noon.Add(challengeLife-1), rng) != first || !c.Good(noon, first) || c.Good(noon, wire.Challenge{1}) {
		t.Error("a challenge is not good for its time")
	}
	second := c.Now(noon.Add(challengeLife), rng)
	third := c.Now(noon.Add(2*challengeLife), rng)
	if second == first || third == second {
		t.Error("a challenge is drawn twice")
	}
	if at := noon.Add(3*challengeLife - 1); !c.Good(at, first) || !c.Good(at, second) || !c.Good(at, third) {
		t.Error("a challenge is forgotten too early")
	}
	c.Now(noon.Add(3*challengeLife), rng)
	if c.Good(noon.Add(3*challengeLife), first) {
		t.Error("a challenge is good for longer than half a minute")
	}
	fourth := c.Now(noon, rng)
	if fourth == third || c.Good(noon, third) || !c.Good(noon, fourth) {
		t.Error("after the clock was set back no new one is drawn, or an old one is good")
	}
	if c.Now(noon.Add(time.Hour), rng); c.Good(noon.Add(time.Hour), fourth) {
		t.Error("a challenge is good after an hour in which none was drawn")
	}
}
