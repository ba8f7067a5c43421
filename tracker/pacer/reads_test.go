package pacer

import (
	"testing"
	"time"
)

// TestReadsConserve: many connections with as much to read as one likes, none
// read again in debt: in every window the rate, the burst, a buffer each, and what
// came in the millisecond that they looked late.
func TestReadsConserve(t *testing.T) {
	r := seeded(t)
	for range 20 {
		rate, conns, buffer := 10_000+r.Int64N(1e6), 1+r.IntN(50), 1+r.Int64N(8192)
		reads := NewReads(rate, epoch0)
		free := make([]time.Duration, conns) // when each may be read
		var log []spent
		var sum int64
		for at := time.Duration(0); at < 5*time.Second; at += time.Millisecond {
			for c := range conns {
				if free[c] > at {
					continue
				}
				n := 1 + r.Int64N(buffer)
				free[c] = at + reads.Read(epoch0.Add(at), 0, n)
				log = append(log, spent{at, n})
				sum += n
			}
		}
		checkWindows(t, "reads", log, rate, BurstOf(rate)+buffer*int64(conns)+rate/1000+1)
		if part := float64(sum) / float64(5*rate); part < 0.95 && int64(conns)*buffer*400 > rate {
			t.Errorf("%d connections read %.3f of the rate", conns, part)
		}
	}
	reads := NewReads(1000, epoch0)
	if reads.Read(epoch0, 0, 21); reads.Wait(epoch0) != time.Millisecond {
		t.Errorf("the burst of 21 read, wait %v", reads.Wait(epoch0))
	}
	reads.SetRate(epoch0, 10_000)
	if got := reads.Wait(epoch0); got != 100*time.Microsecond {
		t.Errorf("at ten times the rate %v", got)
	}
}
