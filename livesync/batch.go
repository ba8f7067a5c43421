package livesync

import (
	"time"

	"starling/wire"
)

// batch fills the packets that carry records: one buffer for type 0, one for
// type 1. A buffer leaves when it is full, or when its first record has waited
// for the flush interval. In the dialect that writes IPv4 peers twice the two leave
// together, type 0 first, so that receivers know the copies for what they are.
//
// The packet that next returns is valid until the next add.
type batch struct {
	dialect Dialect
	flush   time.Duration
	four    buffer
	six     buffer
}

// buffer is one packet being filled.
type buffer struct {
	b       []byte // the packet: room for the header, then whole records
	max     int    // records that fit
	n       int    // records in it
	copies  int    // of them, those that are in the other buffer too
	due     time.Time
	leaving bool
}

func newBatch(dialect Dialect, flush time.Duration) batch {
	return batch{
		dialect: dialect,
		flush:   flush,
		four:    newBuffer(wire.MaxRecords4, wire.Record4Size),
		six:     newBuffer(wire.MaxRecords6, wire.Record6Size),
	}
}

func newBuffer(records, size int) buffer {
	return buffer{b: make([]byte, wire.HeaderSize, wire.HeaderSize+records*size), max: records}
}

// room returns how many records of any kind fit before a packet must be taken with next.
func (b *batch) room() int { return min(b.four.room(), b.six.room()) }

// add takes in a record. There must be room.
func (b *batch) add(now time.Time, r *wire.Record) {
	due := now.Add(b.flush)
	is4 := r.Peer.Is4()
	if is4 && b.dialect != Modern {
		b.four.open(due)
		b.four.b = r.Append4(b.four.b)
		b.four.n++
	}
	if !is4 || b.dialect != Seed {
		b.six.open(due)
		b.six.b = r.Append6(b.six.b)
		b.six.n++
		if is4 && b.dialect == Both {
			b.six.copies++
		}
	}
}

// next returns a packet that is full, due or told to leave, and how many
// records it adds to those sent before; nil when there is none.
func (b *batch) next(now time.Time, id wire.NodeID) (pkt []byte, records int) {
	four, six := b.four.ready(now), b.six.ready(now)
	if b.dialect == Both && (four || six) {
		b.leave()
	}
	switch {
	case b.four.ready(now):
		wire.AppendLive4(b.four.b[:0], id)
		return b.four.take()
	case b.six.ready(now):
		wire.AppendLive6(b.six.b[:0], id)
		return b.six.take()
	}
	return nil, 0
}

// leave makes everything added so far leave now.
func (b *batch) leave() {
	b.four.leaving = b.four.n > 0
	b.six.leaving = b.six.n > 0
}

// due returns when next will have a packet if nothing is added, the zero time when there is nothing to send.
func (b *batch) due() time.Time { return earliest(b.four.due, b.six.due) }

func (f *buffer) room() int { return f.max - f.n }

func (f *buffer) open(due time.Time) {
	if f.n == 0 {
		f.due = due
	}
}

func (f *buffer) ready(now time.Time) bool {
	return f.leaving || f.n == f.max || f.n > 0 && !now.Before(f.due)
}

func (f *buffer) take() (pkt []byte, records int) {
	pkt, records = f.b, f.n-f.copies
	f.b = f.b[:wire.HeaderSize]
	f.n, f.copies, f.due, f.leaving = 0, 0, time.Time{}, false
	return pkt, records
}

// earliest returns the first of the given times; the zero time stands for never.
func earliest(times ...time.Time) time.Time {
	var first time.Time
	for _, t := range times {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}
