package pacer

import (
	"container/heap"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Discipline is in what order a queue is served.
type Discipline uint8

const (
	// DRR takes turns among client flows, weighed by cost (deficit round
	// robin): who asks for much waits for itself, not for the others.
	DRR Discipline = iota
	// FIFO serves who came first.
	FIFO
	// LIFO serves who came last: under overload those served are at least
	// served in time.
	LIFO
)

var disciplines = []string{DRR: "drr", FIFO: "fifo", LIFO: "lifo"}

// String returns the name as the configuration has it.
func (d Discipline) String() string { return disciplines[d] }

// ParseDiscipline reads "drr", "fifo" or "lifo".
func ParseDiscipline(s string) (Discipline, error) {
	if i := slices.Index(disciplines, s); i >= 0 {
		return Discipline(i), nil
	}
	return 0, fmt.Errorf("scheduler %q: it is drr, fifo or lifo", s)
}

// Client is whom the requests of a flow come from: an IPv4 address or an IPv6
// network of 64 bits, which is what one customer has.
type Client struct {
	bits uint64
	six  bool
	wide bool // a network of 56 bits, see Wide
}

// ClientOf returns the client that an address belongs to. An IPv4 address in
// its mapped form is the IPv4 one.
func ClientOf(a netip.Addr) Client {
	a = a.Unmap()
	if a.Is4() {
		b := a.As4()
		return Client{bits: uint64(binary.BigEndian.Uint32(b[:]))}
	}
	b := a.As16()
	return Client{bits: binary.BigEndian.Uint64(b[:8]), six: true}
}

// Queue holds the requests of one class until there are tokens. It is bounded:
// when it is full the oldest request of the client that has most in it goes,
// so that a flood pushes out itself. Every request that enters leaves once: by
// Pop, by Expire or as the victim of a Push.
//
// All requests stand in one list by arrival, and each in the list of its
// client. What a discipline serves next is read off these, so that another one
// can be set at any time without moving a request.
//
// A Queue has no lock: its holder guards it.
type Queue[T any] struct {
	discipline Discipline
	wait       time.Duration
	limit      int

	count          int
	oldest, newest *entry[T]
	clients        map[Client]*clientFlow[T]
	turn           *clientFlow[T] // whose turn it is, in a ring of all that have requests
	quantum        int64          // what a turn is worth: the largest cost that ever was
	fattest        fatHeap[T]
	spare          *entry[T] // entries to use again, through newer
}

// entry is a request in the queue.
type entry[T any] struct {
	request      T
	cost         int64
	came         time.Time
	flow         *clientFlow[T]
	older, newer *entry[T] // of all
	prev, next   *entry[T] // of its client, by arrival
}

// clientFlow are the requests of one client.
type clientFlow[T any] struct {
	client         Client
	cost           int64
	oldest, newest *entry[T]
	deficit        int64
	left, right    *clientFlow[T] // in the ring
	place          int            // in the heap
}

// NewQueue returns a queue of at most limit requests, each of which may wait
// for so long.
func NewQueue[T any](d Discipline, wait time.Duration, limit int) *Queue[T] {
	return &Queue[T]{discipline: d, wait: wait, limit: max(limit, 1), clients: map[Client]*clientFlow[T]{}}
}

// SetDiscipline changes in what order is served from now on.
func (q *Queue[T]) SetDiscipline(d Discipline) { q.discipline = d }

// SetWait changes how long a request may wait, for those in the queue too.
func (q *Queue[T]) SetWait(wait time.Duration) { q.wait = wait }

// Len returns how many requests wait.
func (q *Queue[T]) Len() int { return q.count }

// Push puts a request in. If the queue was full it returns the one that had to
// go, which may be the new one itself.
func (q *Queue[T]) Push(now time.Time, client Client, cost int64, request T) (victim T, full bool) {
	cost = max(cost, 1)
	q.quantum = max(q.quantum, cost)
	e := q.spare
	if e == nil {
		e = &entry[T]{}
	} else {
		q.spare = e.newer
	}
	*e = entry[T]{request: request, cost: cost, came: now, flow: q.flowOf(client), older: q.newest}
	if q.newest == nil {
		q.oldest = e
	} else {
		q.newest.newer = e
	}
	q.newest = e
	e.flow.append(e)
	heap.Fix(&q.fattest, e.flow.place)
	if q.count++; q.count <= q.limit {
		return victim, false
	}
	return q.remove(q.fattest[0].oldest), true
}

// Pop takes out the request that is served next, and returns its cost. It does
// not look at deadlines: Expire first.
func (q *Queue[T]) Pop() (request T, cost int64, ok bool) {
	e := q.next()
	if e == nil {
		return request, 0, false
	}
	if q.discipline == DRR {
		e.flow.deficit -= e.cost
	}
	cost = e.cost
	return q.remove(e), cost, true
}

// Expire takes out the oldest request if its deadline is over. It is called
// until it returns false.
func (q *Queue[T]) Expire(now time.Time) (request T, ok bool) {
	if q.oldest == nil || now.Sub(q.oldest.came) < q.wait {
		return request, false
	}
	return q.remove(q.oldest), true
}

// Oldest returns since when the oldest request waits.
func (q *Queue[T]) Oldest() (came time.Time, ok bool) {
	if q.oldest == nil {
		return came, false
	}
	return q.oldest.came, true
}

// next returns the entry that is served next. In the round robin a client has
// the turn while its deficit holds the cost of its oldest request; then the
// turn goes on, and whom it comes to gets a quantum. No request costs more
// than that: one step is enough.
func (q *Queue[T]) next() *entry[T] {
	switch q.discipline {
	case FIFO:
		return q.oldest
	case LIFO:
		return q.newest
	}
	if q.turn == nil {
		return nil
	}
	if q.turn.deficit < q.turn.oldest.cost {
		q.pass(q.turn.right)
	}
	return q.turn.oldest
}

// pass gives a client the turn and a quantum. It keeps what it could not use
// of its last turn, never more than another quantum.
func (q *Queue[T]) pass(f *clientFlow[T]) {
	q.turn = f
	f.deficit = min(f.deficit, q.quantum) + q.quantum
}

// flowOf returns the flow of a client, which begins with a quantum behind all
// others when it has no requests yet.
func (q *Queue[T]) flowOf(client Client) *clientFlow[T] {
	f := q.clients[client]
	if f != nil {
		return f
	}
	f = &clientFlow[T]{client: client}
	q.clients[client] = f
	heap.Push(&q.fattest, f)
	if q.turn == nil {
		f.left, f.right, q.turn = f, f, f
		return f
	}
	f.left, f.right = q.turn.left, q.turn
	f.left.right, f.right.left = f, f
	return f
}

// remove takes an entry out of all lists and returns its request.
func (q *Queue[T]) remove(e *entry[T]) T {
	request, f := e.request, e.flow
	if e.older == nil {
		q.oldest = e.newer
	} else {
		e.older.newer = e.newer
	}
	if e.newer == nil {
		q.newest = e.older
	} else {
		e.newer.older = e.older
	}
	f.remove(e)
	if f.oldest == nil {
		q.drop(f)
	} else {
		heap.Fix(&q.fattest, f.place)
	}
	*e = entry[T]{newer: q.spare}
	q.spare = e
	q.count--
	return request
}

// drop takes a client without requests out; its deficit is forgotten.
func (q *Queue[T]) drop(f *clientFlow[T]) {
	delete(q.clients, f.client)
	heap.Remove(&q.fattest, f.place)
	if f.right == f {
		q.turn = nil
		return
	}
	f.left.right, f.right.left = f.right, f.left
	if q.turn == f {
		q.pass(f.right)
	}
}

func (f *clientFlow[T]) append(e *entry[T]) {
	f.cost += e.cost
	e.prev = f.newest
	if f.newest == nil {
		f.oldest = e
	} else {
		f.newest.next = e
	}
	f.newest = e
}

func (f *clientFlow[T]) remove(e *entry[T]) {
	f.cost -= e.cost
	if e.prev == nil {
		f.oldest = e.next
	} else {
		e.prev.next = e.next
	}
	if e.next == nil {
		f.newest = e.prev
	} else {
		e.next.prev = e.prev
	}
}

// fatHeap has the client with the most cost in the queue at its top.
type fatHeap[T any] []*clientFlow[T]

func (h fatHeap[T]) Len() int           { return len(h) }
func (h fatHeap[T]) Less(i, j int) bool { return h[i].cost > h[j].cost }
func (h fatHeap[T]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

// Push and Pop are container/heap's.
func (h *fatHeap[T]) Push(x any) {
	f := x.(*clientFlow[T])
	f.place = len(*h)
	*h = append(*h, f)
}

// Pop removes the last of the slice.
func (h *fatHeap[T]) Pop() any {
	old := *h
	f := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return f
}
