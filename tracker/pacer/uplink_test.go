package pacer

import (
	"cmp"
	"math/rand/v2"
	"testing"
	"time"
)

// randomMember makes up a node.
func randomMember(r *rand.Rand) Member {
	return Member{
		Role:     Role(r.IntN(3)),
		Capacity: r.Uint64() >> uint(r.IntN(64)) * r.Uint64N(2),
		Disabled: r.IntN(4) == 0,
		Down:     r.IntN(4) == 0,
	}
}

// TestSharesFit: together never above the total and, when somebody serves, not
// far below it; by capacity; only the first role that has a member up serves.
func TestSharesFit(t *testing.T) {
	r := seeded(t)
	for range 3000 {
		members := map[int]Member{}
		for i := range r.IntN(30) {
			members[i] = randomMember(r)
		}
		total := 1 + r.Int64N(1<<uint(1+r.IntN(62)))
		shares := Shares(total, members)
		role, ok := serving(members)
		var sum, largest int64
		for id, m := range members {
			share := shares[id]
			sum += share
			largest = max(largest, share)
			up := !m.Disabled && !m.Down
			if share < 0 || share > 0 && !up {
				t.Fatalf("%+v has %d", m, share)
			}
			if up && m.Role < role {
				t.Fatalf("%v serves, and a member that is %v is up", role, m.Role)
			}
			for other, n := range members {
				if up && m.Role == role && n.Role == role && shares[other] > 0 && m.Capacity > n.Capacity && share < shares[other] {
					t.Fatalf("capacity %d has %d, capacity %d has %d", m.Capacity, share, n.Capacity, shares[other])
				}
			}
		}
		if sum > total || sum < 0 {
			t.Fatalf("%d of %d", sum, total)
		}
		if ok && sum < total-total/10-int64(len(members))*2 {
			t.Fatalf("only %d of %d for %+v", sum, total, members)
		}
	}
}

func TestSharesByExample(t *testing.T) {
	up := func(role Role, capacity uint64) Member { return Member{Role: role, Capacity: capacity} }
	for _, c := range []struct {
		members map[string]Member
		want    map[string]int64
	}{
		{map[string]Member{}, map[string]int64{}},
		{map[string]Member{"a": {}}, map[string]int64{"a": 1000}},
		{map[string]Member{"a": {}, "b": {}, "c": {Down: true}}, map[string]int64{"a": 500, "b": 500}},
		{map[string]Member{"a": up(Active, 1), "b": up(Active, 3)}, map[string]int64{"a": 250, "b": 750}},
		{map[string]Member{"a": up(Active, 1), "s": up(Standby, 9)}, map[string]int64{"a": 990, "s": 10}},
		{map[string]Member{"a": {Disabled: true}, "s": up(Standby, 9), "b": up(Backup, 9)}, map[string]int64{"s": 990, "b": 10}},
		{map[string]Member{"a": {Down: true}, "b": up(Backup, 9)}, map[string]int64{"b": 1000}},
	} {
		got := Shares(1000, c.members)
		for id := range c.members {
			if got[id] != c.want[id] {
				t.Errorf("%+v: %v, want %v", c.members, got, c.want)
			}
		}
	}
}

// set changes one member; nil: it goes.
func set[K cmp.Ordered](u *Uplink[K], now time.Time, id K, m *Member) {
	members := u.Members()
	if delete(members, id); m != nil {
		members[id] = *m
	}
	u.SetMembers(now, members)
}

// TestUplinkAtOnce: what changes at once is one change, whose halves are never a share.
func TestUplinkAtOnce(t *testing.T) {
	u := NewUplink(1, Member{}, 1000, time.Minute, epoch0)
	u.SetMembers(epoch0, map[int]Member{1: {}, 2: {}})
	now := epoch0.Add(time.Hour)
	u.SetMembers(now, map[int]Member{1: {Capacity: 100}, 2: {Capacity: 300}}) // the second alone has 300 of 301
	if got := u.Share(now); got != 250 {
		t.Errorf("a share of %d, want 250", got)
	}
	u.SetMembers(now, map[int]Member{1: {Capacity: 300}, 3: {Capacity: 300}})
	if got := u.Share(now.Add(3 * time.Minute)); got != 500 {
		t.Errorf("a share of %d, want 500", got)
	}
}

// TestUplinkAnyOrder: whatever the members did and in whatever order, once they
// are still for the hold-down the share is the one that the final members give.
func TestUplinkAnyOrder(t *testing.T) {
	r := seeded(t)
	for range 300 {
		final := map[int]Member{0: randomMember(r)}
		for i := range r.IntN(8) {
			final[1+i] = randomMember(r)
		}
		total := 1000 + r.Int64N(1e9)
		u := NewUplink(0, Member{}, total, time.Minute, epoch0)
		now := epoch0
		for range r.IntN(30) { // what came before
			now = now.Add(time.Duration(r.IntN(int(time.Minute))))
			if id := r.IntN(12); id != 0 && r.IntN(2) == 0 {
				set(u, now, id, nil)
			} else {
				set(u, now, id, new(randomMember(r)))
			}
		}
		events := r.Perm(12)
		for _, id := range events {
			if m, ok := final[id]; ok {
				set(u, now, id, &m)
			} else {
				set(u, now, id, nil)
			}
		}
		want := max(Shares(total, final)[0], 1)
		if got := u.Share(now.Add(3 * time.Minute)); got != want {
			t.Fatalf("%d after %v, want %d", got, events, want)
		}
	}
}

// TestUplinkHoldsDown: at every moment the share is the least that was right
// within three beacon intervals, by a log of all that were.
func TestUplinkHoldsDown(t *testing.T) {
	r := seeded(t)
	for range 100 {
		const total, beacon = 1_000_000, time.Minute
		u := NewUplink("me", Member{Capacity: 10}, total, beacon, epoch0)
		type entry struct {
			from  time.Time
			share int64
		}
		log := []entry{{epoch0.Add(-time.Hour), total / startPart}, {epoch0, total}}
		now := epoch0
		for range 200 {
			now = now.Add(time.Duration(r.ExpFloat64() * float64(40*time.Second)))
			id := string(rune('a' + r.IntN(5)))
			if r.IntN(3) == 0 {
				set(u, now, id, nil)
			} else {
				set(u, now, id, &Member{Capacity: 1 + r.Uint64N(20)})
			}
			log = append(log, entry{now, Shares(total, u.Members())["me"]})
			at := now.Add(time.Duration(r.Int64N(int64(5 * time.Minute))))
			least := log[len(log)-1].share
			for i, e := range log[:len(log)-1] {
				if log[i+1].from.After(at.Add(-3 * beacon)) {
					least = min(least, e.share)
				}
			}
			if grows, ok := u.Next(now); ok && !grows.After(now) {
				t.Fatal("the share is to grow in the past")
			}
			if got := u.Share(at); got != least {
				t.Fatalf("%v after the last change: %d, want %d", at.Sub(now), got, least)
			}
			now = at
		}
	}
}

func TestUplinkStart(t *testing.T) {
	u := NewUplink(1, Member{}, 1000, time.Minute, epoch0)
	if got := u.Share(epoch0.Add(3*time.Minute - 1)); got != 250 {
		t.Errorf("at the start %d", got)
	}
	if at, ok := u.Next(epoch0); !ok || !at.Equal(epoch0.Add(3*time.Minute)) {
		t.Errorf("grows %v at %v", ok, at)
	}
	if got := u.Share(epoch0.Add(3 * time.Minute)); got != 1000 {
		t.Errorf("after the hold-down %d", got)
	}
	now := epoch0.Add(time.Hour)
	u.SetTotal(now, 400)
	if got := u.Share(now); got != 400 {
		t.Errorf("of less at once: %d", got)
	}
	if got := u.Share(now.Add(-time.Hour)); got != 400 {
		t.Errorf("back in time: %d", got)
	}
	set(u, now, 1, &Member{Down: true})
	if got := u.Share(now); got != 1 {
		t.Errorf("down itself: %d", got)
	}
}

func TestParseRole(t *testing.T) {
	for _, r := range []Role{Active, Standby, Backup} {
		if got, err := ParseRole(r.String()); got != r || err != nil {
			t.Errorf("%v: %v %v", r, got, err)
		}
	}
	if _, err := ParseRole("master"); err == nil {
		t.Error("a role that there is not is taken")
	}
}
