package pacer

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

func TestClientOf(t *testing.T) {
	same := func(a, b string) bool { return ClientOf(netip.MustParseAddr(a)) == ClientOf(netip.MustParseAddr(b)) }
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"2001:db8::1", "2001:db8::ffff:0:0:1", true},
		{"2001:db8::1", "2001:db8:0:1::1", false},
		{"0.0.0.0", "::", false},
		{"192.0.2.1", "0:0:c000:201::", false},
	} {
		if same(c.a, c.b) != c.same {
			t.Errorf("%s and %s: same client %v", c.a, c.b, !c.same)
		}
	}
}

func clientNumber(n int) Client { return Client{bits: uint64(n)} }

// modelItem is a request in the model of a queue, a plain slice by arrival.
type modelItem struct {
	id, client int
	cost       int64
	came       time.Time
}

// TestQueueMatchesModel: pushes, pops, deadlines and changes of the discipline
// in any order. Every request that went in comes out exactly once, in the
// order of the discipline that is set, and the victims are the oldest of the
// fattest.
func TestQueueMatchesModel(t *testing.T) {
	r := seeded(t)
	for range 100 {
		limit, wait := 1+r.IntN(30), 100*time.Millisecond
		q := NewQueue[int](DRR, wait, limit)
		var model []modelItem
		out := map[int]int{}
		now, next := epoch0, 0
		take := func(id int) modelItem {
			out[id]++
			i := slices.IndexFunc(model, func(m modelItem) bool { return m.id == id })
			if i < 0 {
				t.Fatalf("request %d came out and is not in", id)
			}
			m := model[i]
			model = slices.Delete(model, i, i+1)
			return m
		}
		for range 2000 {
			now = now.Add(time.Duration(r.IntN(int(5 * time.Millisecond))))
			switch r.IntN(10) {
			case 0:
				q.SetDiscipline(Discipline(r.IntN(3)))
			case 1:
				for id, ok := q.Expire(now); ok; id, ok = q.Expire(now) {
					if m := take(id); now.Sub(m.came) < wait {
						t.Fatalf("request %d went after %v", id, now.Sub(m.came))
					}
				}
				if len(model) > 0 && now.Sub(model[0].came) >= wait {
					t.Fatalf("request %d is late and stays", model[0].id)
				}
			case 2, 3, 4:
				modelPop(t, q, model, take)
			default:
				m := modelItem{next, r.IntN(5) * r.IntN(3), 1 + r.Int64N(20), now}
				next++
				model = append(model, m)
				victim, full := q.Push(now, clientNumber(m.client), m.cost, m.id)
				if full != (len(model) > limit) {
					t.Fatalf("full %v with %d of %d", full, len(model), limit)
				}
				if full {
					checkVictim(t, model, take(victim))
				}
			}
			if q.Len() != len(model) {
				t.Fatalf("%d in the queue, %d in the model", q.Len(), len(model))
			}
		}
		for _, _, ok := q.Pop(); ok; _, _, ok = q.Pop() {
			next--
		}
		if next != len(out) {
			t.Fatalf("%d requests have had no outcome", next-len(out))
		}
		for id, n := range out {
			if n != 1 {
				t.Fatalf("request %d came out %d times", id, n)
			}
		}
		if len(q.clients) != 0 || q.turn != nil || q.oldest != nil || q.newest != nil || len(q.fattest) != 0 {
			t.Fatal("an empty queue holds something")
		}
	}
}

// modelPop takes one request out and compares the order with the model's.
func modelPop(t *testing.T, q *Queue[int], model []modelItem, take func(int) modelItem) {
	t.Helper()
	id, cost, ok := q.Pop()
	if ok != (len(model) > 0) {
		t.Fatalf("popped %v of %d", ok, len(model))
	}
	if !ok {
		return
	}
	first, last := model[0], model[len(model)-1]
	before := slices.Clone(model)
	m := take(id)
	oldest := before[slices.IndexFunc(before, func(x modelItem) bool { return x.client == m.client })]
	switch {
	case cost != m.cost:
		t.Fatalf("request %d costs %d, not %d", id, m.cost, cost)
	case q.discipline == FIFO && id != first.id:
		t.Fatalf("fifo served %d, not %d", id, first.id)
	case q.discipline == LIFO && id != last.id:
		t.Fatalf("lifo served %d, not %d", id, last.id)
	case q.discipline == DRR && id != oldest.id:
		t.Fatalf("drr served %d, but %d of that client is older", id, oldest.id)
	}
}

// checkVictim: it was the oldest of a client that had at least as much in the
// queue as any other.
func checkVictim(t *testing.T, model []modelItem, victim modelItem) {
	t.Helper()
	cost := map[int]int64{victim.client: victim.cost}
	for _, m := range model {
		if m.client == victim.client && m.id < victim.id {
			t.Fatalf("the victim is %d, but %d of its client is older", victim.id, m.id)
		}
	}
	for _, m := range model {
		cost[m.client] += m.cost
	}
	for client, c := range cost {
		if c > cost[victim.client] {
			t.Fatalf("the victim's client has %d in the queue, client %d has %d", cost[victim.client], client, c)
		}
	}
}

// TestDRRIsFair: clients that always have requests of any cost waiting get the
// same within two quanta at every moment, with others coming and going.
func TestDRRIsFair(t *testing.T) {
	r := seeded(t)
	for range 20 {
		q := NewQueue[[2]int64](DRR, time.Hour, 10_000)
		greedy, largest := 2+r.IntN(20), 1+r.Int64N(1000)
		push := func(client int) {
			// Some clients ask for large things only, others for small ones.
			cost := 1 + r.Int64N(largest)
			if client%2 == 0 {
				cost = largest
			}
			q.Push(epoch0, clientNumber(client), cost, [2]int64{int64(client), cost})
		}
		for c := range greedy {
			push(c)
			push(c)
		}
		got := make([]int64, greedy)
		for i := range 20_000 {
			if r.IntN(5) == 0 {
				push(greedy + r.IntN(50))
			}
			request, _, _ := q.Pop()
			client := int(request[0])
			if client >= greedy {
				continue
			}
			got[client] += request[1]
			push(client)
			if i%100 == 0 {
				if d := slices.Max(got) - slices.Min(got); d > 3*largest {
					t.Fatalf("after %d requests, the largest of cost %d: from %d to %d", i, largest, slices.Min(got), slices.Max(got))
				}
			}
		}
		var mean int64
		for _, n := range got {
			mean += n
		}
		mean /= int64(greedy)
		if d := max(slices.Max(got)-mean, mean-slices.Min(got)); d > 2*largest {
			t.Errorf("%d from the even part, the quantum is %d", d, largest)
		}
		if j := jain(got); j < 0.99 {
			t.Errorf("Jain %.4f", j)
		}
	}
}

// TestFloodPushesOutItself: one client asks a thousand times as often as
// ninety-nine others; none of theirs is lost.
func TestFloodPushesOutItself(t *testing.T) {
	q := NewQueue[int](DRR, time.Hour, 200)
	for round := range 100 {
		for range 1000 {
			if victim, full := q.Push(epoch0, clientNumber(0), 1, 0); full && victim != 0 {
				t.Fatalf("round %d: a request of client %d went", round, victim)
			}
		}
		for c := 1; c < 100; c++ {
			if victim, full := q.Push(epoch0, clientNumber(c), 1, c); full && victim != 0 {
				t.Fatalf("round %d: a request of client %d went", round, victim)
			}
		}
		seen := map[int]bool{}
		for range 100 {
			c, _, _ := q.Pop()
			seen[c] = true
		}
		if len(seen) != 100 {
			t.Fatalf("round %d: %d of 100 clients were served", round, len(seen))
		}
	}
}

func TestParseDiscipline(t *testing.T) {
	for _, d := range []Discipline{DRR, FIFO, LIFO} {
		if got, err := ParseDiscipline(d.String()); got != d || err != nil {
			t.Errorf("%v: %v %v", d, got, err)
		}
	}
	if _, err := ParseDiscipline("random"); err == nil {
		t.Error("a scheduler that there is not is taken")
	}
}
