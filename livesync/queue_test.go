package livesync

import (
	"sync"
	"testing"

	"starling/wire"
)

func TestQueueKeepsOrder(t *testing.T) {
	q := new(queue)
	var dst [wire.MaxRecords4]wire.Record
	in, out := 0, 0
	for in < 5*queueSize {
		for range 700 {
			r := recordOf(in)
			q.put(&r)
			in++
		}
		for k := q.take(dst[:]); k > 0; k = q.take(dst[:]) {
			for _, r := range dst[:k] {
				if r != recordOf(out) {
					t.Fatalf("record %d is %v", out, r)
				}
				out++
			}
		}
	}
	if in != out || q.discarded() != 0 {
		t.Errorf("%d in, %d out, %d discarded", in, out, q.discarded())
	}
}

// TestQueueFullGivesUpTheOldest checks what a dead interface leaves: the newest records, and a count of the others.
func TestQueueFullGivesUpTheOldest(t *testing.T) {
	q := new(queue)
	const more = 100
	mark := uint64(0)
	for i := range queueSize + more {
		r := recordOf(i)
		q.put(&r)
		if i == more/2 {
			mark = q.mark()
		}
	}
	var dst [1]wire.Record
	q.take(dst[:])
	if dst[0] != recordOf(more) || q.discarded() != more {
		t.Errorf("the oldest is %v and %d were discarded, want %v and %d", dst[0], q.discarded(), recordOf(more), more)
	}
	if !q.passed(mark) || q.passed(q.mark()) {
		t.Error("what was given up counts as gone, what waits does not")
	}
}

// TestQueueWakes puts records before and after the sender said what it waits for.
func TestQueueWakes(t *testing.T) {
	four, six := recordOf(0), recordOf(2)
	q := new(queue)
	put := func(r wire.Record) bool { return q.put(&r) }
	take := func() { q.take(make([]wire.Record, queueSize)) }

	if !put(four) {
		t.Error("a sender that has said nothing is not woken")
	}
	if q.sleep(true, true, 52) {
		t.Error("the sender may sleep while a record waits")
	}
	take()
	if !q.sleep(true, true, 52) || !put(six) || put(four) {
		t.Error("the first record must wake, a second must not")
	}
	take()
	q.sleep(false, true, 52)
	if put(four) || !put(six) {
		t.Error("IPv4 waits already, so only the IPv6 record must wake")
	}
	take()
	q.sleep(false, false, 3)
	if put(four) || put(six) || !put(four) {
		t.Error("the third record fills the packet, it must wake")
	}
}

// TestQueueWakesNobodyInVain has many announces at once: whatever is put, either the sender was woken or it does not sleep.
func TestQueueWakesNobodyInVain(t *testing.T) {
	const writers, each = 8, 5000
	q := new(queue)
	wake := make(chan struct{}, 1)
	done := make(chan struct{})
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				r := recordOf(w*each + i)
				if q.put(&r) {
					select {
					case wake <- struct{}{}:
					default:
					}
				}
			}
		})
	}
	go func() { wg.Wait(); close(done) }()
	var dst [64]wire.Record
	taken := uint64(0)
	for ended := false; !ended; {
		select {
		case <-wake:
		case <-done:
			ended = true
		}
		for again := true; again; again = !q.sleep(true, true, 1) {
			for k := q.take(dst[:]); k > 0; k = q.take(dst[:]) {
				taken += uint64(k)
			}
		}
	}
	if taken+q.discarded() != writers*each {
		t.Errorf("took %d and gave up %d of %d", taken, q.discarded(), writers*each)
	}
}

func TestOfferDoesNotAllocate(t *testing.T) {
	cfg := Config{Interface: "eth0", BeaconInterval: 1}
	n := New(cfg)
	r := recordOf(0)
	if allocs := testing.AllocsPerRun(2*queueSize, func() { n.Offer(r) }); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}
