package pacer

import (
	"cmp"
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"time"
)

// Role is what part a node has in its cluster.
type Role uint8

const (
	// Active nodes serve.
	Active Role = iota
	// Standby nodes serve when no active one does.
	Standby
	// Backup nodes serve when no other does.
	Backup
)

var roles = []string{Active: "active", Standby: "standby", Backup: "backup"}

// String returns the name as the flag has it.
func (r Role) String() string { return roles[r] }

// ParseRole reads "active", "standby" or "backup".
func ParseRole(s string) (Role, error) {
	if i := slices.Index(roles, s); i >= 0 {
		return Role(i), nil
	}
	return 0, fmt.Errorf("role %q: it is active, standby or backup", s)
}

// Member is a node of the cluster as the one that reckons knows it.
type Member struct {
	Role     Role
	Capacity uint64 // what it can do beside the others, in any unit that all share; 0: as if 1
	Disabled bool   // by its operator
	Down     bool   // not heard, or failed its health check
}

// serving returns the role that serves: the first that has a member up. ok is
// false when nobody is.
func serving[K comparable](members map[K]Member) (role Role, ok bool) {
	for _, m := range members {
		if !m.Disabled && !m.Down && (!ok || m.Role < role) {
			role, ok = m.Role, true
		}
	}
	return role, ok
}

// idlePart is what a node that is up and does not serve may use: one part of
// so many of the total, all of them together one of ten. It still answers who
// asks it, and sends records.
const idlePart = 100

// Shares divides a total among the members that serve by their capacity. It
// depends on nothing but its arguments, so that any order of events that led
// to these members gives the same; the sum is never above the total.
func Shares[K comparable](total int64, members map[K]Member) map[K]int64 {
	shares := make(map[K]int64, len(members))
	role, ok := serving(members)
	if !ok {
		return shares
	}
	// The sum of capacities may need more than 64 bits.
	var sumHi, sumLo uint64
	idle := int64(0)
	for _, m := range members {
		switch {
		case m.Disabled || m.Down:
		case m.Role != role:
			idle++
		default:
			var carry uint64
			sumLo, carry = bits.Add64(sumLo, max(m.Capacity, 1), 0)
			sumHi += carry
		}
	}
	shift := bits.Len64(sumHi)
	sum := sumHi<<(64-shift) | sumLo>>shift
	if shift > 0 {
		sum++ // rounded up: the shares together stay below the total
	}
	each := total / max(idlePart, 10*idle)
	rest := uint64(total - each*idle)
	for k, m := range members {
		switch {
		case m.Disabled || m.Down:
		case m.Role != role:
			shares[k] = each
		default:
			hi, lo := bits.Mul64(rest, max(m.Capacity, 1)>>shift)
			q, _ := bits.Div64(hi, lo, sum)
			shares[k] = int64(q)
		}
	}
	return shares
}

// Uplink is the part that one node has in what the cluster may send: its share
// among the members, worked out from scratch after each change of them.
//
// A share that has become smaller holds at once, a larger one only when it has
// stood for the whole hold-down, three beacon intervals: the others must have
// seen the same by then. So the share in force is the least of all those that
// were right within the hold-down.
//
// An Uplink has no lock: its holder guards it.
type Uplink[K cmp.Ordered] struct {
	self    K
	total   int64
	hold    time.Duration
	members map[K]Member
	recent  []target // since when no less than each share was right; both rise
	now     time.Time
}

// target is a share that has been right, or less than was right, since a time.
type target struct {
	since time.Time
	share int64
}

// holdBeacons is how many beacon intervals a larger share has to stand.
const holdBeacons = 3

// startPart: a node that just started has heard nobody, but there may be some.
// It takes one part of so many of the total until the hold-down is over.
const startPart = 4

// NewUplink returns the share of a node that knows only itself yet.
func NewUplink[K cmp.Ordered](self K, me Member, total int64, beacon time.Duration, now time.Time) *Uplink[K] {
	u := &Uplink[K]{self: self, total: total, hold: holdBeacons * beacon, members: map[K]Member{self: me}, now: now}
	u.recent = []target{{since: now.Add(-u.hold), share: total / startPart}}
	u.reckon(now)
	return u
}

// SetMembers says who the members are now, this node among them: some came,
// went, or have another role, capacity or health. What changed at once is one
// change: a share that is reckoned between two halves of it would be right for
// nobody, and hold.
func (u *Uplink[K]) SetMembers(now time.Time, members map[K]Member) {
	if !maps.Equal(u.members, members) {
		u.members = maps.Clone(members)
		u.reckon(now)
	}
}

// SetTotal changes what the cluster may send. The shares of the hold-down
// become the same parts of a smaller total; of a larger one they stay what
// they are, because the others may not know of it yet.
func (u *Uplink[K]) SetTotal(now time.Time, total int64) {
	if total < u.total {
		for i := range u.recent {
			u.recent[i].share = mulDiv(u.recent[i].share, max(total, 0), u.total)
		}
	}
	u.total = total
	u.reckon(now)
}

// Members returns a copy of the members.
func (u *Uplink[K]) Members() map[K]Member { return maps.Clone(u.members) }

// reckon works the share out from scratch. It takes the place of all that were
// at least as large: since the first of these came, no less than this one was
// right.
func (u *Uplink[K]) reckon(now time.Time) {
	u.forget(now)
	t := target{since: u.now, share: Shares(u.total, u.members)[u.self]}
	for n := len(u.recent); n > 0 && u.recent[n-1].share >= t.share; n = len(u.recent) {
		t.since = u.recent[n-1].since
		u.recent = u.recent[:n-1]
	}
	u.recent = append(u.recent, t)
}

// forget drops the shares that were replaced longer ago than the hold-down.
// Time that runs backwards stands still here.
func (u *Uplink[K]) forget(now time.Time) {
	if now.After(u.now) {
		u.now = now
	}
	for len(u.recent) > 1 && u.now.Sub(u.recent[1].since) >= u.hold {
		u.recent = u.recent[1:]
	}
}

// Share returns the share in force, never below one.
func (u *Uplink[K]) Share(now time.Time) int64 {
	u.forget(now)
	return max(u.recent[0].share, 1)
}

// Next returns when the share grows if nothing else changes; ok is false when
// it does not.
func (u *Uplink[K]) Next(now time.Time) (at time.Time, ok bool) {
	u.forget(now)
	if len(u.recent) < 2 {
		return at, false
	}
	return u.recent[1].since.Add(u.hold), true
}
