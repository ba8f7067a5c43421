package pacer

import "time"

// history is how many whole seconds Rates remembers.
const history = 60

// Rates counts what happens in each second and remembers the last 60 of them,
// per class and per node. The zero Rates is ready for use. It has no lock: its
// holder guards it.
type Rates struct {
	second int64 // the one that is running, in Unix time
	counts [history + 1]int64
}

// Add counts n in the second of now. Time that runs backwards counts in the
// running second. What turns out not to have happened is added with n below
// zero.
func (r *Rates) Add(now time.Time, n int64) {
	r.roll(now)
	*r.at(r.second) += n
}

// Last returns the count of the last whole second.
func (r *Rates) Last(now time.Time) int64 {
	r.roll(now)
	return max(*r.at(r.second - 1), 0)
}

// AppendSeconds appends the counts of the last 60 whole seconds, the oldest
// first.
func (r *Rates) AppendSeconds(now time.Time, dst []int64) []int64 {
	r.roll(now)
	for s := r.second - history; s < r.second; s++ {
		dst = append(dst, max(*r.at(s), 0))
	}
	return dst
}

// at returns the place of a second.
func (r *Rates) at(second int64) *int64 {
	return &r.counts[(second%(history+1)+history+1)%(history+1)]
}

// roll makes the second of now the running one, and those between empty. A
// clock set back by more than a minute starts anew: what it would wait for is
// longer than all that is remembered.
func (r *Rates) roll(now time.Time) {
	second := now.Unix()
	switch {
	case second > r.second+history || second < r.second-history:
		clear(r.counts[:])
		r.second = second
	default:
		for r.second < second {
			r.second++
			*r.at(r.second) = 0
		}
	}
}
