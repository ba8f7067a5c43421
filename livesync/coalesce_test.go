package livesync

import (
	"fmt"
	"testing"

	"starling/wire"
)

// hearer is all that records can change at a receiver of one peer: the peer, and the count of its torrent's completions.
type hearer struct {
	there, seeder, completed bool
	count                    int
}

func (r *hearer) apply(f wire.Flags) {
	if f&wire.Stopped != 0 {
		*r = hearer{count: r.count}
		return
	}
	r.there, r.seeder = true, f&wire.Seeding != 0
	if f.Completion() && !r.completed {
		r.completed = true
		r.count++
	}
}

// hearers are all there can be before the first record.
var hearers = []hearer{
	{},
	{there: true},
	{there: true, seeder: true},
	{there: true, completed: true},
	{there: true, seeder: true, completed: true},
}

// whatPeersDo is every record there is of a peer.
var whatPeersDo = []wire.Flags{leecher.flags(), seeder.flags(), completion.flags(), stopped.flags()}

// sequences calls visit with every sequence of digits below base of every length up to longest.
func sequences(base, longest int, visit func([]int)) {
	seq := make([]int, 0, longest)
	var extend func()
	extend = func() {
		visit(seq)
		if len(seq) == longest {
			return
		}
		for i := range base {
			seq = append(seq, i)
			extend()
			seq = seq[:len(seq)-1]
		}
	}
	extend()
}

// sees fails unless a receiver, whatever it knows before, gets to the same by the records that left as by all of them.
func sees(t *testing.T, all, left []wire.Flags) {
	t.Helper()
	for _, before := range hearers {
		want, got := before, before
		for _, f := range all {
			want.apply(f)
		}
		for _, f := range left {
			got.apply(f)
		}
		if got != want {
			t.Fatalf("of %v left %v: a receiver that was %+v is %+v, want %+v", all, left, before, got, want)
		}
	}
}

// TestCoalesceExhaustively offers every sequence of up to seven records of one peer, all of them at once and with some that
// leave between any two: receivers see no difference, and what waits has the shape that is promised.
func TestCoalesceExhaustively(t *testing.T) {
	q := newTestQueue()
	peer := recordOf(0)
	sequences(len(whatPeersDo), 7, func(seq []int) {
		var all []wire.Flags
		for _, i := range seq {
			all = append(all, whatPeersDo[i])
		}
		for leave := range len(all) + 1 { // so many are offered before some leave
			var left []wire.Flags
			for i, f := range all {
				if i == leave {
					r, ok := q.take(0)
					if ok {
						left = append(left, r.Flags)
					}
				}
				peer.Flags = f
				q.offer(peer)
			}
			early := len(left)
			for r, ok := q.take(0); ok; r, ok = q.take(0) {
				left = append(left, r.Flags)
			}
			sees(t, all, left)
			shape(t, left[early:])
		}
	})
}

// shape fails unless the records of one peer that waited are no more than they have to be.
func shape(t *testing.T, waited []wire.Flags) {
	t.Helper()
	for i, f := range waited {
		last := i == len(waited)-1
		ok := true
		switch saidBy(f) {
		case leecher, seeder:
			ok = last
		case completion:
			ok = last || saidBy(waited[i+1]) == stopped || saidBy(waited[i+1]) == leecher
		case stopped:
			ok = i == 0 || saidBy(waited[i-1]) == completion
		}
		if !ok {
			t.Fatalf("%v wait", waited)
		}
	}
}

// TestCoalesceTwoPeers interleaves the records of two peers of one torrent, and of two torrents with one peer, in every way
// up to five records: neither sees anything of the other.
func TestCoalesceTwoPeers(t *testing.T) {
	n := len(whatPeersDo)
	for name, peers := range map[string][2]wire.Record{
		"torrent": {{InfoHash: HashOf(1), Peer: PeerOf(1)}, {InfoHash: HashOf(1), Peer: PeerOf(2)}},
		"peer":    {{InfoHash: HashOf(1), Peer: PeerOf(1)}, {InfoHash: HashOf(2), Peer: PeerOf(1)}},
	} {
		q := newTestQueue()
		for i := range q.keys {
			q.keys[i] = 0 // both in few buckets
		}
		sequences(2*n, 5, func(seq []int) {
			var all, left [2][]wire.Flags
			for _, i := range seq {
				r := peers[i/n]
				r.Flags = whatPeersDo[i%n]
				all[i/n] = append(all[i/n], r.Flags)
				q.offer(r)
			}
			for r, ok := q.take(0); ok; r, ok = q.take(0) {
				i := 0
				if r.Peer != peers[0].Peer || r.InfoHash != peers[0].InfoHash {
					i = 1
				}
				left[i] = append(left[i], r.Flags)
			}
			for i := range all {
				sees(t, all[i], left[i])
			}
		})
		if q.len() != 0 {
			t.Errorf("same %s: %d records are left", name, q.len())
		}
	}
}

// TestRenewalIsNoNews: a record that replaces one with news is not given up as a renewal, and one that only renews is.
func TestRenewalIsNoNews(t *testing.T) {
	for _, tt := range []struct {
		offered []wire.Flags
		want    class
	}{
		{[]wire.Flags{0, wire.Renewal}, starts},
		{[]wire.Flags{wire.Renewal, 0}, starts},
		{[]wire.Flags{wire.Renewal, wire.Renewal}, renewals},
		{[]wire.Flags{wire.Seeding, wire.Renewal}, starts},
		{[]wire.Flags{wire.Seeding | wire.Renewal, wire.Seeding | wire.Complete}, completions},
		{[]wire.Flags{wire.Seeding | wire.Complete, wire.Seeding | wire.Renewal}, completions},
		{[]wire.Flags{wire.Renewal, wire.Stopped}, stops},
	} {
		q := newTestQueue()
		r := recordOf(0)
		for _, r.Flags = range tt.offered {
			q.offer(r)
		}
		q.check(t)
		got, _ := q.take(0)
		if q.len() != 0 || classOf(got.Flags) != tt.want {
			t.Errorf("%v: %d records more and class %d, want %d", fmt.Sprint(tt.offered), q.len(), classOf(got.Flags), tt.want)
		}
	}
}
