package pacer

import "time"

// history is how many whole seconds Rates remembers.
const history = 60

// Rates counts what happens in each second and remembers the last 60 of them,
// per class and per node. The zero Rates is ready for use. It has no lock: its
// holder guards it.
type Rates struct {
	second int64 // the one that is running, in Unix time
	place  int   // of its count; those before it are of the seconds before
	counts [history + 1]int64
}

// Add counts n in the second of now. Time that runs backwards counts in the
// running second. What turns out not to have happened is added with n below
// zero.
func (r *Rates) Add(now time.Time, n int64) {
	r.roll(now)
	r.counts[r.place] += n
}

// Last returns the count of the last whole second.
func (r *Rates) Last(now time.Time) int64 {
	r.roll(now)
	return r.ago(1)
}

// AppendSeconds appends the counts of the last 60 whole seconds, the oldest
// first.
func (r *Rates) AppendSeconds(now time.Time, dst []int64) []int64 {
	r.roll(now)
	for ago := history; ago > 0; ago-- {
		dst = append(dst, r.ago(ago))
	}
	return dst
}

// ago returns the count of a second before the running one.
func (r *Rates) ago(seconds int) int64 {
	return max(r.counts[(r.place+len(r.counts)-seconds)%len(r.counts)], 0)
}

// roll makes the second of now the running one, and those between empty. A
// clock set back by more than a minute starts anew: what it would wait for is
// longer than all that is remembered.
func (r *Rates) roll(now time.Time) {
	second := now.Unix()
	if second > r.second+history || second < r.second-history {
		*r = Rates{second: second}
	}
	for ; r.second < second; r.second++ {
		r.place = (r.place + 1) % len(r.counts)
		r.counts[r.place] = 0
	}
}
