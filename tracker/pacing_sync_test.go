package tracker

import (
	"testing"
	"time"

	"starling/tracker/pacer"
)

// TestSyncUnderOneRoot: what livesync sends counts against the rate of the answers, each of its classes is held to its
// ceiling, and classes that are tuned or another rate leave that as it is.
func TestSyncUnderOneRoot(t *testing.T) {
	const rate, packet = 1_000_000, 1464
	now := time.Unix(1_800_000_000, 0)
	p, err := NewPacing(PacingConfig{Rate: rate, OneRoot: true}, now)
	if err != nil {
		t.Fatal(err)
	}
	tick := now
	fill := func(class string, d time.Duration) (sent int64) {
		for end := now.Add(d); now.Before(end); {
			if !now.Before(tick) {
				p.tick(now)
				tick = now.Add(pacer.Epoch)
			}
			wait := p.Sync(now, class, packet)
			if wait == 0 {
				sent += packet
			}
			now = now.Add(wait)
		}
		return sent
	}
	for class, percent := range map[string]int64{"live": 60, "tell": 30, "control": 5} {
		fill(class, time.Second) // the burst
		want := 10 * rate * percent / 100
		if got := fill(class, 10*time.Second); got < want*98/100 || got > want*102/100 {
			t.Errorf("%s sent %d bytes, want %d", class, got, want)
		}
	}
	if err := p.SetClasses(now, pacer.WanClasses()); err != nil {
		t.Error(err)
	}
	if err := p.SetRate(now, rate/2); err != nil {
		t.Error(err)
	}
	fill("live", time.Second)
	if got := fill("live", 10*time.Second); got < 2_900_000 || got > 3_100_000 {
		t.Errorf("live sent %d bytes at half the rate", got)
	}
	if spent := p.Stats(now).Bytes[0].Spent; spent < 10_000_000 {
		t.Errorf("the root counts %d bytes", spent)
	}
	if err := p.SetRate(now, 0); err != nil || p.Sync(now, "live", packet) != 0 {
		t.Errorf("a packet waits without a rate; %v", err)
	}
}

// TestSyncBesideAFlood: while answers that cannot be refused keep the root in debt, livesync has its assured rate, and no more.
func TestSyncBesideAFlood(t *testing.T) {
	const rate, packet = 1_000_000, 1464
	now := time.Unix(1_800_000_000, 0)
	p, err := NewPacing(PacingConfig{Rate: rate, OneRoot: true}, now)
	if err != nil {
		t.Fatal(err)
	}
	var sent int64
	for range 1000 {
		p.bytes.Load().gate.Charge(0, 1, 100_000) // ten times the rate
		p.tick(now)
		for p.Sync(now, "live", packet) == 0 {
			sent += packet
		}
		now = now.Add(pacer.Epoch)
	}
	if want := int64(10 * rate * 20 / 100 * 12 / 100); sent < want*98/100 || sent > want*102/100+packet {
		t.Errorf("sent %d bytes within 10 s, want %d", sent, want)
	}
}
