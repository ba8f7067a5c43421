package livesync

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"starling/wire"
)

// newTestQueue returns the queue of a plain node in dialect seed whose interface is up.
func newTestQueue() *queue {
	q := newQueue([2]int{plainLimits.four, plainLimits.six})
	q.setAway(false, false)
	return q
}

// offer puts a record as [Node.Offer] does.
func (q *queue) offer(r wire.Record) bool { return q.put(&r, Seed.lineOf(&r)) }

// take takes the oldest record of a line.
func (q *queue) take(line int) (r wire.Record, ok bool) {
	i, ok := q.lines.first(lineHead(line))
	if ok {
		r = q.slots[i].record
		q.remove(i)
	}
	return r, ok
}

// takeAll takes everything and returns how many records there were.
func (q *queue) takeAll() (n int) {
	for line := range q.count {
		for _, ok := q.take(line); ok; _, ok = q.take(line) {
			n++
		}
	}
	return n
}

// check fails unless lists, counts and index agree with each other.
func (q *queue) check(t *testing.T) {
	t.Helper()
	byLine, byClass, indexed := 0, 0, 0
	for line := range q.count {
		n, number := 0, uint64(0)
		for i := q.lines[lineHead(line)].next; i != lineHead(line); i = q.lines[i].next {
			if s := &q.slots[i]; n > 0 && s.number <= number || int(s.line) != line {
				t.Fatalf("line %d: record %d behind %d, of line %d", line, s.number, number, s.line)
			}
			number = q.slots[i].number
			n++
		}
		if n != q.count[line] {
			t.Fatalf("line %d has %d records and counts %d", line, n, q.count[line])
		}
		byLine += n
	}
	for c := range classes {
		for i := q.worth[classHead(c)].next; i != classHead(c); i = q.worth[i].next {
			if is := classOf(q.slots[i].record.Flags); is != c {
				t.Fatalf("a record of class %d among those of class %d", is, c)
			}
			byClass++
		}
	}
	for bucket, i := range q.heads {
		for ; i != none; i = q.slots[i].chain {
			if int(q.slots[i].bucket) != bucket {
				t.Fatalf("a record of bucket %d in bucket %d", q.slots[i].bucket, bucket)
			}
			indexed++
		}
	}
	if byClass != byLine || indexed != byLine {
		t.Fatalf("%d records in the lines, %d in the classes, %d in the index", byLine, byClass, indexed)
	}
}

func TestQueueKeepsOrder(t *testing.T) {
	q := newTestQueue()
	in := 0
	var out [2]int // the last record that left each line
	for in < 5*queueSize {
		for range 700 {
			in++
			q.offer(recordOf(in))
		}
		for line := range out {
			for r, ok := q.take(line); ok; r, ok = q.take(line) {
				n := int(number(r.InfoHash))
				if n <= out[line] || r != recordOf(n) {
					t.Fatalf("record %v after %d", r, out[line])
				}
				out[line] = n
			}
		}
		q.check(t)
	}
	if out != [2]int{in, in - 2} && out != [2]int{in - 1, in} && out != [2]int{in, in - 1} || q.discarded() != (Discarded{}) {
		t.Errorf("%d in, out up to %d, discarded %+v", in, out, q.discarded())
	}
}

// TestQueueAgainstModel puts, takes and fills at random, and compares with a queue that is a slice.
func TestQueueAgainstModel(t *testing.T) {
	for seed := range uint64(2) {
		rng := rand.New(rand.NewPCG(seed, 7))
		q := newTestQueue()
		var model []modelRecord
		peers := 1 + rng.IntN(2*queueSize)
		for at := range 26_000 {
			if rng.IntN(3) == 0 {
				if got, ok := q.take(0); ok != (len(model) > 0) || ok && got != model[0].Record {
					t.Fatalf("seed %d: took %v, want %v of %d", seed, got, model[:min(1, len(model))], len(model))
				}
				model = model[min(1, len(model)):]
				continue
			}
			r := wire.Record{InfoHash: HashOf(1), Peer: PeerOf(rng.IntN(peers)), Flags: said(1 + rng.IntN(4)).flags()}
			if rng.IntN(3) == 0 && classOf(r.Flags) == starts {
				r.Flags |= wire.Renewal
			}
			q.offer(r)
			model = modelPut(model, r, at)
		}
		q.check(t)
		if len(model) != q.len() {
			t.Errorf("seed %d: %d records wait, want %d", seed, q.len(), len(model))
		}
	}
}

// flags returns those of a record that says that.
func (s said) flags() wire.Flags {
	return [...]wire.Flags{leecher: 0, seeder: wire.Seeding, completion: wire.Seeding | wire.Complete, stopped: wire.Stopped}[s]
}

// modelRecord is a record that waits, and when it came into its class.
type modelRecord struct {
	wire.Record
	at int
}

// modelPut is put in its simplest form: with searches.
func modelPut(model []modelRecord, r wire.Record, at int) []modelRecord {
	last, before := -1, -1
	for i := range model {
		if model[i].InfoHash == r.InfoHash && model[i].Peer == r.Peer {
			last, before = i, last
		}
	}
	says := func(i int) said {
		if i < 0 {
			return nothing
		}
		return saidBy(model[i].Flags)
	}
	without := func(i int) []modelRecord { return append(model[:i:i], model[i+1:]...) }
	switch coalesce(says(before), says(last), saidBy(r.Flags)) {
	case dropped:
		return model
	case retracted:
		return without(last)
	case replaced:
		was := classOf(model[last].Flags)
		if was != renewals {
			r.Flags &^= wire.Renewal
		}
		model[last].Record = r
		if classOf(r.Flags) != was {
			model[last].at = at
		}
		return model
	}
	if len(model) < queueSize {
		return append(model, modelRecord{r, at})
	}
	oldest := -1
	for i := range model {
		if c := classOf(model[i].Flags); oldest < 0 || c < classOf(model[oldest].Flags) || c == classOf(model[oldest].Flags) && model[i].at < model[oldest].at {
			oldest = i
		}
	}
	if classOf(model[oldest].Flags) > classOf(r.Flags) {
		return model
	}
	return append(without(oldest), modelRecord{r, at})
}

// TestQueueWakes puts records before and after the sender said what it waits for.
func TestQueueWakes(t *testing.T) {
	b := newTestBatch(Seed, time.Second)
	q := b.q
	n := 0
	four := func() bool { n++; return q.offer(recordOf(3 * n)) }
	six := func() bool { n++; return q.offer(recordOf(3*n + 2)) }
	if four() {
		t.Error("a sender that is awake is woken")
	}
	if b.sleep() {
		t.Error("the sender may sleep while a record waits whose time it does not know")
	}
	q.takeAll()
	if !b.sleep() || !six() || four() {
		t.Error("the first record must wake, a second must not")
	}
	b.start(epoch)
	if !b.sleep() || six() || four() {
		t.Error("records must not wake a sender that knows when the first of them leave")
	}
	for range q.full[0] - 3 {
		if four() {
			t.Fatal("the packet is not full yet")
		}
	}
	if !four() || four() || b.sleep() {
		t.Error("the record that fills the packet must wake, once, and the sender may not sleep")
	}
}

// TestQueueWakesNobodyInVain has many announces at once: whatever is put, either the sender was woken or it does not sleep.
func TestQueueWakesNobodyInVain(t *testing.T) {
	const writers, each = 8, 5000
	b := newTestBatch(Seed, 0)
	q := b.q
	q.setAway(false, false)
	wake := make(chan struct{}, 1)
	done := make(chan struct{})
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if q.offer(recordOf(w*each + i)) {
					select {
					case wake <- struct{}{}:
					default:
					}
				}
			}
		})
	}
	go func() { wg.Wait(); close(done) }()
	taken := 0
	for ended := false; !ended; {
		select {
		case <-wake:
		case <-done:
			ended = true
		}
		for again := true; again; again = !b.sleep() {
			for pkt, n := b.next(epoch, testID); pkt != nil; pkt, n = b.next(epoch, testID) {
				taken += n
			}
		}
	}
	lost := q.discarded()
	if taken+int(lost.records()) != writers*each {
		t.Errorf("took %d and gave up %d of %d", taken, lost.records(), writers*each)
	}
}

func TestOfferDoesNotAllocate(t *testing.T) {
	cfg := Config{Interface: "eth0", BeaconInterval: 1}
	n := New(cfg)
	i := 0
	if allocs := testing.AllocsPerRun(2*queueSize, func() { i++; n.Offer(recordOf(i)) }); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}
