package abuse

import "sync/atomic"

// A counter is one word, the level of a leaky bucket:
//
//	| tag of the client 20 | second of its latest change 20 | level 24 |
//
// The seconds begin anew after twelve days. Who comes back in the very minutes twelve days later finds what it left there, which is within its bound.
const (
	tagBits   = 20
	timeBits  = 20
	levelBits = 24
	maxLevel  = 1<<levelBits - 1

	// late is by how many seconds one clock may be behind another.
	late = 60
)

// level returns what is left of a counter at a second. One that was changed at a later second, by who read the clock later, stays as it is.
func (b Bound) level(word, second uint64) (level, at uint64) {
	level, at = word&maxLevel, word>>levelBits&(1<<timeBits-1)
	passed := (second - at) & (1<<timeBits - 1)
	if passed >= 1<<timeBits-late {
		return level, at
	}
	return level - min(level, passed*uint64(b.Rate)), second
}

// charge adds n, which may be negative, for the client with a tag, and reports whether that is more than it may have. The level rises no further than that, so
// that who ceases is within its bound a second later. In a counter that is another's, n is taken off that first.
func (b Bound) charge(p *atomic.Uint64, tag, second uint64, n int32) bool {
	for {
		old := p.Load()
		level, at := b.level(old, second)
		holder, now, over := old>>(timeBits+levelBits), int64(level)+int64(n), false
		switch {
		case holder == tag:
			over = n > 0 && now > int64(b.Burst)
			now = min(max(now, 0), int64(b.Burst)+1)
		case n < 0:
			return false
		case level > uint64(n):
			now = int64(level) - int64(n)
		default:
			holder, now = tag, int64(n)
		}
		next := holder<<(timeBits+levelBits) | at<<levelBits | uint64(now)
		if next == old || p.CompareAndSwap(old, next) {
			return over
		}
	}
}

// full reports whether the client with a tag has used its allowance up.
func (b Bound) full(word, tag, second uint64) bool {
	level, _ := b.level(word, second)
	return word>>(timeBits+levelBits) == tag && level > uint64(b.Burst)
}
