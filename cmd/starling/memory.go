package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"time"

	"starling/livesync"
	"starling/tracker"
	"starling/tracker/pacer"
)

// A memory limit is what the process may have in all. Of it the swarms get a budget (see [tracker.Budget]), and the rest is kept for
// everything else:
//
//	limit = swarms + an eighth, for garbage, connections, snapshots and nodes that catch up + 32 MiB, for the program, its queues and its buffers
//
// The collector is told the limit, too, less what it does not know of: the program itself as it lies in memory.
const (
	leastMemory   = 64 << 20 // for some 200,000 peers
	memoryProgram = 16 << 20
	memoryOthers  = 32 << 20
	memoryPart    = 8
	// connectionMemory is what a connection takes that is busy. All of them take no more than half of the eighth.
	connectionMemory = 8 << 10
)

// memoryWatch is how often the pressure and the collector's target are looked at.
const memoryWatch = time.Second

// setMemory takes a size that a tracker can live with.
func setMemory(p *int64) func(string) error {
	return func(s string) error {
		size, err := pacer.ParseSize(s)
		switch {
		case err != nil:
			return err
		case size < leastMemory:
			return fmt.Errorf("size %q: a tracker needs %dMiB at least", s, leastMemory>>20)
		}
		*p = size
		return nil
	}
}

// storeBudget returns the budget of the swarms, nil without a limit.
func (c *config) storeBudget() *tracker.Budget {
	if c.memoryLimit == 0 {
		return nil
	}
	return tracker.NewBudget(c.memoryLimit - c.memoryLimit/memoryPart - memoryOthers)
}

// maxConnections returns how many connections there is memory for, 0 for as many as usual.
func (c *config) maxConnections() int {
	if c.memoryLimit == 0 {
		return c.mostConnections
	}
	return int(min(c.memoryLimit/memoryPart/2/connectionMemory, int64(cmp.Or(c.mostConnections, tracker.DefaultMaxConnections))))
}

// runMemory keeps the collector's target and says when memory gets tight, until ctx ends.
func (n *node) runMemory(ctx context.Context) error {
	if n.cfg.memoryLimit > 0 {
		debug.SetMemoryLimit(n.cfg.memoryLimit - memoryProgram)
	}
	timer := time.NewTicker(memoryWatch)
	defer timer.Stop()
	target, pressure := collector{own: os.Getenv("GOGC") != ""}, tracker.Calm
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-timer.C:
			target.adjust()
			if n.budget != nil {
				pressure = n.tellPressure(now, pressure)
			}
		}
	}
}

// tellPressure says when the pressure has changed, and returns what it is now.
func (n *node) tellPressure(now time.Time, was tracker.Pressure) tracker.Pressure {
	is := n.budget.Pressure()
	if is != tracker.Calm {
		n.pressed.Store(now.UnixNano())
	}
	if is == was {
		return is
	}
	st := n.budget.Status()
	line, text := n.log.Warn(), "memory is "+is.String()+": "+pressureMeanings[is]
	if is == tracker.Calm {
		line = n.log.Info()
	}
	line.Int64("limit", n.cfg.memoryLimit).Int64("swarms", st.Held).Int64("swarms_at_most", st.Bytes).Msg(text)
	n.events.add(now, eventMemory, text)
	return is
}

// syncAnswer answers "is my cluster in sync?". A node that has refused peers for want of memory lacks them until they have come again, which they all have
// after the peer timeout.
func (n *node) syncAnswer(s *livesync.Status, now time.Time) livesync.Sync {
	answer := s.Sync(now)
	if pressed := n.pressed.Load(); answer.Differs && pressed != 0 && now.Sub(time.Unix(0, pressed)) < n.cfg.peerTimeout {
		answer.Why += "; this node is or was short of memory and does not keep all peers, see --memory-limit"
	}
	return answer
}

// pressureMeanings say what a pressure does.
var pressureMeanings = [...]string{
	tracker.Calm:  "there is room for every torrent and peer",
	tracker.Tight: "new torrents are refused when they are asked for the first time, and silent peers are forgotten sooner",
	tracker.Full:  "new torrents are refused, and of large swarms only a sample is kept",
}

// collector is the target of the runtime's collector. Most of the heap are swarms, which hold no pointers and become no garbage, so that there
// is no reason to let it double before garbage is looked for: it may grow by an eighth of what is live, at least by 16 MiB.
type collector struct {
	own     bool // the operator has set a target with GOGC
	percent int64
}

const (
	garbageLeast = 16 << 20
	garbagePart  = 8
)

// targetOf returns the percentage for a live heap.
func targetOf(live uint64) int64 {
	if live == 0 {
		return 100
	}
	return int64(min(max(garbageLeast, live/garbagePart)*100/live, 100))
}

// adjust sets the target anew when the live heap has changed much: setting it stops the process for some microseconds.
func (c *collector) adjust() {
	if c.own {
		return
	}
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	want := targetOf(live[0].Value.Uint64())
	if d := want - c.percent; d*10 > c.percent || -d*10 > c.percent {
		c.percent = want
		debug.SetGCPercent(int(want))
	}
}

// resident returns the memory of this process that is not on disk, 0 where the system does not tell.
func resident() uint64 {
	b, err := os.ReadFile("/proc/self/statm")
	fields := bytes.Fields(b)
	if err != nil || len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseUint(string(fields[1]), 10, 64)
	if err != nil {
		return 0
	}
	return pages * uint64(os.Getpagesize())
}
