package pacer

import "time"

// Lateness is how much of a time in which nobody looked is made up for. A busy
// machine lets a process wait for some tens of milliseconds, now and then for
// some hundred. Beyond this a machine was suspended, or has no room for a rate
// to be kept.
const Lateness = 500 * time.Millisecond

// late is how long after one tick another one is late. Until then a burst holds
// what comes.
const late = 2 * Epoch

// hold says what a bucket may have beyond its burst: what came when it was not
// idle, but nobody was there to hand it out.
//
//	level  burst |           ____ what those who wait would find
//	             |      ....                    (late, and nothing is lost)
//	             |  ....
//	           0 |..
//	             +--|---------|---------> time
//	              drain     next drain
//
// That is what came between two drains while somebody waits for its tokens, and
// what came while nobody looked at all: then the whole process stood, and who
// was there to ask could not be seen. So a busy machine costs nothing of a rate:
// a tick that comes late hands out what those on time would have. Those it
// serves, or who were not seen, need some time to ask on such a machine: what is
// left stays there for a Lateness, and no more comes to it.
type hold struct {
	shared bool      // it has what others have claims to, and so twice as much at most
	until  time.Time // when what is left is given up
}

// most returns what a bucket may have beyond its burst.
func (h *hold) most(b *Bucket) int64 {
	d := Lateness
	if h.shared {
		d = 2 * Lateness
	}
	return mulDiv(b.rate, int64(d), int64(time.Second))
}

// settle is called with a bucket that is filled up to the present, after it was
// drained. Those who still wait could have so many of its tokens a second; short
// says that it has none for them.
func (h *hold) settle(b *Bucket, now time.Time, wanted int64, short bool) {
	left := h.until.Sub(now)
	switch {
	case short:
		h.until = now.Add(Lateness)
		b.Hold(h.most(b))
	case wanted > 0:
		b.Hold(0)
		b.Hold(mulDiv(h.most(b), min(wanted, b.rate), max(b.rate, 1)))
	case left > 0 && left <= Lateness:
		b.Keep()
	default:
		b.Hold(0)
	}
}

// missed is called before a bucket is filled up to a time, when nobody looked
// for so long. After more than two Latenesses a machine was suspended: then the
// burst is all there is.
func (h *hold) missed(b *Bucket, now time.Time, d time.Duration) {
	if d > 2*Lateness {
		return
	}
	h.until = now.Add(Lateness)
	came := mulDiv(b.rate, int64(min(d, Lateness)), int64(time.Second))
	b.Hold(max(b.over, min(max(b.level-b.burst, 0)+came, h.most(b))))
}

// missed lets the buckets of a tree keep what came while nobody looked: but for
// those of classes that nobody waited for in the last Lateness, whose claims
// would only keep it from the others.
func (t *Tree) missed(now time.Time, d time.Duration) {
	for _, n := range t.nodes {
		if len(n.children) > 0 || n.ownHold.until.After(t.now) {
			n.ownHold.missed(&n.own, now, d)
		}
		n.ceilHold.missed(&n.ceil, now, d)
	}
}

// hold settles what the buckets of a tree may gather until the next drain, when
// those who wait are late: of a class that waits its own, as much as it may be
// filled with, and on the way up what the ceilings let through. The claims of
// idle classes, which may be all of the root's burst, so leave room for what the
// others borrow.
func (t *Tree) hold(now time.Time, waiting func(class int) bool) {
	for _, n := range t.nodes {
		n.wanted = 0
	}
	for class, leaf := range t.leaves {
		if waiting(class) {
			for _, a := range leaf.path {
				a.wanted += leaf.shape.ceil
			}
		}
	}
	for _, n := range t.nodes {
		claims := n.claims()
		n.ownHold.settle(&n.own, now, n.wanted, n.wanted > 0 && (n.own.level <= claims || len(n.children) == 0))
		n.ceilHold.settle(&n.ceil, now, n.wanted, n.wanted > 0 && n.ceil.level <= claims)
	}
}

// Await is Take for those who ask again when they were refused: each class's
// next request, one after the other. Until then all that comes is theirs,
// however late they are.
func (t *Tree) Await(now time.Time, class int, n int64) (wait time.Duration) {
	if t.asking == nil {
		t.asking = make([]bool, len(t.leaves))
	}
	asking := func(class int) bool { return t.asking[class] }
	if since := now.Sub(t.asked); since > Lateness || since < 0 { // they cease to ask
		clear(t.asking)
		t.hold(now, asking)
		t.asked = now
	}
	_, wait = t.Take(now, class, n)
	switch {
	case wait > 0:
		t.asking[class], t.asked = true, now
		t.hold(now, asking)
	case t.asking[class]: // it may go on with what there is
		t.asking[class], t.asked = false, now
		for _, a := range t.leaves[class].path {
			a.ownHold.until, a.ceilHold.until = now.Add(Lateness), now.Add(Lateness)
		}
		t.hold(now, asking)
	}
	return wait
}
