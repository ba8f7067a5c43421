package edits

import (
	"container/heap"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"starling/wire"
)

const (
	// DefaultMost is how many entries a kind holds that says nothing else: some 80 MB.
	DefaultMost = 1 << 20
	// maxAhead is how far in the future of our clock a change may be.
	maxAhead = 24 * time.Hour
	// maxChanges is how many changes wait at most for whoever puts them in force; with more, it has to look at all entries.
	maxChanges = 1 << 16
)

// Why a change is refused.
var (
	ErrFull  = errors.New("the list is full")
	ErrKind  = errors.New("not a list that is shared")
	ErrEntry = errors.New("neither an addition nor a removal, or its end or its reason is out of bounds")
)

// Counts is what a machine has done.
type Counts struct {
	Made    uint64 // changes made here
	Heard   uint64 // later ones than ours, of other nodes
	Stale   uint64 // others of theirs
	Full    uint64 // refused because the list was full
	Future  uint64 // refused because their time is too far in the future
	Invalid uint64 // refused because they make no sense
	Unknown uint64 // of kinds that are not known here
	Ended   uint64
	Fetches uint64 // from other nodes
	Failed  uint64 // of those
}

// Machine holds the lists. Its methods may be called from any number of goroutines.
type Machine struct {
	mu      sync.Mutex // guards the rest
	rng     *rand.Rand
	lists   map[Kind]*list
	kinds   []Kind // in their order
	last    uint64 // the latest time of a change
	ends    ends
	counts  Counts
	sending sending
	others  others

	changes []Entry // not taken yet
	missed  bool    // there were more of them
	wake    func()  // something is to be sent
	changed chan struct{}
}

// New returns a machine for kinds of lists, each with how many entries it holds at most. Rng is for jitter.
func New(kinds map[Kind]int, rng *rand.Rand) *Machine {
	m := &Machine{rng: rng, lists: make(map[Kind]*list), wake: func() {}, changed: make(chan struct{}, 1), others: make(others)}
	for k := Kind(0); k < 255; k++ {
		if most, ok := kinds[k]; ok {
			m.kinds = append(m.kinds, k)
			m.lists[k] = &list{most: most, reasons: make(map[Key]string)}
		}
	}
	return m
}

// Attach is told what to call when there is something to send. It must not call the machine.
func (m *Machine) Attach(wake func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wake = wake
}

// Edit makes changes: it stamps them, stores them and sends them. They come back as they were stored. When one cannot be made, none is.
func (m *Machine) Edit(now time.Time, node wire.NodeID, es ...Entry) ([]Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	more := make(map[Kind]int)
	for i := range es {
		e := &es[i]
		l := m.lists[e.Kind]
		switch {
		case l == nil:
			return nil, ErrKind
		case !e.valid():
			return nil, ErrEntry
		}
		if _, ok := l.get(e.Kind, &e.Key); !ok {
			if more[e.Kind]++; l.count+more[e.Kind] > l.most {
				m.counts.Full++
				return nil, ErrFull
			}
		}
	}
	for i := range es {
		e := &es[i]
		m.last = max(uint64(max(now.UnixNano(), 0)), m.last+1)
		e.Node, e.Time = node, m.last
		m.store(now, e)
		m.counts.Made++
		m.sending.add(now, id{e.Kind, e.Key})
	}
	m.wake()
	return es, nil
}

// Load takes in entries that were kept. Nothing is sent for them.
func (m *Machine) Load(now time.Time, es []Entry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range es {
		m.merge(now, &es[i])
	}
}

// merge takes in an entry, and reports whether it is news.
func (m *Machine) merge(now time.Time, e *Entry) bool {
	l := m.lists[e.Kind]
	if l == nil {
		m.counts.Unknown++
		return false
	}
	old, known := l.get(e.Kind, &e.Key)
	switch {
	case !e.valid():
		m.counts.Invalid++
	case e.Time > uint64(max(now.Add(maxAhead).UnixNano(), 0)):
		m.counts.Future++
	case known && !e.beats(&old), e.End != 0 && now.Unix() >= e.End+keepEnded:
		m.counts.Stale++
	case !known && l.count >= l.most:
		m.counts.Full++
	default:
		m.last = max(m.last, e.Time)
		m.store(now, e)
		return true
	}
	return false
}

// store stores an entry that counts, and tells whoever puts it in force.
func (m *Machine) store(now time.Time, e *Entry) {
	m.lists[e.Kind].put(e)
	m.ends.add(now, e)
	if len(m.ends) > endsLeast && len(m.ends) > 2*m.count() {
		m.countEnds(now)
	}
	m.tell(e)
}

// endsLeast is how many ends there may be in any case; else there are at most two for each entry.
const endsLeast = 1 << 12

// count returns how many entries there are.
func (m *Machine) count() (n int) {
	for _, l := range m.lists {
		n += l.count
	}
	return n
}

// countEnds makes the heap of ends anew, without those that are out of date.
func (m *Machine) countEnds(now time.Time) {
	m.ends = m.ends[:0]
	for _, kind := range m.kinds {
		l := m.lists[kind]
		for i := range l.parts {
			for k, r := range l.parts[i].all {
				if r.end != 0 {
					m.ends = append(m.ends, end{endOf(now, r.end), id{kind, k}})
				}
			}
		}
	}
	heap.Init(&m.ends)
}

func (m *Machine) tell(e *Entry) {
	if len(m.changes) < maxChanges {
		m.changes = append(m.changes, *e)
	} else {
		m.missed = true
	}
	select {
	case m.changed <- struct{}{}:
	default: // somebody was told already
	}
}

// Changed has something when there are changes to be taken.
func (m *Machine) Changed() <-chan struct{} { return m.changed }

// Changes takes out what changed since it was called last, in the order in which that happened. Those that ended are among them. With all, there were so
// many that some are not here: all entries are to be looked at.
func (m *Machine) Changes() (es []Entry, all bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	es, all = m.changes, m.missed
	m.changes, m.missed = nil, false
	return es, all
}

// expireAtOnce is how many entries end, or are forgotten, while others wait for the lock: a million may have the same end, and live sync waits, too.
const expireAtOnce = 1024

// Expire lets entries end whose time has come, so many at a time. It returns when it has to be called again at the latest, the zero time for not before
// something changes.
func (m *Machine) Expire(now time.Time) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	for range expireAtOnce {
		due, ok := m.ends.due(now)
		if !ok {
			break
		}
		l := m.lists[due.kind]
		e, ok := l.get(due.kind, &due.key)
		switch {
		case !ok || e.End == 0 || due.at != e.End && due.at != e.End+keepEnded:
		case due.at == e.End:
			m.counts.Ended++
			m.ends.add(now, &e)
			m.tell(&e)
		default:
			l.take(due.kind, &due.key)
		}
	}
	if len(m.ends) == 0 {
		return time.Time{}
	}
	return time.Unix(m.ends[0].at, 0)
}

// Get returns an entry.
func (m *Machine) Get(kind Kind, k Key) (Entry, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l := m.lists[kind]; l != nil {
		return l.get(kind, &k)
	}
	return Entry{}, false
}

// Page returns up to n entries of a kind, those behind a key in an order that stays the same, or from the first on for nil. With fewer than n there are no more.
func (m *Machine) Page(kind Kind, after *Key, n int) []Entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	l, from := m.lists[kind], 0
	if l == nil {
		return nil
	}
	if after != nil {
		from = int(partOf(after))
	}
	var page []Entry
	for i := from; i < parts && len(page) < n; i++ {
		for _, k := range l.parts[i].sorted(after) {
			if len(page) == n {
				break
			}
			page = append(page, l.entry(kind, &k, l.parts[i].all[k]))
		}
		after = nil
	}
	return page
}

// Len returns how many entries a kind has, those included that ended and are not forgotten yet.
func (m *Machine) Len(kind Kind) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l := m.lists[kind]; l != nil {
		return l.count
	}
	return 0
}

// Counts returns what was done so far.
func (m *Machine) Counts() Counts {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.counts
}
