package tracker

import "time"

// clock counts ticks of a shard's time. It goes on in steps of unit as callers say what
// time it is, and differs from a plain division in three cases, all met by machines
// that sleep, are paused or have their time set:
//
//   - It never goes back. A caller whose reading is up to one unit old changes nothing; a time further back is taken as the new present.
//   - It goes at most span ticks beyond the last whole sweep, and forgets what time passed
//     beyond that. The peers hold the low bits of a tick: a sweep removes or rewrites what is old, and the
//     span is chosen so that between two sweeps no age grows past what the bits can tell.
//   - Any caller moves it, not only the sweep, so that a peer stored right after a long pause is
//     stored with the new time and outlives the sweep that follows.
type clock struct {
	unit  time.Duration
	span  uint64
	begun time.Duration // when the present tick began
	tick  uint64
	swept uint64 // the tick in which the last whole sweep began
}

// advance tells the clock the time, counted from the tracker's start.
func (c *clock) advance(at time.Duration) {
	if uint64(at-c.begun) >= uint64(c.unit) {
		c.step(at)
	}
}

func (c *clock) step(at time.Duration) {
	since := at - c.begun
	if since < 0 {
		if since < -c.unit {
			c.begun = at
		}
		return
	}
	n := uint64(since / c.unit)
	c.begun += since - since%c.unit
	c.tick += min(n, c.swept+c.span-c.tick)
}

// What a peer's lowest 16 bits hold. Ticks are the low bits of the shard's clocks.
const (
	seenBits = 8 // tick of the last announce, or a later one: see booked
	toldBits = 6 // tick in which the other nodes last learned of the peer, or told us

	toldShift = seenBits
	completed = 1 << (seenBits + toldBits)     // its completion was counted
	partial   = 1 << (seenBits + toldBits + 1) // it wants no more pieces (BEP 21); only on leechers
	metaBits  = 16
	metaMask  = 1<<metaBits - 1

	seenMask = 1<<seenBits - 1
	toldMask = 1<<toldBits - 1
)

// A peer that was last seen in an earlier tick than timeoutTicks ago has been silent for at least
// that many whole ticks, which are the peer timeout.
const timeoutTicks = 60

// A peer that was told to come back later than usual is stored as if it had been seen in a later tick: such that it is
// silent for the peer timeout slackTicks ticks after it is due, which is more than the other nodes may know of it too little. A tick can lie
// this far in the future; with the default timeout it covers two hours.
const (
	futureTicks = 121
	slackTicks  = 20
)

// renewTicks is how many ticks the renew boundary has, when ticks of that length are not needlessly short.
const renewTicks = 8

// renewParts bounds the ticks of told in one tick of seen, so that the shortest renew boundary does not ask for endless sweeps.
const renewParts = 64

// maxResend bounds the ticks of told after which other nodes are told of a booked peer again.
const maxResend = 24

// What the clocks may gain between two sweeps: a peer's age after a sweep is at most timeoutTicks, that of what was told at
// most maxResend, and neither may reach the number of values there are, less those that are for the future.
//
//	age of seen   0 .. timeoutTicks | until the next sweep | -futureTicks .. -1
const (
	seenSpan = seenMask - timeoutTicks - futureTicks
	toldSpan = toldMask - maxResend
)

// toldStamp returns the bits that say "told in the present tick".
func (s *shard) toldStamp() uint64 { return s.told.tick & toldMask << toldShift }

// partials returns 1 for the bits of a partial seed, else 0.
func partials(meta uint64) int { return int(meta & partial / partial) }

// silent reports whether a peer has been silent for the peer timeout.
func (s *shard) silent(low uint64) bool { return s.seenAge(low) > s.silence }

// seenAge returns how many ticks ago a peer was last seen; below zero it is stored as seen in the future.
func (s *shard) seenAge(low uint64) int64 {
	age := int64((s.seen.tick - low) & seenMask)
	if age > seenMask-futureTicks {
		age -= seenMask + 1
	}
	return age
}

// toldAge returns how many ticks ago the other nodes learned of a peer. The sweep keeps it from growing beyond s.resend.
func (s *shard) toldAge(low uint64) uint64 { return (s.told.tick - low>>toldShift) & toldMask }

// due reports whether the other nodes learned of a peer longer ago than the renew boundary.
func (s *shard) due(low uint64) bool {
	return s.toldAge(low) >= s.renew
}
