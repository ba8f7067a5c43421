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
		a.told(a.at, learned)
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
	a.told(epoch.Add(time.Minute), true)
	if _, ok := a.next(epoch.Add(time.Hour)); ok || a.state != idle || !a.at.IsZero() {
		t.Errorf("asks although somebody was told: %s", a.state)
	}
	a.beacon(epoch.Add(time.Hour), testID, 100, 0)
	if a.state != collect || !a.at.Equal(epoch.Add(time.Hour+2*time.Minute)) {
		t.Errorf("state %s until %s", a.state, a.at.Sub(epoch))
	}
}
