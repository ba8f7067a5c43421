package edits

import (
	"bytes"
	"container/heap"
	"maps"
	"slices"
	"time"

	"starling/wire"
)

// parts is how many parts each kind is compared in.
const parts = 256

// keepEnded is how long an entry is kept that has no effect any more.
const keepEnded = 24 * 60 * 60 // seconds

// record is what is stored of an entry beside its kind and key.
type record struct {
	time uint64
	end  int64
	node wire.NodeID
	op   Op
	said bool // there is a reason
}

// part is a part of a kind.
type part struct {
	all map[Key]record
	sum uint64
}

// list is all entries of a kind.
type list struct {
	most    int
	count   int
	sum     uint64
	parts   [parts]part
	reasons map[Key]string
}

// id names an entry.
type id struct {
	kind Kind
	key  Key
}

// get returns an entry.
func (l *list) get(kind Kind, k *Key) (Entry, bool) {
	r, ok := l.parts[partOf(k)].all[*k]
	if !ok {
		return Entry{}, false
	}
	return l.entry(kind, k, r), true
}

func (l *list) entry(kind Kind, k *Key, r record) Entry {
	e := Entry{Kind: kind, Op: r.op, Key: *k, End: r.end, Node: r.node, Time: r.time}
	if r.said {
		e.Reason = l.reasons[*k]
	}
	return e
}

// put stores an entry in place of what was there.
func (l *list) put(e *Entry) {
	p := &l.parts[partOf(&e.Key)]
	l.take(e.Kind, &e.Key)
	if p.all == nil {
		p.all = make(map[Key]record)
	}
	p.all[e.Key] = record{e.Time, e.End, e.Node, e.Op, e.Reason != ""}
	if e.Reason != "" {
		l.reasons[e.Key] = e.Reason
	}
	l.count++
	sum := e.sum()
	p.sum += sum
	l.sum += sum
}

// take removes an entry, if it is there.
func (l *list) take(kind Kind, k *Key) {
	old, ok := l.get(kind, k)
	if !ok {
		return
	}
	p := &l.parts[partOf(k)]
	sum := old.sum()
	p.sum -= sum
	l.sum -= sum
	delete(p.all, *k)
	delete(l.reasons, *k)
	l.count--
}

// sorted returns the keys of a part in their order, those behind the one given.
func (p *part) sorted(after *Key) []Key {
	keys := make([]Key, 0, len(p.all))
	for k := range maps.Keys(p.all) {
		if after == nil || bytes.Compare(k[:], after[:]) > 0 {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b Key) int { return bytes.Compare(a[:], b[:]) })
	return keys
}

// ends is a heap of when entries end, and of when those that ended are forgotten. What it says of an entry that has changed since is out of date.
type ends []end

type end struct {
	at int64 // Unix seconds
	id
}

func (h ends) Len() int           { return len(h) }
func (h ends) Less(i, j int) bool { return h[i].at < h[j].at }
func (h ends) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *ends) Push(x any) { *h = append(*h, x.(end)) }

// Pop implements heap.Interface.
func (h *ends) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// add notes when an entry ends, or is forgotten when it has.
func (h *ends) add(now time.Time, e *Entry) {
	if e.End != 0 {
		heap.Push(h, end{endOf(now, e.End), id{e.Kind, e.Key}})
	}
}

// endOf returns when an entry with an end is looked at next.
func endOf(now time.Time, at int64) int64 {
	if now.Unix() >= at {
		return at + keepEnded
	}
	return at
}

// due takes out the first entry whose time has come.
func (h *ends) due(now time.Time) (end, bool) {
	if len(*h) == 0 || (*h)[0].at > now.Unix() {
		return end{}, false
	}
	return heap.Pop(h).(end), true
}
