package livesync

import (
	"encoding/binary"
	"testing"
	"time"

	"starling/wire"
)

func TestNodesForgetTheSilent(t *testing.T) {
	table := newNodes()
	now := epoch
	table.heard(now, testID, another).torrents = 7
	for range 3 { // and again, at later sweeps
		now = now.Add(nodeSilence - time.Second)
		table.heard(now, wire.NodeID{9}, another)
		if !table.known(testID) {
			t.Fatal("dropped too early")
		}
		now = now.Add(time.Second)
		if all := table.sorted(now); len(all) != 1 || all[0].id != (wire.NodeID{9}) {
			t.Fatalf("knows %d nodes, want the one that spoke", len(all))
		}
		n := table.heard(now, testID, another)
		if n.torrents != 0 || n.packets != 1 {
			t.Errorf("a node that was forgotten is remembered: %+v", n)
		}
		now = now.Add(time.Nanosecond)
	}
}

// TestNodesForgedIDs floods the table: it stays bounded, and the nodes that are really there stay in it.
func TestNodesForgedIDs(t *testing.T) {
	table := newNodes()
	for i := range 100_000 {
		now := epoch.Add(time.Duration(i) * time.Millisecond)
		if i%250 < 2 {
			table.heard(now, wire.NodeID{1}, another)
		}
		var forged wire.NodeID
		binary.BigEndian.PutUint32(forged[:], uint32(0x80000000+i))
		table.heard(now, forged, another)
		if len(table.byID) > maxNodes {
			t.Fatalf("%d nodes in the table", len(table.byID))
		}
	}
	if n := table.byID[wire.NodeID{1}]; n == nil || n.packets != 800 {
		t.Errorf("the real node is %+v, want 800 packets", n)
	}
}

func TestNodeDialects(t *testing.T) {
	tests := []struct {
		name    string
		says    func(n *node)
		want    string
		strange bool // for one who speaks seed
	}{
		{"nothing", func(*node) {}, "", false},
		{"type 0", func(n *node) { n.speaks(epoch, false) }, "seed", false},
		{"mapped", func(n *node) { n.speaks(epoch, true) }, "modern", true},
		{"both", func(n *node) { n.speaks(epoch, false); n.speaks(epoch, true) }, "both", true},
		{"restarted with another", func(n *node) { n.speaks(epoch, true); n.speaks(epoch.Add(2*time.Minute), false) }, "seed", false},
		{"empty", func(n *node) { n.empty = epoch; n.speaks(epoch, false) }, "2010", true},
	}
	for _, tt := range tests {
		n := new(node)
		tt.says(n)
		if got := n.dialect(); got != tt.want {
			t.Errorf("%s: dialect %q, want %q", tt.name, got, tt.want)
		}
		if n.strange(epoch, Seed) {
			t.Errorf("%s: judged at once, the copies may be on their way", tt.name)
		}
		later := epoch.Add(dialectPatience)
		if got := n.strange(later, Seed); got != tt.strange {
			t.Errorf("%s: strange is %v, want %v", tt.name, got, tt.strange)
		}
		if n.strange(later, Seed) {
			t.Errorf("%s: named twice", tt.name)
		}
	}
}
