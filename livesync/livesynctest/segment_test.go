package livesynctest

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"starling/livesync"
	"starling/wire"
)

func join(t *testing.T, h *Host) livesync.Conn {
	t.Helper()
	c, err := h.Listen(wire.Group, "eth0")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func addr(i byte) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, i}) }

// heard closes c after a while of fake time and returns what it received until then.
func heard(c livesync.Conn) []string {
	time.AfterFunc(time.Minute, func() { c.Close() })
	var all []string
	b := make([]byte, 100)
	for {
		n, _, _, err := c.Read(b)
		if err != nil {
			return all
		}
		all = append(all, string(b[:n]))
	}
}

// send sends packets named 0, 1, 2, ... one a millisecond.
func send(t *testing.T, c livesync.Conn, n int) {
	t.Helper()
	for i := range n {
		if err := c.Send(fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Millisecond)
	}
}

func TestEveryHostHearsEveryHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSegment(1)
		a, b := join(t, s.Host(addr(1))), join(t, s.Host(addr(2)))
		send(t, a, 3)
		want := []string{"0", "1", "2"}
		for _, c := range []livesync.Conn{a, b} {
			if got := heard(c); !slices.Equal(got, want) {
				t.Errorf("%s heard %v", c.Link().Local, got)
			}
		}
		if _, _, _, err := a.Read(nil); err == nil {
			t.Error("Read succeeded after Close")
		}
	})
}

// TestFates sends under faults twice with the same seed: each fault shows, and both times the same happens.
func TestFates(t *testing.T) {
	const n = 1000
	run := func(seed uint64, f Faults) (got []string) {
		synctest.Test(t, func(t *testing.T) {
			s := NewSegment(seed)
			s.SetFaults(f)
			a, b := join(t, s.Host(addr(1))), join(t, s.Host(addr(2)))
			send(t, a, n)
			got = heard(b)
		})
		return got
	}
	if got := len(run(1, Faults{Loss: 0.3})); got < 600 || got > 800 {
		t.Errorf("of %d packets 30 %% should be lost, %d arrived", n, got)
	}
	if got := len(run(1, Faults{Duplicate: 0.3})); got < 1200 || got > 1400 {
		t.Errorf("of %d packets 30 %% should arrive twice, %d arrived", n, got)
	}
	late := run(1, Faults{Delay: 20 * time.Millisecond})
	if len(late) != n || slices.IsSortedFunc(late, func(a, b string) int { return len(a)*n - len(b)*n + strings.Compare(a, b) }) {
		t.Errorf("%d packets arrived, delayed but in order", len(late))
	}
	all := Faults{Loss: 0.2, Duplicate: 0.2, Delay: 20 * time.Millisecond}
	if !slices.Equal(run(7, all), run(7, all)) {
		t.Error("the same seed had another outcome")
	}
	if slices.Equal(run(7, all), run(8, all)) {
		t.Error("another seed had the same outcome")
	}
}

func TestPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSegment(1)
		ha, hb, hc := s.Host(addr(1)), s.Host(addr(2)), s.Host(addr(3))
		a, b, c := join(t, ha), join(t, hb), join(t, hc)
		s.Partition([]*Host{ha, hb})
		send(t, a, 1)
		send(t, c, 2)
		s.Partition()
		send(t, a, 1)
		if hb, hc := heard(b), heard(c); len(hb) != 2 || len(hc) != 3 {
			t.Errorf("b heard %v, c heard %v", hb, hc)
		}
	})
}

func TestInterfaceChanges(t *testing.T) {
	for name, change := range map[string]func(*Host){
		"down":      func(h *Host) { h.Down(errors.New("down")) },
		"moved":     func(h *Host) { h.Move(addr(9)) },
		"made anew": (*Host).Recreate,
	} {
		synctest.Test(t, func(t *testing.T) {
			s := NewSegment(1)
			h := s.Host(addr(1))
			a, b := join(t, h), join(t, s.Host(addr(2)))
			if a.Check() != nil {
				t.Error("void from the start")
			}
			change(h)
			if a.Check() == nil || a.Send(nil) == nil {
				t.Errorf("%s: the membership is still good", name)
			}
			send(t, b, 1)
			if got := heard(a); len(got) != 0 {
				t.Errorf("%s: heard %v", name, got)
			}
		})
	}
}

func TestInjectAndTap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSegment(1)
		a := join(t, s.Host(addr(1)))
		var tapped []string
		s.Tap(func(from netip.AddrPort, pkt []byte) {
			if from != a.Link().Local {
				t.Errorf("from %s", from)
			}
			tapped = append(tapped, string(pkt))
		})
		send(t, a, 1)
		from := netip.MustParseAddrPort("192.0.2.1:1")
		s.Inject(from, addr(1), []byte("x"))
		b := make([]byte, 10)
		a.Read(b)
		if n, src, to, err := a.Read(b); string(b[:n]) != "x" || src != from || to != addr(1) || err != nil {
			t.Errorf("read %q from %s to %s, %v", b[:n], src, to, err)
		}
		if !slices.Equal(tapped, []string{"0"}) {
			t.Errorf("tapped %v", tapped)
		}
	})
}
