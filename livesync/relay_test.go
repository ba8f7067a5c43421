package livesync

import (
	"net/netip"
	"testing"
	"time"
)

// TestRelayAddress: a number is found again in its address, and in no other.
func TestRelayAddress(t *testing.T) {
	for _, number := range []uint64{0, 1, 0xabcdef, 1<<64 - 1} {
		a := RelayAddress(number)
		if n, ok := RelayNumber(a.Addr()); !ok || n != number || !relayed(a) {
			t.Errorf("%x: %s, %x, %v", number, a, n, ok)
		}
	}
	for _, text := range []string{"10.0.0.1", "::1", "100:0:0:1::1", "::ffff:10.0.0.1"} {
		if _, ok := RelayNumber(netip.MustParseAddr(text)); ok {
			t.Errorf("%s is at the relay", text)
		}
	}
}

// TestNearer: a node that is heard on the segment is there, whatever comes by the relay, until it is silent there.
func TestNearer(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	near, far := netip.MustParseAddrPort("10.0.0.2:40000"), RelayAddress(7)
	n := &node{address: far, there: now}
	for _, step := range []struct {
		after      time.Duration
		from, want netip.AddrPort
	}{
		{time.Second, far, far}, {time.Second, near, near}, {time.Second, far, near}, {time.Second, near, near},
		{addressHold - time.Second, far, near}, {time.Second, far, far}, {time.Millisecond, near, near},
	} {
		now = now.Add(step.after)
		if n.address = n.place(now, step.from); n.address != step.want {
			t.Fatalf("%s after %v: it is at %s, want %s", step.from, step.after, n.address, step.want)
		}
	}
}
