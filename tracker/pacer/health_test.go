package pacer

import (
	"testing"
	"time"
)

// healthRun simulates one node: a beacon every minute while it beacons, and
// probes that succeed while it serves. It is looked at each second.
type healthRun struct {
	t      *testing.T
	h      *Health
	now    time.Time
	probes int
}

func (run *healthRun) pass(d time.Duration, beacons, serves bool) {
	for end := run.now.Add(d); run.now.Before(end); {
		run.now = run.now.Add(time.Second)
		if beacons && run.now.Sub(epoch0)%time.Minute == 0 {
			run.h.Heard(run.now)
		}
		if run.h.Due(run.now) {
			run.probes++
			run.h.Probed(serves)
			if run.h.Due(run.now) {
				run.t.Fatal("due again at once")
			}
		}
	}
}

func newHealthRun(t *testing.T, mode HealthMode, address bool) *healthRun {
	cfg := HealthConfig{Mode: mode, Silent: 3 * time.Minute, Idle: 50 * time.Second, Probe: 5 * time.Second, Address: address}
	return &healthRun{t: t, h: NewHealth(cfg, epoch0), now: epoch0}
}

// TestHealthModes: who is probed while all is well, and who is found out.
func TestHealthModes(t *testing.T) {
	for _, c := range []struct {
		mode    HealthMode
		address bool
		probes  [2]int // from, to in ten quiet minutes
		sick    bool   // a node that beacons and does not serve is found
	}{
		{Lazy, true, [2]int{0, 0}, false},
		{Opportunistic, true, [2]int{10, 30}, true},
		{Paranoid, true, [2]int{119, 121}, true},
		{Paranoid, false, [2]int{0, 0}, false},
	} {
		run := newHealthRun(t, c.mode, c.address)
		run.pass(10*time.Minute, true, true)
		if run.probes < c.probes[0] || run.probes > c.probes[1] || !run.h.Up(run.now) {
			t.Errorf("%v: %d probes in ten minutes, up %v", c.mode, run.probes, run.h.Up(run.now))
		}
		run.pass(10*time.Minute, true, false)
		if run.h.Up(run.now) == c.sick {
			t.Errorf("%v: a node that beacons and does not serve is up: %v", c.mode, !c.sick)
		}
		run.pass(20*time.Second, true, true)
		if !run.h.Up(run.now) {
			t.Errorf("%v: a node that serves again is not up", c.mode)
		}
		run.pass(2*time.Minute, false, false)
		if want := c.mode == Lazy || !c.address; run.h.Up(run.now) != want {
			t.Errorf("%v: dead for two minutes, up %v", c.mode, !want)
		}
		run.pass(2*time.Minute, false, false)
		if run.h.Up(run.now) {
			t.Errorf("%v: dead for four minutes, and up", c.mode)
		}
		run.pass(time.Minute, false, true)
		if run.h.Up(run.now) != c.address {
			t.Errorf("%v: cut off from the segment and serving: up %v", c.mode, !c.address)
		}
		run.pass(2*time.Minute, true, true)
		if !run.h.Up(run.now) {
			t.Errorf("%v: back again and not up", c.mode)
		}
	}
}

// TestHealthProbesAreSpaced: whatever is heard and whatever probes say, two of
// them are a probe interval apart, and none is made of a node that was heard
// lately, where the mode forbids it, unless an earlier one failed.
func TestHealthProbesAreSpaced(t *testing.T) {
	r := seeded(t)
	for range 100 {
		mode := HealthMode(r.IntN(3))
		h := newHealthRun(t, mode, true).h
		now, last, heard := epoch0, epoch0, epoch0
		failing := false
		for range 1000 {
			now = now.Add(time.Duration(r.IntN(int(10 * time.Second))))
			if r.IntN(20) == 0 {
				now = now.Add(time.Duration(r.IntN(int(4 * time.Minute))))
			}
			if r.IntN(4) == 0 {
				h.Heard(now)
				heard = now
				failing = failing && mode != Lazy
			}
			next, _ := h.Next()
			if due := h.Due(now); due == now.Before(next) {
				t.Fatalf("due %v at %v, next %v", due, now, next)
			} else if !due {
				continue
			}
			quiet := map[HealthMode]time.Duration{Lazy: h.cfg.Silent, Opportunistic: h.cfg.Idle}[mode]
			if now.Sub(last) < h.cfg.Probe || !failing && now.Sub(heard) < quiet {
				t.Fatalf("%v: probed %v after the last, heard %v ago", mode, now.Sub(last), now.Sub(heard))
			}
			last = now
			ok := r.IntN(3) > 0
			h.Probed(ok)
			failing = h.unsure()
		}
	}
}

func TestParseHealthMode(t *testing.T) {
	for _, m := range []HealthMode{Lazy, Opportunistic, Paranoid} {
		if got, err := ParseHealthMode(m.String()); got != m || err != nil {
			t.Errorf("%v: %v %v", m, got, err)
		}
	}
	if _, err := ParseHealthMode("brave"); err == nil {
		t.Error("a mode that there is not is taken")
	}
}

// TestHeardOnce: a packet that is told of again and again is one packet: it does not take back what probes said after it.
func TestHeardOnce(t *testing.T) {
	cfg := HealthConfig{Mode: Lazy, Silent: 10 * time.Second, Idle: time.Second, Probe: 5 * time.Second, Address: true}
	h := NewHealth(cfg, epoch0)
	heard := epoch0.Add(time.Second)
	was := true
	for s := range 100 {
		now := epoch0.Add(time.Duration(s+1) * time.Second)
		h.Heard(heard)
		if h.Due(now) {
			h.Probed(s < 50)
		}
		switch up := h.Up(now); {
		case up && !was:
			t.Fatalf("up again after %d s", s)
		case s < 50 && !up && s > 20:
			t.Fatalf("after %d s of silence, and answers, it is down", s)
		case s > 70 && up:
			t.Fatalf("it does not answer, and is up after %d s", s)
		default:
			was = up || s < 20 // between the last packet and the first probe nothing is known
		}
	}
}
