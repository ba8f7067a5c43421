package pacer

import (
	"fmt"
	"slices"
	"time"
)

// HealthMode says when another node is probed.
type HealthMode uint8

const (
	// Lazy probes nodes that went silent.
	Lazy HealthMode = iota
	// Opportunistic also probes nodes that were not heard for a while.
	Opportunistic
	// Paranoid probes all nodes all the time.
	Paranoid
)

var healthModes = []string{Lazy: "lazy", Opportunistic: "opportunistic", Paranoid: "paranoid"}

// String returns the name as the configuration has it.
func (m HealthMode) String() string { return healthModes[m] }

// ParseHealthMode reads "lazy", "opportunistic" or "paranoid".
func ParseHealthMode(s string) (HealthMode, error) {
	if i := slices.Index(healthModes, s); i >= 0 {
		return HealthMode(i), nil
	}
	return 0, fmt.Errorf("health mode %q: it is lazy, opportunistic or paranoid", s)
}

// HealthConfig has the times of a Health.
type HealthConfig struct {
	Mode HealthMode
	// Silent: not heard for so long a node is suspected, three beacon
	// intervals. Without a probe it then counts as down.
	Silent time.Duration
	// Idle: not heard for so long it is probed in opportunistic mode, one
	// beacon interval.
	Idle time.Duration
	// Probe is the time from one probe to the next. Less finds a failure sooner
	// and costs both nodes a request each time.
	Probe time.Duration
	// Address says that there is an address to probe.
	Address bool
}

// fallProbes is how many probes in a row must fail until a node that was up is
// down, riseProbes how many must succeed until it is up again.
const (
	fallProbes = 2
	riseProbes = 2
)

// Health judges one other node: passively by what is heard of it, actively by
// probes that the caller makes when Due says so.
//
//	heard          -> up, at once: it lives and its packets reach us
//	silent         -> suspect: probed in every mode; without a probe address down
//	2 probes fail  -> down
//	2 succeed      -> up; until then what it was
//
// A node that fails its probes while its packets are heard is down for what the
// probe tries, serving clients: paranoid and opportunistic modes are for that.
// So packets lift it only when no probe contradicts them.
//
// A Health has no lock: its holder guards it.
type Health struct {
	cfg    HealthConfig
	heard  time.Time // last
	probed time.Time // last, begun
	good   int       // probes in a row that succeeded
	bad    int       // or failed
	down   bool      // by probes
}

// NewHealth judges a node that was just heard, or configured.
func NewHealth(cfg HealthConfig, now time.Time) *Health {
	return &Health{cfg: cfg, heard: now, probed: now}
}

// Heard says when a packet of the node came; the same packet may be told of
// again. Where no probe is due while the node is heard, its packets are all the
// evidence, and end what probes said while it was silent.
func (h *Health) Heard(now time.Time) {
	if !now.After(h.heard) {
		return
	}
	h.heard = now
	if h.cfg.Mode == Lazy {
		h.good, h.bad, h.down = 0, 0, false
	}
}

// Due says whether the node is to be probed now; the caller then begins one
// probe, and Probed gets what came of it.
func (h *Health) Due(now time.Time) bool {
	if at, ok := h.Next(); !ok || now.Before(at) {
		return false
	}
	h.probed = now
	return true
}

// Next returns when the next probe is due if nothing is heard until then.
func (h *Health) Next() (at time.Time, ok bool) {
	if !h.cfg.Address {
		return at, false
	}
	at = h.probed.Add(h.cfg.Probe)
	if h.unsure() {
		return at, true
	}
	switch h.cfg.Mode {
	case Lazy:
		at = later(at, h.heard.Add(h.cfg.Silent))
	case Opportunistic:
		at = later(at, h.heard.Add(h.cfg.Idle))
	}
	return at, true
}

// unsure says whether probes have begun to tell something and not finished:
// then they go on, in every mode, whether the node is heard or not.
func (h *Health) unsure() bool { return h.down || h.bad > 0 }

// later returns the later of two times.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Probed says what came of a probe: 200, or anything else and nothing in time.
func (h *Health) Probed(ok bool) {
	if !ok {
		h.good, h.bad = 0, min(h.bad+1, fallProbes)
		h.down = h.down || h.bad >= fallProbes
		return
	}
	h.good, h.bad = min(h.good+1, riseProbes), 0
	if h.good >= riseProbes {
		h.down = false
	}
}

// Up says whether the node counts as healthy. A silent one does when probes
// say so, else not.
func (h *Health) Up(now time.Time) bool {
	if h.down {
		return false
	}
	return now.Sub(h.heard) < h.cfg.Silent || h.cfg.Address && h.bad == 0 && h.good > 0
}
