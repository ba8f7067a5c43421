package cluster

import (
	"slices"
	"time"

	"starling/livesync/catchup"
	"starling/tracker"
	"starling/wire"
)

// saveInterval is how often a node writes its snapshot.
const saveInterval = 20 * time.Second

// save writes the node's snapshot, and again, unless nobody will read this one.
func (m *member) save() {
	life := m.lives
	if m.works() && slices.ContainsFunc(m.Events, func(e Event) bool {
		return e.Kind == Crash && e.State && e.Node == m.number && e.At >= m.now && e.At < m.now+saveInterval
	}) {
		m.write()
	}
	m.at(m.now+saveInterval, func() {
		if m.up && life == m.lives {
			m.save()
		}
	})
}

// write writes the snapshot now.
func (m *member) write() {
	m.saved, m.kept = m.now, m.holds()
	h := catchup.Header{ID: m.id, Epoch: m.epoch, Snapshot: true}
	h.Within = m.node.OutOfStep(m.time())
	h.Complete = h.Within == 0
	m.snapshot = m.stream(h, tracker.Cursor{Booked: true})
}

// stream returns all that the node knows.
func (m *member) stream(h catchup.Header, at tracker.Cursor) (b []byte) {
	store := m.store
	t := catchup.NewTeller(m.time(), h, m.node.Remembers(m.time()), func(now time.Time, dst *wire.Excerpt) bool { return store.Walk(now, &at, dst) })
	for piece := t.Next(m.time()); piece != nil; piece = t.Next(m.time()) {
		b = append(b, piece...)
	}
	return b
}

// load reads the snapshot back, if there is one.
func (m *member) load() {
	b := m.snapshot
	m.knows, m.memory, m.restored = time.Time{}, catchup.Memory{}, len(b) > 0
	r, d := m.store.Restorer(0), catchup.NewDecoder()
	for d.Size() > 0 && len(b) > 0 {
		n := d.Size()
		block, err := d.Next(b[:n])
		if err != nil {
			m.fault("cannot read its snapshot: %v", err)
			return
		}
		b = b[n:]
		if block != nil {
			m.knows, m.part = block.Header.Time.Add(-block.Header.Within), !block.Header.Complete
		}
		if block == nil {
			continue
		}
		late := m.time().Sub(block.Header.Time.Add(block.At))
		m.memory.Take(late, block)
		if block.Kind == catchup.KindSwarms {
			r.Restore(m.time(), late, block.Excerpt)
		}
	}
}
