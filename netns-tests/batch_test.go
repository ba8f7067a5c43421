package netnstests

import (
	"testing"
	"time"
)

// announcesTo matches the announces a client sent to a tracker over UDP.
func (n *node) announcesTo(f frame) bool {
	to := f.dst.Addr()
	return (to == n.ip4 || to == n.ip6) && f.dst.Port() == 6969 && len(f.payload) == 98
}

// TestBatchLeavesWhenFull: with a flush interval far off, a packet leaves with
// the record that fills it, and what is left leaves when the tracker ends.
func TestBatchLeavesWhenFull(t *testing.T) {
	for _, c := range []struct {
		kind string
		full int
	}{{"live4", 52}, {"live6", 36}} {
		t.Run(c.kind, func(t *testing.T) {
			n := newNetwork(t, "a", "x")
			a := n.hosts["a"].serve("--livesync-flush", "1m")
			at := a.ip4
			if c.kind == "live6" {
				at = a.ip6
			}
			client := n.hosts["x"].dialUDP(at)
			for i := range c.full + 1 {
				client.announce(hash(i), uint16(7000+i), 1000, 2)
			}
			first := n.wire.first("a full packet", a.sent(c.kind))
			asked := n.wire.atLeast(c.full+1, "announces", a.announcesTo)
			if got := len(first.sync.records); got != c.full {
				t.Errorf("%d records in the first packet, want %d", got, c.full)
			}
			if late := first.at.Sub(asked[c.full-1].at); late < 0 || late > patience {
				t.Errorf("the packet left %s after the announce that filled it", late)
			}
			a.stop()
			all := n.wire.atLeast(2, "the rest at the end", a.sent(c.kind))
			if len(all) != 2 || len(all[1].sync.records) != 1 {
				t.Errorf("%d packets, the last with %d records; want 2, the last with 1", len(all), len(all[len(all)-1].sync.records))
			}
		})
	}
}

// TestBatchLeavesWhenDue: records wait together for the flush interval, which
// counts from the first of them.
func TestBatchLeavesWhenDue(t *testing.T) {
	n := newNetwork(t, "a", "x")
	const flush, slack = 2 * time.Second, patience // the slack is the machine's, which runs other tests
	a := n.hosts["a"].serve("--livesync-flush", flush.String())
	client := n.hosts["x"].dialUDP(a.ip4)
	for round := range 2 {
		for i := range 3 {
			client.announce(hash(10*round+i), 7001, 1000, 2)
		}
		asked := n.wire.atLeast(3*round+3, "announces", a.announcesTo)
		told := n.wire.atLeast(round+1, "a packet", a.sent("live4"))
		if got := len(told[round].sync.records); got != 3 || len(told) != round+1 {
			t.Errorf("round %d: %d records in packet %d, want 3", round, got, len(told))
		}
		if wait := told[round].at.Sub(asked[3*round].at); wait < flush-flush/10 || wait > flush+slack {
			t.Errorf("round %d: the packet left %s after the first announce, flush is %s", round, wait, flush)
		}
	}
}
