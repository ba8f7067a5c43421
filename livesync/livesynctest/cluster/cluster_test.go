package cluster

import (
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestSeeds plays the first seeds, each twice: it must go the same way, watched or not. scripts/simulate plays as many as one likes.
func TestSeeds(t *testing.T) {
	seeds := uint64(20)
	if testing.Short() {
		seeds = 4
	}
	for seed := range seeds {
		for _, keyed := range []bool{false, true} {
			s := New(seed, keyed)
			r := s.Run(nil)
			if len(r.Faults) > 0 {
				t.Errorf("%s\n%s", s, strings.Join(r.Faults, "\n"))
			}
			if again := New(seed, keyed).Run(io.Discard); again.Digest != r.Digest {
				t.Errorf("seed %d went differently the second time", seed)
			}
		}
	}
}

// TestMinimize compares the nodes before a record has arrived: of the whole schedule that announce is left.
func TestMinimize(t *testing.T) {
	s := New(1, false)
	first := slices.IndexFunc(s.Events, func(e Event) bool { return e.Kind == Announce && !e.Stopped })
	s.End = s.Events[first].At + time.Nanosecond
	if r := s.Run(nil); len(r.Faults) == 0 {
		t.Fatal("nothing goes wrong")
	}
	small := s.Minimize()
	if len(small.Events) != 1 || len(small.Run(nil).Faults) == 0 {
		t.Errorf("not smaller than\n%s", small)
	}
}

// TestAllHappens looks for each kind of event among the first schedules, and for a line that says it.
func TestAllHappens(t *testing.T) {
	for _, keyed := range []bool{false, true} {
		seen := map[Kind]bool{}
		for seed := range uint64(200) {
			s := New(seed, keyed)
			text := s.String()
			for _, e := range s.Events {
				seen[e.Kind] = true
				if !strings.Contains(text, e.String()) {
					t.Fatalf("seed %d does not print %s", seed, e)
				}
			}
		}
		if seen[Spoil] != keyed || len(seen) < len(kindNames)-1 {
			t.Errorf("only %v happen", seen)
		}
	}
}
