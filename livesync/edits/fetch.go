package edits

import (
	"encoding/binary"
	"time"

	"starling/wire"
)

const (
	// settle is for how long a digest may differ before it is asked why: what is on its way differs all the time.
	settle = 500 * time.Millisecond
	// leastPause is what lies between two fetches from one node, and longestPause what it doubles to while nothing comes of them.
	leastPause   = 2 * time.Second
	longestPause = time.Minute
	// forget is after which silence nothing is fetched from a node.
	forget = 30 * time.Second
	// maxOthers is how many nodes are remembered.
	maxOthers = 1024
	// MaxFrame is how long a frame of entries is at most, in bytes.
	MaxFrame = 1 << 16
	// MaxSums is how long the sums are at most that a fetch begins with.
	MaxSums = 1 + 255*(1+8*parts)
)

// other is what is known of another node.
type other struct {
	heard   time.Time
	digests []wire.EditDigest
	ask     time.Time // when it is asked, if its digests still differ; zero: they did not
	asked   time.Time
	pause   time.Duration // until it is asked again
}

type others map[wire.NodeID]*other

// Heard takes in what another node sent.
func (m *Machine) Heard(now time.Time, from wire.NodeID, p *wire.Edits) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range p.Entries {
		e := entryOf(&p.Entries[i])
		if m.merge(now, &e) {
			m.counts.Heard++
		}
	}
	o := m.others[from]
	if o == nil {
		if len(m.others) >= maxOthers {
			return
		}
		o = &other{pause: leastPause}
		m.others[from] = o
	}
	o.heard = now
	o.digests = append(o.digests[:0], p.Digests...)
	switch {
	case !m.differs(o):
		o.ask, o.pause = time.Time{}, leastPause
	case o.ask.IsZero():
		o.ask = now.Add(settle + time.Duration(m.rng.Int64N(int64(settle))))
		if next := o.asked.Add(o.pause); o.ask.Before(next) {
			o.ask = next
		}
	}
}

// differs reports whether a node had something else than we when it said what it has.
func (m *Machine) differs(o *other) bool {
	for _, d := range o.digests {
		if l := m.lists[Kind(d.Kind)]; l != nil && (l.sum != d.Sum || l.count != int(d.Count)) {
			return true
		}
	}
	return false
}

// Fetch returns the node that is to be asked now for what it has and we do not; ok is false when there is none. The fetch is over with [Machine.Fetched].
func (m *Machine) Fetch(now time.Time) (from wire.NodeID, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var first *other
	for id, o := range m.others {
		switch {
		case now.Sub(o.heard) > forget:
			delete(m.others, id)
		case o.ask.IsZero() || now.Before(o.ask):
		case !m.differs(o):
			o.ask = time.Time{}
		case first == nil || o.ask.Before(first.ask):
			first, from = o, id
		}
	}
	if first == nil {
		return from, false
	}
	first.asked, first.ask = now, time.Time{}
	m.counts.Fetches++
	return from, true
}

// FetchDue returns when Fetch has to be called, the zero time for not before something is heard.
func (m *Machine) FetchDue() (due time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, o := range m.others {
		if !o.ask.IsZero() && (due.IsZero() || o.ask.Before(due)) {
			due = o.ask
		}
	}
	return due
}

// Fetched is told that a fetch is over, how many entries were news, and, if it did not come to its end, why. One that brought nothing is not repeated soon: the
// other node may be the one that lacks something, or holds what we cannot.
func (m *Machine) Fetched(from wire.NodeID, news int, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil {
		m.counts.Failed++
	}
	o := m.others[from]
	switch {
	case o == nil:
	case err == nil && news > 0:
		o.pause = leastPause
	default:
		o.pause = min(2*o.pause, longestPause)
	}
}

// AppendSums appends what a fetch begins with, the sums of what we have:
//
//	| number of kinds u8 | (kind u8 | sum u64, 256 times)* |
func (m *Machine) AppendSums(b []byte) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	b = append(b, byte(len(m.kinds)))
	for _, k := range m.kinds {
		b = append(b, byte(k))
		for i := range parts {
			b = binary.BigEndian.AppendUint64(b, m.lists[k].parts[i].sum)
		}
	}
	return b
}

// SumsSize returns how many bytes follow the first byte of what a fetch begins with.
func SumsSize(kinds byte) int { return int(kinds) * (1 + 8*parts) }

// Answer returns what another node, which has these sums, may lack: each call returns a frame of entries, nil at the end.
func (m *Machine) Answer(sums []byte) (frames func() []byte, err error) {
	if len(sums) < 1 || len(sums) != 1+SumsSize(sums[0]) {
		return nil, wire.ErrMalformed
	}
	sums = sums[1:]
	i := 0
	var rest []byte // of a part that is longer than a frame
	return func() []byte {
		for len(rest) == 0 {
			if len(sums) == 0 {
				return nil
			}
			rest = m.lacks(Kind(sums[0]), i, binary.BigEndian.Uint64(sums[1+8*i:]))
			if i++; i == parts {
				sums, i = sums[SumsSize(1):], 0
			}
		}
		n := frameSize(rest)
		frame := rest[:n]
		rest = rest[n:]
		return frame
	}, nil
}

// frameSize returns how many bytes of entries make a frame.
func frameSize(b []byte) int {
	n := 0
	for rest := b; len(rest) > 0; {
		_, after, err := wire.ParseEdit(rest)
		size := len(rest) - len(after)
		if err != nil || n+size > MaxFrame {
			break
		}
		n += size
		rest = after
	}
	return n
}

// lacks returns the entries of a part, if its sum is another.
func (m *Machine) lacks(kind Kind, i int, sum uint64) (b []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.lists[kind]
	if l == nil || l.parts[i].sum == sum {
		return nil
	}
	for k, r := range l.parts[i].all {
		e := l.entry(kind, &k, r)
		b = e.Append(b)
	}
	return b
}

// Take takes in a frame of entries and returns how many were news.
func (m *Machine) Take(now time.Time, frame []byte) (news int, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(frame) > 0 {
		x, rest, err := wire.ParseEdit(frame)
		if err != nil {
			return news, err
		}
		if e := entryOf(&x); m.merge(now, &e) {
			m.counts.Heard++
			news++
		}
		frame = rest
	}
	return news, nil
}
