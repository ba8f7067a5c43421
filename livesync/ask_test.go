package livesync

import (
	"encoding/binary"
	"math"
	"testing"
	"time"

	"starling/wire"
)

func TestExceeds(t *testing.T) {
	tests := []struct {
		remote, own uint64
		percent     int
		want        bool
	}{
		{0, 0, 25, false},
		{1, 0, 25, true},
		{5, 4, 25, false}, // 3 of 4 in opentracker's terms
		{6, 4, 25, true},
		{4, 3, 25, true},
		{4, 4, 0, false},
		{5, 4, 0, true},
		{math.MaxUint64, 1, 25, true},
		{math.MaxUint64, math.MaxUint64, 0, false},
		{math.MaxUint64, math.MaxUint64 / 5 * 4, 25, false},
		{math.MaxUint64, math.MaxUint64/5*4 - 1, 25, true},
		{1, math.MaxUint64, 1000, false},
	}
	for _, tt := range tests {
		if got := exceeds(tt.remote, tt.own, tt.percent); got != tt.want {
			t.Errorf("exceeds(%d, %d, %d) = %v", tt.remote, tt.own, tt.percent, got)
		}
	}
}

// askInVain lets the machine ask a node that does not answer, and returns when it gave up.
func askInVain(t *testing.T, a *asking, now time.Time, id wire.NodeID) time.Time {
	t.Helper()
	a.beacon(now, id, 100, 0)
	if a.state != collect {
		t.Fatalf("a beacon of %s at %s found the machine %s", id, now.Sub(epoch), a.state)
	}
	for asked := 0; a.state != idle; now = a.at {
		if target, ok := a.next(now); ok && target == id {
			asked++
		}
		if a.state == idle {
			if asked != maxTries {
				t.Fatalf("asked %d times, want %d", asked, maxTries)
			}
			break
		}
	}
	return now
}

// TestBackOffDoublesToAnHour gives up on the same node again and again.
func TestBackOffDoublesToAnHour(t *testing.T) {
	a := newAsking(time.Minute)
	now := epoch
	want := 2 * time.Minute
	for range 10 {
		now = askInVain(t, &a, now, testID)
		a.beacon(now.Add(want-1), testID, 100, 0)
		if a.state != idle {
			t.Fatalf("asked before the back-off of %s was over", want)
		}
		now = now.Add(want)
		want = min(2*want, maxBackOff)
	}
	// News clears it.
	a.beacon(now, testID, 100, 0)
	a.next(a.at)
	for _, learned := range []bool{false, true, false} {
		a.told(a.at, 40, learned)
	}
	a.next(a.at)
	if len(a.backOffs) != 0 || a.state != idle {
		t.Errorf("after news: state %s, back-offs %v", a.state, a.backOffs)
	}
}

// TestBackOffsAreBounded gives up on a thousand forged ids.
func TestBackOffsAreBounded(t *testing.T) {
	a := newAsking(time.Second)
	now := epoch
	for i := range uint32(1000) {
		var id wire.NodeID
		binary.BigEndian.PutUint32(id[:], i+1)
		now = askInVain(t, &a, now, id)
		if len(a.backOffs) > maxBackOffs {
			t.Fatalf("%d back-offs", len(a.backOffs))
		}
	}
}

// TestTellWhileCollecting is enabled again by the next beacon only.
func TestTellWhileCollecting(t *testing.T) {
	a := newAsking(time.Minute)
	a.beacon(epoch, testID, 100, 0)
	a.told(epoch.Add(time.Minute), 40, true)
	if _, ok := a.next(epoch.Add(time.Hour)); ok || a.state != idle || !a.at.IsZero() {
		t.Errorf("asks although somebody was told: %s", a.state)
	}
	a.beacon(epoch.Add(time.Hour), testID, 100, 0)
	if a.state != collect || !a.at.Equal(epoch.Add(time.Hour+2*time.Minute)) {
		t.Errorf("state %s until %s", a.state, a.at.Sub(epoch))
	}
}

// TestTellsArePaidFor: a tell is charged whole when it is asked for, once however often that is, and what came differs from what was charged
// by what is settled at its end, come it or not. While there is a debt nobody is asked, and the largest beacon of the whole time is.
func TestTellsArePaidFor(t *testing.T) {
	var debt int64
	free := epoch // when the debt is paid off
	asks := 0
	a := newAsking(time.Minute)
	a.owe = func(now time.Time, bytes int64) time.Duration {
		if wait := free.Sub(now); wait > 0 {
			return wait
		}
		asks++
		debt += bytes
		return 0
	}
	a.settle = func(_ time.Time, bytes int64) { debt += bytes }
	run := func(now time.Time) (inquiries []time.Time) {
		for ; a.state == collect || a.state == asked; now = a.at {
			if _, ok := a.next(now); ok {
				inquiries = append(inquiries, now)
			}
		}
		return inquiries
	}

	first := wire.NodeID{1}
	a.beacon(epoch, first, 46, 0) // 46 torrents, in two packets
	if n := len(run(epoch)); n != maxTries || asks != 1 || debt != 0 {
		t.Errorf("in vain: %d inquiries, %d charged, a debt of %d is left", n, asks, debt)
	}

	now := a.backOffs[first].until
	free = now.Add(30 * time.Minute)
	a.beacon(now, first, 46, 0)
	a.next(a.at)
	a.beacon(a.at.Add(-time.Minute), wire.NodeID{2}, 100, 0)
	for a.state == collect {
		if target, ok := a.next(a.at); ok && (a.at.Before(free) || target != wire.NodeID{2}) {
			t.Errorf("asked %v at %v, want not before %v", target, a.at, free)
		}
	}
	if want := int64(100*wire.TellSize + 3*wire.HeaderSize); debt != want {
		t.Errorf("%d bytes are owed, want %d", debt, want)
	}
	for range 5 {
		a.told(a.at, 1448, true)
	}
	if a.next(a.at); debt != 5*1448 || a.state != idle {
		t.Errorf("%d bytes are owed, and %d came; %v", debt, 5*1448, a.state)
	}

	free = now.Add(1000 * time.Hour) // a forged beacon's debt is no reason never to look again
	a.beacon(now, wire.NodeID{3}, math.MaxUint64, 0)
	a.at = now
	if a.next(now); a.at.Sub(now) != maxBackOff || tellBytes(math.MaxUint64) > 2*maxOwed {
		t.Errorf("looks again after %v; %d bytes", a.at.Sub(now), tellBytes(math.MaxUint64))
	}
}
