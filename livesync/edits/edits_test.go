package edits

import (
	"cmp"
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"starling/wire"
)

var start = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

var allKinds = map[Kind]int{Deny: DefaultMost, Client: DefaultMost}

// node is a machine with a clock of its own that others hear.
type node struct {
	*Machine
	id   wire.NodeID
	skew time.Duration
	side int // of a partition
	down bool
}

// cluster is some machines and what is between them.
type cluster struct {
	t     *testing.T
	seed  uint64
	rng   *rand.Rand
	now   time.Time
	loss  int // percent
	nodes []*node
	calm  bool // nothing is lost and nobody is down
}

func newCluster(t *testing.T, seed uint64, n int) *cluster {
	c := &cluster{t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 1)), now: start}
	for i := range n {
		c.nodes = append(c.nodes, &node{
			Machine: New(allKinds, c.rng), id: wire.NodeID{1, byte(i)}, skew: time.Duration(c.rng.Int64N(int64(20*time.Second))) - 10*time.Second,
		})
	}
	return c
}

// hears reports whether a packet arrives.
func (c *cluster) hears(a, b *node) bool {
	return !a.down && !b.down && (c.calm || a.side == b.side && c.rng.IntN(100) >= c.loss)
}

// step lets 50 ms pass.
func (c *cluster) step() {
	c.now = c.now.Add(50 * time.Millisecond)
	for _, a := range c.nodes {
		if a.down {
			continue
		}
		now := c.now.Add(a.skew)
		a.Expire(now)
		for range 20 {
			b := a.Next(now, nil, a.id)
			if b == nil {
				break
			}
			for _, o := range c.nodes {
				if o != a && c.hears(a, o) {
					c.deliver(o, b)
				}
			}
		}
		c.fetch(a, now)
	}
}

// deliver hands a packet over as it comes from the wire.
func (c *cluster) deliver(to *node, b []byte) {
	p, err := wire.ParsePacket(append(wire.AppendTrailer(b, 1, 1), "tag of 12 by"...))
	if err != nil {
		c.t.Fatal(err)
	}
	m, err := p.Edits(wire.Edits{})
	if err != nil {
		c.t.Fatal(err)
	}
	to.Heard(c.now.Add(to.skew), p.From, &m)
}

// fetch does what is due, and may break off.
func (c *cluster) fetch(a *node, now time.Time) {
	from, ok := a.Fetch(now)
	if !ok {
		return
	}
	i := slices.IndexFunc(c.nodes, func(n *node) bool { return n.id == from })
	if !c.hears(a, c.nodes[i]) {
		a.Fetched(from, 0, errors.New("not there"))
		return
	}
	frames, err := c.nodes[i].Answer(a.AppendSums(nil))
	if err != nil {
		c.t.Fatal(err)
	}
	news := 0
	for f := frames(); f != nil; f = frames() {
		if !c.calm && c.rng.IntN(10) == 0 {
			a.Fetched(from, news, errors.New("broke off"))
			return
		}
		n, err := a.Take(now, f)
		if err != nil || len(f) > MaxFrame {
			c.t.Fatal(len(f), err)
		}
		news += n
	}
	a.Fetched(from, news, nil)
}

// all returns all entries of a machine, in an order that two with the same have.
func all(m *Machine) (es []Entry) {
	for _, k := range m.kinds {
		var after *Key
		for {
			page := m.Page(k, after, 7)
			es = append(es, page...)
			if len(page) < 7 {
				break
			}
			after = &page[6].Key
		}
	}
	return es
}

// TestConverge lets nodes change the same few entries while packets are lost, nodes restart with what they kept, and the cluster falls apart: some seconds
// after all that all have the same, of each entry the latest change.
func TestConverge(t *testing.T) {
	for range 12 {
		seed := rand.Uint64()
		c := newCluster(t, seed, 2+rand.IntN(4))
		model := map[id]Entry{}
		for range 600 {
			n := c.nodes[c.rng.IntN(len(c.nodes))]
			switch c.rng.IntN(12) {
			case 0:
				c.loss = c.rng.IntN(100)
			case 1:
				n.side = c.rng.IntN(2)
			case 2:
				n.down = !n.down
				if !n.down && c.rng.IntN(2) == 0 { // it was ended, and kept what it had, or nothing
					was := all(n.Machine)
					n.Machine = New(allKinds, c.rng)
					if c.rng.IntN(3) > 0 {
						n.Load(c.now.Add(n.skew), was)
					}
				}
			case 3, 4, 5:
				if n.down {
					break
				}
				e := Entry{Kind: Deny, Op: Op(1 + c.rng.IntN(2)), Key: Key{byte(c.rng.IntN(40))}}
				if c.rng.IntN(2) == 0 {
					e.Kind, e.Reason = Client, "because"
				}
				if c.rng.IntN(3) == 0 {
					e.End = c.now.Unix() + c.rng.Int64N(100)
				}
				done, err := n.Edit(c.now.Add(n.skew), n.id, e)
				if err != nil {
					t.Fatal(err)
				}
				at := id{e.Kind, e.Key}
				if old, ok := model[at]; !ok || done[0].beats(&old) {
					model[at] = done[0]
				}
			default:
				c.step()
			}
		}
		// What only a node knew that lost it is gone: the model is what is there.
		c.calm = true
		for _, n := range c.nodes {
			n.down = false
		}
		have := map[id]Entry{}
		for _, n := range c.nodes {
			for _, e := range all(n.Machine) {
				at := id{e.Kind, e.Key}
				if old, ok := have[at]; !ok || e.beats(&old) {
					have[at] = e
				}
				if m := model[at]; e.beats(&m) {
					t.Fatalf("seed %d: an entry that nobody made: %+v", seed, e)
				}
			}
		}
		for range 75 * 20 { // longestPause and two digests
			c.step()
		}
		for _, n := range c.nodes {
			es := all(n.Machine)
			if len(es) != len(have) {
				t.Fatalf("seed %d: node %v has %d entries of %d", seed, n.id, len(es), len(have))
			}
			for _, e := range es {
				if e != have[id{e.Kind, e.Key}] {
					t.Fatalf("seed %d: node %v has %+v, want %+v", seed, n.id, e, have[id{e.Kind, e.Key}])
				}
			}
		}
	}
}

// TestSum: sums and counts are those of the entries, whatever happened before.
func TestSum(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 3))
	m, now := New(allKinds, rng), start
	for range 2000 {
		now = now.Add(time.Duration(rng.Int64N(int64(20 * time.Minute))))
		e := Entry{Kind: Deny, Op: Op(1 + rng.IntN(2)), Key: Key{byte(rng.IntN(200))}, Reason: []string{"", "a", "b"}[rng.IntN(3)]}
		if rng.IntN(2) == 0 {
			e.End = now.Unix() + rng.Int64N(100_000)
		}
		if _, err := m.Edit(now, wire.NodeID{1}, e); err != nil {
			t.Fatal(err)
		}
		m.Expire(now)
	}
	again := New(allKinds, rng)
	es := all(m)
	again.Load(now, es)
	if !reflect.DeepEqual(m.digests(), again.digests()) || len(es) != m.Len(Deny) || len(es) == 0 || len(es) == 200 {
		t.Errorf("seed %d: %d entries, %v, loaded again %v", seed, len(es), m.digests(), again.digests())
	}
	var sums [2][]byte
	sums[0], sums[1] = m.AppendSums(nil), again.AppendSums(nil)
	if !slices.Equal(sums[0], sums[1]) || len(sums[0]) != 1+SumsSize(2) {
		t.Errorf("seed %d: sums of %d bytes differ", seed, len(sums[0]))
	}
	if l := m.lists[Deny]; len(l.reasons) > l.count {
		t.Errorf("seed %d: %d reasons of %d entries", seed, len(l.reasons), l.count)
	}
}

// TestEnds: an entry ends when it says, whoever puts it in force is told, and a day later it is forgotten.
func TestEnds(t *testing.T) {
	m := New(allKinds, rand.New(rand.NewPCG(1, 1)))
	e := Entry{Kind: Client, Op: Add, Key: Key{1}, End: start.Unix() + 60}
	if _, err := m.Edit(start, wire.NodeID{1}, e); err != nil {
		t.Fatal(err)
	}
	if es, all := m.Changes(); len(es) != 1 || all || es[0].Ended(start) {
		t.Fatalf("changes: %v", es)
	}
	if next := m.Expire(start.Add(59 * time.Second)); !next.Equal(start.Add(time.Minute)) {
		t.Errorf("the next end is at %v", next)
	}
	m.Expire(start.Add(time.Minute))
	if es, _ := m.Changes(); len(es) != 1 || !es[0].Ended(start.Add(time.Minute)) || m.Len(Client) != 1 {
		t.Errorf("changes at the end: %v", es)
	}
	if next := m.Expire(start.Add(2 * time.Minute)); !next.Equal(start.Add(time.Minute + 24*time.Hour)) {
		t.Errorf("it is forgotten at %v", next)
	}
	if next := m.Expire(start.Add(time.Minute + 24*time.Hour)); !next.IsZero() || m.Len(Client) != 0 {
		t.Errorf("a day later: %v, %d entries", next, m.Len(Client))
	}
	m.Load(start.Add(25*time.Hour), []Entry{{Kind: Client, Op: Add, Key: Key{1}, End: start.Unix() + 60, Time: 1}})
	if m.Len(Client) != 0 {
		t.Error("it came back")
	}
	for range 3 * endsLeast {
		if _, err := m.Edit(start, wire.NodeID{1}, e); err != nil {
			t.Fatal(err)
		}
	}
	if len(m.ends) > endsLeast+1 {
		t.Errorf("%d ends of one entry", len(m.ends))
	}
}

// TestBounds: what is too much, from the future, or senseless is refused and counted.
func TestBounds(t *testing.T) {
	m := New(map[Kind]int{Deny: 2}, rand.New(rand.NewPCG(1, 1)))
	edit := func(e Entry) error { _, err := m.Edit(start, wire.NodeID{1}, e); return err }
	good := Entry{Kind: Deny, Op: Add}
	for _, c := range []struct {
		change func(e *Entry)
		want   error
	}{
		{func(e *Entry) {}, nil},
		{func(e *Entry) { e.Kind = Client }, ErrKind},
		{func(e *Entry) { e.Op = 3 }, ErrEntry},
		{func(e *Entry) { e.End = -1 }, ErrEntry},
		{func(e *Entry) { e.Reason = string(make([]byte, 65)) }, ErrEntry},
		{func(e *Entry) { e.Key[0] = 1 }, nil},
		{func(e *Entry) { e.Key[0] = 2 }, ErrFull},
		{func(e *Entry) { e.Op = Remove }, nil},
	} {
		e := good
		c.change(&e)
		if err := edit(e); !errors.Is(err, c.want) {
			t.Errorf("%+v: %v", e, err)
		}
	}
	if _, err := m.Edit(start, wire.NodeID{1}, Entry{Kind: Deny, Op: Remove}, Entry{Kind: Deny, Op: Add, Key: Key{9}}); err != ErrFull {
		t.Errorf("two changes: %v", err)
	}
	if e, _ := m.Get(Deny, Key{}); e.Op != Remove {
		t.Error("one of two changes was made")
	}
	ahead := uint64(start.Add(25 * time.Hour).UnixNano())
	m.Load(start, []Entry{
		{Kind: Deny, Op: Add, Time: ahead}, {Kind: Deny, Op: Add, Key: Key{7}}, {Kind: Allow, Op: Add}, {Kind: Deny, Time: 1 << 62}, {Kind: Deny, Op: Add, Time: 1},
	})
	if c := m.Counts(); c.Future != 1 || c.Full != 3 || c.Unknown != 1 || c.Invalid != 1 || c.Stale != 1 || c.Made != 3 {
		t.Errorf("counted %+v", c)
	}
	if _, err := m.Answer(nil); err == nil {
		t.Error("no sums were answered")
	}
	if _, err := m.Answer([]byte{2, 1}); err == nil {
		t.Error("half the sums were answered")
	}
}

// TestHybrid: who changes what it sees is believed, although its clock is behind.
func TestHybrid(t *testing.T) {
	a, b := New(allKinds, rand.New(rand.NewPCG(1, 1))), New(allKinds, rand.New(rand.NewPCG(1, 1)))
	done, err := a.Edit(start.Add(time.Hour), wire.NodeID{1}, Entry{Kind: Deny, Op: Add})
	if err != nil {
		t.Fatal(err)
	}
	b.Load(start, done)
	done, err = b.Edit(start, wire.NodeID{2}, Entry{Kind: Deny, Op: Remove})
	if err != nil {
		t.Fatal(err)
	}
	a.Load(start.Add(time.Hour), done)
	if e, _ := a.Get(Deny, Key{}); e.Op != Remove {
		t.Errorf("the removal was not believed: %+v", e)
	}
}

// TestOrder: of two changes exactly one counts, whoever compares them.
func TestOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(rand.Uint64(), 1))
	some := func() Entry {
		return Entry{Op: Op(1 + rng.IntN(2)), End: rng.Int64N(2), Reason: []string{"", "a"}[rng.IntN(2)], Node: wire.NodeID{byte(rng.IntN(2))}, Time: rng.Uint64N(2)}
	}
	for range 5000 {
		a, b, c := some(), some(), some()
		if a == b == (a.beats(&b) || b.beats(&a)) || a.beats(&b) && b.beats(&a) || a.beats(&b) && b.beats(&c) && !a.beats(&c) {
			t.Fatalf("%+v %+v %+v", a, b, c)
		}
	}
}

// TestMany: more changes than are sent one by one come over by fetching, in frames of bounded length, and a second fetch brings nothing.
func TestMany(t *testing.T) {
	c := newCluster(t, 1, 2)
	c.calm = true
	var es []Entry
	for i := range 30_000 {
		es = append(es, Entry{Kind: Deny, Op: Add, Key: Key{byte(i), byte(i >> 8), byte(i >> 16)}})
	}
	if _, err := c.nodes[0].Edit(c.now, c.nodes[0].id, es...); err != nil {
		t.Fatal(err)
	}
	c.nodes[0].skew, c.nodes[1].skew = 0, 0
	for range 12 * 20 {
		c.step()
	}
	if n := c.nodes[1].Len(Deny); n != len(es) {
		t.Errorf("%d of %d entries", n, len(es))
	}
	if f := c.nodes[1].Counts().Fetches + c.nodes[0].Counts().Fetches; f == 0 || f > 6 {
		t.Errorf("%d fetches", f)
	}
	if got, ok := c.nodes[1].Changes(); len(got)+cmp.Compare(c.nodes[1].Len(Deny), len(got)) < len(es) && !ok {
		t.Errorf("%d changes of %d", len(got), len(es))
	}
}

func FuzzTake(f *testing.F) {
	e := Entry{Kind: Deny, Op: Add, Reason: "because"}
	f.Add(e.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		m := New(allKinds, rand.New(rand.NewPCG(1, 1)))
		m.Take(start, b)
		again := New(allKinds, rand.New(rand.NewPCG(1, 1)))
		again.Load(start, all(m))
		if !reflect.DeepEqual(m.digests(), again.digests()) {
			t.Errorf("%v, loaded again %v", m.digests(), again.digests())
		}
		if e, _, err := Parse(b); err == nil {
			if got, rest, err := Parse(e.Append(nil)); err != nil || got != e || len(rest) > 0 {
				t.Errorf("%+v read again as %+v: %v", e, got, err)
			}
		}
	})
}

// TestManyEnds: of many entries with the same end some end at a time, so that nobody waits for all of them, and in the end all have.
func TestManyEnds(t *testing.T) {
	m := New(allKinds, rand.New(rand.NewPCG(1, 1)))
	end := start.Add(time.Minute)
	for i := range 2*expireAtOnce + 1 {
		e := Entry{Kind: Deny, Op: Add, Key: Key{byte(i), byte(i >> 8)}, End: end.Unix()}
		if _, err := m.Edit(start, wire.NodeID{1}, e); err != nil {
			t.Fatal(err)
		}
	}
	for i, now := range []time.Time{end, end.Add(keepEnded * time.Second)} {
		calls := 1
		for ; calls < 9; calls++ {
			if due := m.Expire(now); due.IsZero() || due.After(now) {
				break
			}
		}
		if ended := m.Counts().Ended; calls != 3 || ended != 2*expireAtOnce+1 || m.Len(Deny) != (1-i)*(2*expireAtOnce+1) {
			t.Errorf("%v: %d calls, %d ended, %d left", now, calls, ended, m.Len(Deny))
		}
	}
}
