package catchup

import (
	"time"

	"starling/wire"
)

// leaversInBlock is how many leavers stand in a block at most.
const leaversInBlock = 1500

// Walk appends a bounded piece of a store to dst and reports whether there is more.
type Walk func(now time.Time, dst *wire.Excerpt) (more bool)

// Memory is what a node knows beside what its store holds.
type Memory struct {
	Stops []wire.Leaver // in its journal
	Known []Known       // of what the others told
}

// Take adds what a block says of it, that much later.
func (m *Memory) Take(late time.Duration, b *Block) {
	late = max(late, 0)
	for _, k := range b.Known {
		k.Age += late
		m.Known = append(m.Known, k)
	}
	for _, l := range b.Leavers {
		if age := time.Duration(l.Age)*time.Millisecond + late; age < journalTime {
			l.Age = uint32(age / time.Millisecond)
			m.Stops = append(m.Stops, l)
		}
	}
}

// Teller makes a stream of what a node knows, block by block. It holds one block at a time.
type Teller struct {
	enc     *Encoder
	header  Header
	known   []Known
	leavers []wire.Leaver
	walk    Walk
	begun   time.Time
	stage   Kind // what comes next; beyond KindEnd: nothing
	x       wire.Excerpt
	buf     []byte
}

// NewTeller returns a teller of what is remembered now, and of what walk finds. The header's time is now.
func NewTeller(now time.Time, h Header, m Memory, walk Walk) *Teller {
	h.Time = now
	return &Teller{enc: NewEncoder(), header: h, known: m.Known, leavers: m.Stops, walk: walk, begun: now, stage: KindHeader}
}

// Next returns the next bytes of the stream, nil when it is over. They are good until the next call.
func (t *Teller) Next(now time.Time) []byte {
	b := t.buf[:0]
	switch {
	case t.stage == KindHeader:
		b = t.enc.Begin(b, &t.header)
		t.stage = KindLeavers
	case t.stage == KindLeavers && len(t.known) > 0:
		n := min(len(t.known), maxRaw/knownSize)
		b = t.enc.Known(b, t.begun, t.known[:n])
		t.known = t.known[n:]
	case t.stage == KindLeavers && len(t.leavers) > 0:
		n := min(len(t.leavers), leaversInBlock)
		b = t.enc.Leavers(b, t.begun, t.leavers[:n])
		t.leavers = t.leavers[n:]
	case t.stage == KindLeavers:
		b = t.fill(now, b)
	case t.stage == KindEnd:
		b = t.enc.End(b, now)
		t.stage++
	default:
		return nil
	}
	t.buf = b
	return b
}

// fill appends a block of swarms, or the end when there are no more.
func (t *Teller) fill(now time.Time, b []byte) []byte {
	t.x.Reset()
	more := true
	for more && len(t.x.Swarms)*wire.SwarmSize+len(t.x.Members)*wire.Member6Size < fullBlock {
		more = t.walk(now, &t.x)
	}
	if !more {
		t.stage = KindEnd
	}
	if len(t.x.Swarms) == 0 {
		return t.Next(now)
	}
	return t.enc.Swarms(b, now, &t.x)
}
