package livesync

import (
	"math/rand/v2"
	"testing"
	"time"

	"starling/livesync/edits"
	"starling/wire"
)

// listMesh is a mesh whose nodes share lists.
func listMesh(t *testing.T, seed uint64, n int) *mesh {
	m := newMesh(t, seed, 0)
	m.lists = true
	for range n {
		m.nodes = append(m.nodes, &meshNode{link: meshLink(len(m.nodes))})
		m.start(len(m.nodes) - 1)
	}
	m.run(3 * time.Second)
	return m
}

// deny denies a torrent at a node.
func (m *mesh) deny(h *meshNode, n byte) {
	if _, err := h.cfg.Edits.Edit(m.now, h.cfg.ID, edits.Entry{Kind: edits.Deny, Op: edits.Add, Key: edits.Key{n}}); err != nil {
		m.t.Fatal(err)
	}
}

// know returns how many nodes know that a torrent is denied.
func (m *mesh) know(n byte) (nodes int) {
	for _, h := range m.nodes {
		if _, ok := h.cfg.Edits.Get(edits.Deny, edits.Key{n}); ok {
			nodes++
		}
	}
	return nodes
}

// TestEditsSpread: what one node changes all others know as soon as a packet takes, or, when packets are lost, some of its repetitions.
func TestEditsSpread(t *testing.T) {
	m := listMesh(t, 1, 4)
	m.deny(m.nodes[1], 1)
	m.run(10 * time.Millisecond)
	if n := m.know(1); n != 4 {
		t.Errorf("%d of 4 nodes know at once", n)
	}
	m.loss = 0.2
	for i := range byte(50) {
		m.deny(m.nodes[m.rng.IntN(4)], 10+i)
		m.run(20 * time.Millisecond)
	}
	m.run(6 * time.Second)
	lacks := 0
	for i := range byte(50) {
		lacks += 4 - m.know(10+i)
	}
	if lacks > 2 { // of 150 that each arrive in four packets, of which a fifth is lost
		t.Errorf("%d of 150 did not arrive", lacks)
	}
	m.start(3) // anew, with nothing
	m.run(15 * time.Second)
	h := m.nodes[3]
	from, ok := h.edits.Fetch(m.now)
	if !ok {
		t.Fatal("a node that lacks all entries does not want them")
	}
	frames, err := m.nodes[from[0]-1].edits.Answer(h.edits.AppendSums(nil))
	if err != nil {
		t.Fatal(err)
	}
	for f := frames(); f != nil; f = frames() {
		if _, err := h.edits.Take(m.now, f); err != nil {
			t.Fatal(err)
		}
	}
	if n := h.edits.Len(edits.Deny); n < 49 {
		t.Errorf("it has %d entries of 51 then", n)
	}
}

// TestEditsRefused: a node without a key, or whose lists are not shared, takes nothing in, and says so.
func TestEditsRefused(t *testing.T) {
	n, _ := newKeyedListener(t)
	p := newPartner(t, n, epoch, wire.NodeID{9}, 99)
	m := wire.Edits{Entries: []wire.Edit{{Kind: 1, Op: 1}}}
	p.send(epoch, m.Append(nil, wire.NodeID{9}))
	if n.SharesEdits() {
		t.Error("a node without lists shares them")
	}
	if d := drops(n.StatusAt(epoch).Dropped); d != 0 {
		t.Errorf("%d packets dropped", d)
	}
	n.cfg.Edits = edits.New(map[edits.Kind]int{edits.Deny: 10}, rand.New(rand.NewPCG(1, 1)))
	n.edits = newEditing(n)
	p.send(epoch, m.Append(nil, wire.NodeID{9}))
	if n.edits.Len(edits.Deny) != 1 || !n.SharesEdits() {
		t.Error("the entry was not taken in")
	}
	broken := m.Append(nil, wire.NodeID{9})
	p.send(epoch, broken[:len(broken)-1])
	if d := n.StatusAt(epoch).Dropped.Short; d != 1 {
		t.Errorf("%d packets dropped as too short", d)
	}
	plain := Config{Edits: n.cfg.Edits, Interface: "eth0", Group: wire.Group, BeaconInterval: time.Minute}
	NewModel().Join(&plain)
	if New(plain).SharesEdits() {
		t.Error("a node without a key shares lists")
	}
}
