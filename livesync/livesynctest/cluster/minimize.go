package cluster

import "slices"

// minimizeRuns bounds how often a schedule is played to make it smaller.
const minimizeRuns = 600

// Minimize returns a schedule with as few events as it finds that still goes wrong. It takes out large parts first, then
// smaller ones, until no single event can go.
func (s *Schedule) Minimize() *Schedule {
	small := *s
	runs := 0
	fails := func(events []Event) bool {
		runs++
		try := small
		try.Events = events
		return len(try.Run(nil).Faults) > 0
	}
	for part := (len(small.Events) + 1) / 2; part > 0 && runs < minimizeRuns; {
		before := len(small.Events)
		for i := 0; i < len(small.Events) && runs < minimizeRuns; {
			less := slices.Concat(small.Events[:i], small.Events[min(i+part, len(small.Events)):])
			if fails(less) {
				small.Events = less
			} else {
				i += part
			}
		}
		if part > 1 || len(small.Events) == before {
			part /= 2
		}
	}
	return &small
}
