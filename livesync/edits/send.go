package edits

import (
	"time"

	"starling/wire"
)

const (
	// digestInterval is how often a node says what it has, give or take a tenth.
	digestInterval = 5 * time.Second
	// pace is what lies between two packets.
	pace = 5 * time.Millisecond
	// maxSending is how many entries wait to be sent in each round; what is beyond that is found out by the digests.
	maxSending = 4096
)

// again is after which times a change is sent again.
var again = [...]time.Duration{200 * time.Millisecond, time.Second, 4 * time.Second}

// sending is what is to be sent when.
type sending struct {
	rounds [len(again) + 1][]waiting // each in the order of its times
	paced  time.Time                 // no packet before
	digest time.Time                 // the next one; zero: none was sent yet
}

// waiting is an entry that is sent when its time has come, as it is then.
type waiting struct {
	at time.Time
	id
}

func (s *sending) add(now time.Time, what id) { s.put(0, waiting{now, what}) }

func (s *sending) put(round int, w waiting) {
	if len(s.rounds[round]) < maxSending {
		s.rounds[round] = append(s.rounds[round], w)
	}
}

// due returns when the first of them is.
func (s *sending) due() time.Time {
	first := s.digest
	for _, round := range s.rounds {
		if len(round) > 0 && round[0].at.Before(first) {
			first = round[0].at
		}
	}
	if first.Before(s.paced) {
		return s.paced
	}
	return first
}

// Due returns when Next has something to send.
func (m *Machine) Due() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sending.due()
}

// Next appends the packet to b that is to be sent now by a node, without the trailer. It returns nil when there is none.
func (m *Machine) Next(now time.Time, b []byte, node wire.NodeID) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := &m.sending
	if s.digest.Sub(now) > 2*digestInterval || s.paced.Sub(now) > digestInterval { // the clock was set back
		s.digest, s.paced = now, now
	}
	if now.Before(s.due()) {
		return nil
	}
	p := wire.Edits{Digests: m.digests(), Entries: m.ready(now, wire.MaxEdits-len(m.kinds)*wire.EditDigestSize)}
	if !now.Before(s.digest) {
		s.digest = now.Add(digestInterval*9/10 + time.Duration(m.rng.Int64N(int64(digestInterval)/5)))
		if len(p.Entries) == 0 && m.empty() {
			return nil // whoever has something says so, and we ask for it
		}
	}
	if len(p.Entries) == 0 && len(p.Digests) == 0 {
		return nil
	}
	s.paced = now.Add(pace)
	return p.Append(b, node)
}

// empty reports whether there are no entries at all.
func (m *Machine) empty() bool {
	for _, l := range m.lists {
		if l.count > 0 {
			return false
		}
	}
	return true
}

// digests returns those of all kinds.
func (m *Machine) digests() []wire.EditDigest {
	all := make([]wire.EditDigest, len(m.kinds))
	for i, k := range m.kinds {
		l := m.lists[k]
		all[i] = wire.EditDigest{Kind: uint8(k), Count: uint32(l.count), Sum: l.sum}
	}
	return all
}

// ready takes out what is to be sent now and fits into so many bytes.
func (m *Machine) ready(now time.Time, room int) []wire.Edit {
	var es []wire.Edit
	for round := range m.sending.rounds {
		q := &m.sending.rounds[round]
		for len(*q) > 0 && !now.Before((*q)[0].at) {
			w := (*q)[0]
			e, ok := m.lists[w.kind].get(w.kind, &w.key)
			if x := e.edit(); ok {
				if room -= x.Size(); room < 0 {
					return es
				}
				es = append(es, x)
				if round < len(again) {
					m.sending.put(round+1, waiting{now.Add(again[round]), w.id})
				}
			}
			*q = (*q)[1:]
		}
		if len(*q) == 0 {
			*q = nil
		}
	}
	return es
}
