package main

import (
	"fmt"
	"strings"

	"starling/tracker"
)

// memoryStatus is the memory of a node, in bytes.
type memoryStatus struct {
	Limit    int64  `json:"limit_bytes"` // 0: there is none
	Resident uint64 `json:"resident_bytes"`
	Swarms   uint64 `json:"swarms_bytes"`

	// With a limit: what the swarms may hold, how much of that has peers and torrents in it, and calm, tight or full.
	SwarmsAtMost int64  `json:"swarms_at_most_bytes,omitempty"`
	Live         int64  `json:"swarms_live_bytes,omitempty"`
	Pressure     string `json:"pressure,omitempty"`

	Refused map[string]uint64 `json:"refused"` // what was not stored, by why
	Sampled uint64            `json:"sampled"` // peers that are in the counts of their swarm only
}

// refusedCount is how many peers and torrents were not stored for a reason.
type refusedCount struct {
	reason string
	count  uint64
}

// refusedOf returns the reasons under the names they have in the JSON.
func refusedOf(u *tracker.Unstored) []refusedCount {
	return []refusedCount{{"unknown_torrent", u.Unknown}, {"new_torrent", u.Torrents}, {"peer", u.Peers}, {"swarm_too_large", u.Shard}, {"jail", u.Jailed}}
}

func (n *node) memoryStatus(s *tracker.Stats) memoryStatus {
	m := memoryStatus{Limit: n.cfg.memoryLimit, Resident: resident(), Swarms: s.Bytes, Refused: map[string]uint64{}, Sampled: s.Unstored.Sampled}
	if n.budget != nil {
		b := n.budget.Status()
		m.Swarms, m.SwarmsAtMost, m.Live, m.Pressure = uint64(b.Held), b.Bytes, b.Live, b.Pressure.String()
	}
	for _, r := range refusedOf(&s.Unstored) {
		m.Refused[r.reason] = r.count
	}
	return m
}

// line says how much memory there is, and how it gets on.
func (m *memoryStatus) line() string {
	var b strings.Builder
	b.WriteString(size(m.Resident))
	if m.Limit > 0 {
		fmt.Fprintf(&b, " of %s, %s", size(uint64(m.Limit)), m.Pressure)
	}
	fmt.Fprintf(&b, "; swarms %s", size(m.Swarms))
	if m.SwarmsAtMost > 0 {
		fmt.Fprintf(&b, " of %s", size(uint64(m.SwarmsAtMost)))
	}
	return b.String()
}

// trouble says that something is refused for want of memory; empty: nothing is.
func (m *memoryStatus) trouble() string {
	refused := uint64(0)
	for _, n := range m.Refused {
		refused += n
	}
	for p, meaning := range pressureMeanings {
		if pressure := tracker.Pressure(p); pressure != tracker.Calm && m.Pressure == pressure.String() {
			return fmt.Sprintf("memory is %s: %s; %s refused so far", m.Pressure, meaning, count(refused))
		}
	}
	return ""
}

// size writes a number of bytes as people say it: 812 KiB, 1.5 GiB.
func size(n uint64) string {
	for _, u := range []struct {
		name string
		size uint64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n >= 10*u.size {
			return fmt.Sprintf("%d %s", n/u.size, u.name)
		}
		if n >= u.size {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(u.size), u.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}

// memory adds the figures of a memory limit.
func (e *exposition) memory(limit int64, b *tracker.BudgetStatus) {
	e.gauge("memory_limit_bytes", "What --memory-limit allows the process; 0: there is no limit.").sample(float64(limit))
	e.gauge("memory_swarms_bytes", "With a limit: memory that the swarms may hold, that they hold, and in which there are peers and torrents.").
		sample(float64(b.Bytes), "is", "allowed").sample(float64(b.Held), "is", "held").sample(float64(b.Live), "is", "live")
	e.gauge("memory_pressure", "1 for the pressure there is: calm, tight or full.")
	for p := tracker.Calm; p <= tracker.Full; p++ {
		e.sample(number(p == b.Pressure), "pressure", p.String())
	}
}
