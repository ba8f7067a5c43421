package pacer

import (
	"slices"
	"testing"
	"time"
)

// every calls f with every situation there is, for some costs and tokens.
func every(f func(Situation)) {
	flags := []bool{false, true}
	for kind := range kinds {
		for _, outcome := range []Outcome{Admitted, Late, Full, Closed} {
			for bits := range 64 {
				for _, available := range []int64{-100, 0, 79, 80, 139, 140, 229, 230, 380, 1e6} {
					for _, numWant := range []int{0, 5, 10, 11, 50, 200} {
						f(Situation{
							Kind: kind, Outcome: outcome,
							UDP: flags[bits&1], Jail: flags[bits>>1&1], Abuse: flags[bits>>2&1],
							Sibling: flags[bits>>3&1], Redirected: flags[bits>>4&1], Copy: flags[bits>>5&1],
							NumWant: numWant, Base: 80, PerPeer: 6, Available: available,
						})
					}
				}
			}
		}
	}
}

// TestLadderInvariants holds every situation against the rules of the design.
func TestLadderInvariants(t *testing.T) {
	seen := map[Step]bool{}
	every(func(s Situation) {
		step, n := Decide(s)
		seen[step] = true
		bad := ""
		switch {
		case (step == Hangup) != s.Abuse:
			bad = "hangup is for abuse, and abuse for nothing else"
		case s.Abuse:
		case s.Outcome == Admitted && (step != Serve || n != s.NumWant):
			bad = "it was admitted"
		case s.UDP && (step == Redirect || step == Fail):
			bad = "UDP has neither"
		case step == Redirect && (!s.Sibling || s.Redirected):
			bad = "redirected in a loop or to nobody"
		case step == Fail && !s.Jail && s.Outcome != Full && s.Kind != Scrape:
			bad = "a failure without a jail or a full queue"
		case (step == Stale || step == Unavailable) != (s.Kind == Bulk && s.Outcome != Admitted):
			bad = "documents, and only they"
		case step == Stale && !s.Copy:
			bad = "a copy that there is not"
		case step == Short && (n >= s.NumWant || s.Base+int64(n)*s.PerPeer > s.Available || !slices.Contains(shortLists[:], n)):
			bad = "a list that is not shorter, or not paid for"
		case step == Bare && n != 0:
			bad = "bare has no peers"
		case (step == Short || step == Bare) && (s.Kind == Scrape || s.Kind == Bulk):
			bad = "this has no peers to leave out"
		}
		if bad != "" {
			t.Fatalf("%v with %d peers for %+v: %s", step, n, s, bad)
		}
	})
	for _, step := range Steps() {
		if !seen[step] {
			t.Errorf("%v is never reached", step)
		}
	}
}

// TestLadderInOrder follows an announce of 50 peers down, as tokens become fewer.
func TestLadderInOrder(t *testing.T) {
	s := Situation{Kind: Regular, Outcome: Late, NumWant: 50, Base: 80, PerPeer: 6, Sibling: true}
	for _, c := range []struct {
		available int64
		change    func()
		step      Step
		n         int
	}{
		{300, nil, Short, 25},
		{229, nil, Short, 10},
		{100, nil, Short, 0},
		{79, nil, Redirect, 0},
		{79, func() { s.Redirected = true }, Bare, 0},
		{79, func() { s.Outcome = Full }, Fail, 0},
		{300, func() { s.Jail = true }, Fail, 0},
		{300, func() { s.UDP = true }, Bare, 0},
		{300, func() { s.Abuse = true }, Hangup, 0},
	} {
		if c.change != nil {
			c.change()
		}
		s.Available = c.available
		if step, n := Decide(s); step != c.step || n != c.n {
			t.Errorf("%+v: %v with %d, want %v with %d", s, step, n, c.step, c.n)
		}
	}
	if step, _ := Decide(Situation{Kind: Regular, Outcome: Late, NumWant: 50, Base: 1, Available: 5}); step != Bare {
		t.Errorf("costs in requests: %v", step)
	}
}

// TestShorter: a wait shortens the list in three steps, never lengthens it,
// and a deadline of zero is no division by it.
func TestShorter(t *testing.T) {
	const deadline = 2 * time.Second
	for _, c := range []struct {
		numWant int
		waited  time.Duration
		want    int
	}{
		{50, 0, 50}, {50, deadline/4 - 1, 50}, {50, deadline / 4, 25}, {50, deadline/2 - 1, 25}, {50, deadline / 2, 10},
		{50, deadline * 3 / 4, 0}, {50, deadline, 0}, {50, time.Hour, 0}, {50, -time.Hour, 50}, {7, deadline / 4, 7}, {7, deadline, 0},
	} {
		if got := Shorter(c.numWant, c.waited, deadline); got != c.want {
			t.Errorf("%d peers after %v: %d, want %d", c.numWant, c.waited, got, c.want)
		}
	}
	if got := Shorter(50, time.Second, 0); got != 0 {
		t.Errorf("past a deadline of zero: %d", got)
	}
}
