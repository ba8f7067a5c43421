package livesync

import (
	"testing"
	"time"

	"starling/livesync/catchup"
	"starling/wire"
)

// TestUptime: all that a node told since it started is asked for, whatever its clock shows.
func TestUptime(t *testing.T) {
	started := uint64(epoch.UnixNano())
	for later, want := range map[time.Duration]time.Duration{
		time.Minute: time.Minute, time.Second: leastUptime, 0: leastUptime, -1: unknownUptime, -time.Hour: unknownUptime,
	} {
		if got := uptime(epoch.Add(later).UnixNano(), started); got != want {
			t.Errorf("sent %v after the start: up for %v, want %v", later, got, want)
		}
	}
}

// TestAnswerHoldsNobodyUp: receiver and sender go on while the journal and the store are asked what a stream is to hold.
func TestAnswerHoldsNobodyUp(t *testing.T) {
	listener, _ := newKeyedListener(t)
	cfg := listener.cfg
	var n *Node
	asked := false
	cfg.CatchUp = &CatchUp{Timeout: time.Hour, Store: catchup.Store{
		Walk: func(time.Duration) catchup.Walk { return func(time.Time, *wire.Excerpt) bool { return false } },
		Count: func() (torrents, peers uint64) {
			if asked = n.mu.TryLock(); asked {
				n.mu.Unlock()
			}
			return 0, 0
		},
	}}
	n = New(cfg)
	n.start(epoch)
	if _, err := n.Answer(epoch, catchup.Request{Target: testID, TargetEpoch: 7, Within: time.Minute}); err != nil || !asked {
		t.Errorf("%v, and the node's lock is free: %t", err, asked)
	}
	if _, err := n.Answer(epoch, catchup.Request{Target: testID, TargetEpoch: 6}); err != catchup.ErrTarget {
		t.Errorf("another start is answered: %v", err)
	}
}

// newEmptyNode returns a keyed node that holds no peers and was started at the epoch.
func newEmptyNode(t *testing.T) *Node {
	listener, _ := newKeyedListener(t)
	cfg := listener.cfg
	cfg.CatchUp = &CatchUp{Timeout: time.Hour, Store: catchup.Store{
		Walk:  func(time.Duration) catchup.Walk { return func(time.Time, *wire.Excerpt) bool { return false } },
		Count: func() (torrents, peers uint64) { return 0, 0 },
	}}
	n := New(cfg)
	n.start(epoch)
	return n
}

// TestRemembersStops: who stopped before a node was started anew is told to those who ask it afterwards, as long ago as it was; a stop that
// is older than every journal is forgotten.
func TestRemembersStops(t *testing.T) {
	n := newEmptyNode(t)
	first, second, third := recordOf(1), recordOf(2), recordOf(3)
	first.Flags, second.Flags, third.Flags = wire.Stopped, wire.Stopped, 0
	n.Offer(first)
	n.catch.heard(epoch.Add(5*time.Minute), 0, []wire.Record{second, third})
	m := n.Remembers(epoch.Add(6 * time.Minute))

	back := epoch.Add(11 * time.Minute)
	again := New(n.cfg)
	again.Knows(epoch.Add(6*time.Minute), epoch.Add(6*time.Minute), false, m)
	again.start(back)
	stops := again.Remembers(back.Add(time.Minute)).Stops
	if len(stops) != 1 || stops[0].Peer != second.Peer || stops[0].Age != uint32(7*time.Minute/time.Millisecond) {
		t.Errorf("remembers %+v", stops)
	}
}

// TestTimesWhileAlone: a node that has heard nobody for long notes who comes and who stops when they do.
func TestTimesWhileAlone(t *testing.T) {
	n := newEmptyNode(t)
	now := epoch
	for range 60 {
		now = now.Add(time.Second)
		for n.Next(now) != nil {
		}
	}
	came, stopped := recordOf(1), recordOf(2)
	came.Flags, stopped.Flags = 0, wire.Stopped
	n.Offer(came)
	n.Offer(stopped)
	for what, j := range map[string]*catchup.Journal{"came": n.catch.returns, "stopped": n.catch.journal} {
		noted := j.Since(now, time.Time{})
		if most := 2 * stateInterval; len(noted) != 1 || time.Duration(noted[0].Age)*time.Millisecond > most {
			t.Errorf("%s: %+v", what, noted)
		}
	}
}
