package main

import (
	"sync/atomic"
	"time"
)

// snapshotCounts is what became of the writing of a snapshot.
type snapshotCounts struct {
	at, took, size  atomic.Int64 // of the last one that was written: nanoseconds since 1970, nanoseconds, bytes
	written, failed atomic.Uint64
}

// wrote notes a snapshot that says what was known at a time.
func (c *snapshotCounts) wrote(at time.Time, took time.Duration, size int64) {
	c.at.Store(at.UnixNano())
	c.took.Store(int64(took))
	c.size.Store(size)
	c.written.Add(1)
}

// snapshotStatus is how the snapshots of a node are.
type snapshotStatus struct {
	Kept            bool      // there is a state directory
	At              time.Time // what the last one says was known then; before the first one the node's start
	Took            time.Duration
	Bytes           int64
	Written, Failed uint64
}

func (s *snapshots) status(started time.Time) snapshotStatus {
	c := &s.counts
	st := snapshotStatus{
		Kept: s.path != "", At: started, Took: time.Duration(c.took.Load()), Bytes: c.size.Load(), Written: c.written.Load(), Failed: c.failed.Load(),
	}
	if at := c.at.Load(); at != 0 {
		st.At = time.Unix(0, at)
	}
	return st
}

// snapshots adds how the snapshots are, of a node that keeps them.
func (e *exposition) snapshots(s *snapshotStatus) {
	if !s.Kept {
		return
	}
	e.gauge("snapshot_timestamp_seconds", "What the last snapshot says was known then, in seconds since 1970; before the first one the start.").
		sample(float64(s.At.UnixMilli()) / 1000)
	e.gauge("snapshot_duration_seconds", "How long the last snapshot took to write, rests included.").sample(s.Took.Seconds())
	e.gauge("snapshot_size_bytes", "How long the file of the last snapshot is.").sample(float64(s.Bytes))
	e.counter("snapshots_total", "Snapshots, by what became of them.").
		sample(float64(s.Written), "result", "written").sample(float64(s.Failed), "result", "failed")
}
