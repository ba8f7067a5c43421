package tracker

import (
	"math/rand/v2"
	"testing"
)

// TestWheel files, moves, removes and lets time pass at random, and compares with a list: each connection comes out in the round that its
// time is up in, once, and there is always a tick to wake up for that is not too late.
func TestWheel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for round := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, round))
		var w wheel
		in := make(map[*loopConn]bool)
		for range 500 {
			switch c := anyOf(in); {
			case c == nil || r.IntN(3) == 0:
				c := &loopConn{timed: timed{due: w.tick + 1 + r.Int64N(wheelSlots-1)}}
				w.add(c)
				in[c] = true
			case r.IntN(3) == 0:
				w.remove(c)
				delete(in, c)
			case r.IntN(2) == 0:
				w.move(c, w.tick+1+r.Int64N(wheelSlots-1))
			default:
				advanceWheel(t, &w, w.tick+r.Int64N(r.Int64N(2*wheelSlots)+1), in)
			}
			checkNext(t, &w, in)
		}
		advanceWheel(t, &w, w.tick+wheelSlots, in)
		if _, ok := w.next(); ok || len(in) != 0 || w.filed != 0 {
			t.Fatalf("seed %d, %d: %d are left, %d filed", seed, round, len(in), w.filed)
		}
	}
}

// anyOf returns one of the connections, nil when there is none. Which one is for the map to say.
func anyOf(in map[*loopConn]bool) *loopConn {
	for c := range in {
		return c
	}
	return nil
}

func advanceWheel(t *testing.T, w *wheel, tick int64, in map[*loopConn]bool) {
	t.Helper()
	for c := w.advance(tick); c != nil; c = w.advance(tick) {
		if !in[c] || c.due > tick || c.next != nil {
			t.Fatalf("one that is due in %d came out in %d, filed %v", c.due, tick, in[c])
		}
		delete(in, c)
	}
	for c := range in {
		if c.due <= tick {
			t.Fatalf("one that was due in %d is still there in %d", c.due, tick)
		}
	}
}

func checkNext(t *testing.T, w *wheel, in map[*loopConn]bool) {
	t.Helper()
	tick, ok := w.next()
	if ok != (len(in) > 0) || w.filed != len(in) {
		t.Fatalf("%v, %d filed of %d", ok, w.filed, len(in))
	}
	for c := range in {
		if tick > c.due || tick <= w.tick {
			t.Fatalf("wakes up in %d, in %d now, for one due in %d", tick, w.tick, c.due)
		}
	}
}
