package livesync

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"starling/wire"
)

var (
	we      = netip.MustParseAddrPort("10.0.0.1:40000")
	another = netip.MustParseAddrPort("10.0.0.2:40000")
)

func nobody(wire.NodeID) bool { return false }

func TestIdentityKnowsItsOwnSocket(t *testing.T) {
	i := identity{id: testID}
	if i.own(epoch, another) {
		t.Error("a node that has not joined has no socket")
	}
	i.moved(epoch, we)
	neighbour := netip.AddrPortFrom(we.Addr(), we.Port()+1) // a node on the same host
	if !i.own(epoch, we) || i.own(epoch, neighbour) || i.own(epoch, another) {
		t.Error("our address and port are ours, and no others")
	}
	i.moved(epoch, neighbour)
	if !i.own(epoch, we) || !i.own(epoch, neighbour) {
		t.Error("after joining anew packets of the old socket are still on their way")
	}
	if i.own(epoch.Add(inFlight), we) {
		t.Error("the old socket's port belongs to somebody else by now")
	}
}

// TestIdentityChangesOncePerHold hears its id again and again for an hour, from a forger that follows every change.
func TestIdentityChangesOncePerHold(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	i := identity{id: testID, local: we}
	changes, logs := 0, 0
	for s := range 3600 {
		c := i.heard(epoch.Add(time.Duration(s)*time.Second), another, rng, nobody)
		if c.id != i.id || c.id == (wire.NodeID{}) {
			t.Fatalf("clash says %s, the id is %s", c.id, i.id)
		}
		if c.id != c.old {
			changes++
		}
		if c.log {
			logs++
		}
	}
	if changes != 6 || logs != 6 {
		t.Errorf("%d changes and %d log lines in an hour, want 6 each", changes, logs)
	}
}

func TestIdentityTakesAFreeID(t *testing.T) {
	seeded := func() *rand.Rand { return rand.New(rand.NewPCG(1, 1)) }
	first := newID(seeded())
	i := identity{id: testID}
	i.heard(epoch, another, seeded(), func(id wire.NodeID) bool { return id == first })
	if i.id == first || i.id == testID {
		t.Errorf("took %s, which is in use", i.id)
	}
}

func TestFixedIdentityStays(t *testing.T) {
	i := identity{id: testID, fixed: true}
	if i.conflict(epoch).IsValid() {
		t.Error("a conflict before anybody was heard")
	}
	c := i.heard(epoch, another, rand.New(rand.NewPCG(1, 1)), nobody)
	if i.id != testID || c.id != testID || !c.log || i.conflict(epoch) != another {
		t.Errorf("clash %+v, id %s, conflict with %s", c, i.id, i.conflict(epoch))
	}
	if c := i.heard(epoch.Add(time.Second), another, nil, nobody); c.log {
		t.Error("said twice in a second")
	}
	if i.conflict(epoch.Add(time.Second + identityHold)).IsValid() {
		t.Error("the conflict is over and still shown")
	}
}
