package catchup

import (
	"bytes"
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"starling/wire"
)

// knownSize is the length of a [Known] in a stream.
const knownSize = 20

// Known is how far a node knows what another one told. With an ID of zero it says that the node lacks something of whoever told
// it, and since when.
type Known struct {
	ID    wire.NodeID
	Epoch uint64
	Next  uint32        // all packets of records of that epoch below it were taken in; 0: that is not known
	Age   time.Duration // so long ago all was known that it had told; whole milliseconds in a stream
}

// appendKnown appends what a stream says of other nodes: | id 4 | epoch u64 | next u32 | age, ms u32 |.
func appendKnown(b []byte, ks []Known) []byte {
	for i := range ks {
		k := &ks[i]
		b = append(b, k.ID[:]...)
		b = binary.BigEndian.AppendUint64(b, k.Epoch)
		b = binary.BigEndian.AppendUint32(b, k.Next)
		b = binary.BigEndian.AppendUint32(b, uint32(min(max(k.Age/time.Millisecond, 0), 1<<32-1)))
	}
	return b
}

// parseKnown puts what b says into buf, which grows when it is too small, and returns it.
func parseKnown(b []byte, buf []Known) ([]Known, error) {
	buf = buf[:0]
	if len(b)%knownSize != 0 {
		return buf, ErrBlock
	}
	for ; len(b) > 0; b = b[knownSize:] {
		buf = append(buf, Known{
			ID: wire.NodeID(b), Epoch: binary.BigEndian.Uint64(b[4:]), Next: binary.BigEndian.Uint32(b[12:]),
			Age: time.Duration(binary.BigEndian.Uint32(b[16:])) * time.Millisecond,
		})
	}
	return buf, nil
}

// secondHand is what is known of what a node told that was not heard, from a stream or the snapshot.
type secondHand struct {
	epoch uint64
	next  uint32
	until time.Time // all that it told before is known
}

// lateError is how much earlier than the last sign of a node all that it told may be known, while nothing is lost: it is heard
// each second, and may not be once.
const lateError = 3 * time.Second

// Recall is told, before anything else, what the snapshot says of other nodes, true at a time.
func (m *Machine) Recall(at time.Time, ks []Known) {
	for i := range ks {
		if k := &ks[i]; k.ID != (wire.NodeID{}) && len(m.known) < maxLacks {
			m.known[k.ID] = secondHand{k.Epoch, k.Next, at.Add(-k.Age)}
		}
	}
}

// Knows returns how far this node knows what others told, given what came of those that it hears: for who catches up from
// it, and for its own snapshot. While it has not caught up since its start it does not know what those that it hears told since theirs.
func (m *Machine) Knows(now time.Time, heard []Known) (all []Known) {
	starts := m.starts()
	for _, k := range heard {
		if starts {
			o, known := m.others[k.ID], m.known[k.ID]
			if o == nil || !known.until.IsZero() {
				continue
			}
			k.Next, k.Age = 0, now.Sub(o.heard)+o.Uptime
		}
		for i := range m.lacks {
			if l := &m.lacks[i]; l.from == k.ID {
				k.Next, k.Age = 0, max(k.Age, m.ago(now, l.since))
			}
		}
		all = append(all, k)
	}
	for _, id := range m.hearsays() {
		if k := m.known[id]; !slices.ContainsFunc(all, func(h Known) bool { return h.ID == id }) {
			all = append(all, Known{id, k.epoch, k.next, max(now.Sub(k.until), 0)})
		}
	}
	return all
}

// Wants returns since when it lacks something of anybody, for who catches up from it; ok is false when it lacks nothing. What there was
// before its start, and what it lacks because another one lacked it just then, does not count: nodes would wait for each other.
func (m *Machine) Wants(now time.Time) (k Known, ok bool) {
	for i := range m.lacks {
		if l := &m.lacks[i]; l.from == (wire.NodeID{}) && !l.start && !l.again {
			return Known{Age: m.ago(now, l.since)}, true
		}
	}
	return k, false
}

// hearsays returns of whom something is known that were not heard, in their order.
func (m *Machine) hearsays() []wire.NodeID {
	return slices.SortedFunc(maps.Keys(m.known), func(a, b wire.NodeID) int { return bytes.Compare(a[:], b[:]) })
}

// learn takes in what the teller of a stream knew of others that held all since a time, zero for everything, and was asked for at another. What a
// node told that others heard and we did not, and who is silent now, is asked of anybody.
func (m *Machine) learn(asked, since time.Time, ks []Known) {
	for i := range ks {
		k := &ks[i]
		if k.ID == (wire.NodeID{}) {
			continue
		}
		is := secondHand{k.Epoch, k.Next, asked.Add(-k.Age)}
		was, ok := m.known[k.ID]
		switch {
		case !ok && len(m.known) >= maxLacks, ok && is.until.Before(was.until):
			continue
		case !ok || since.IsZero() || was.until.After(since.Add(-lateError)):
		case is.epoch == was.epoch && is.next == was.next:
		case m.others[k.ID] != nil: // it is asked itself
			continue
		default:
			m.add(lack{since: was.until.Add(-margin), noted: asked})
		}
		m.known[k.ID] = is
	}
}

// compare looks, for a node that is heard, whether something that it told before we heard it is known.
func (m *Machine) compare(now time.Time, o *Other) {
	k, ok := m.known[o.ID]
	delete(m.known, o.ID)
	switch {
	case ok && k.epoch == o.Epoch && k.next >= o.First:
	case ok:
		m.add(lack{from: o.ID, since: k.until.Add(-margin), noted: now})
	case o.First > 0:
		m.add(lack{from: o.ID, since: now.Add(-o.Uptime), noted: now})
	case o.Peers > 0: // it may have begun with a snapshot, of a life that we never heard, and be healthy before we hear it
		m.add(lack{from: o.ID, since: now.Add(-m.whole), noted: now})
	}
}

// since returns since when a node is asked for what a lack says: for more when it is asked for what there was before the start, and the snapshot
// knows less of it than of the others, or knows others and not it: then since its start.
func (m *Machine) since(l *lack, o *Other) time.Time {
	k, ok := m.known[o.ID]
	if !ok && len(m.known) > 0 && l.start && !l.since.IsZero() && o.First > 0 {
		return earlier(l.since, o.heard.Add(-o.Uptime))
	}
	if !ok || !l.start || l.since.IsZero() || !k.until.Before(l.since.Add(-lateError)) || k.epoch == o.Epoch && k.next >= o.First {
		return l.since
	}
	return k.until.Add(-margin)
}

// compareAll does so for all nodes that were heard until the first stream came to its end, but for the one that told it.
func (m *Machine) compareAll(now time.Time, teller wire.NodeID) {
	for _, id := range slices.SortedFunc(maps.Keys(m.others), func(a, b wire.NodeID) int { return bytes.Compare(a[:], b[:]) }) {
		if id == teller {
			delete(m.known, id)
			continue
		}
		m.compare(now, m.others[id])
	}
}

// ago returns how long ago something was, as far as it matters.
func (m *Machine) ago(now, since time.Time) time.Duration {
	if since.IsZero() {
		return mostBehind
	}
	return min(max(now.Sub(since), time.Millisecond), mostBehind)
}
