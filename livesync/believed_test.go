package livesync

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"starling/wire"
)

// TestForgedIDsBesideKeys floods the table from an address that needs no tag, under one id after the other: who has the key stays in it.
func TestForgedIDsBesideKeys(t *testing.T) {
	n, _ := newKeyedListener(t)
	newPartner(t, n, epoch, wire.NodeID{9}, 100)
	for i := range 3 * maxNodes {
		var forged wire.NodeID
		binary.BigEndian.PutUint32(forged[:], uint32(0x80000000+i))
		now := epoch.Add(time.Duration(i) * time.Millisecond)
		for range 3 {
			n.receive(now, opentracker, wire.Group.Addr(), wire.AppendBeacon(nil, forged, 1))
		}
		if s := n.nodes.byID[wire.NodeID{9}]; s == nil || s.life.epoch != 100 {
			t.Fatalf("after %d forged ids the node with the key is not known", i+1)
		}
	}
}

// TestAddressOfAResentState: who sends a STATE again that we lost does not become the node that we would catch up from; a node that
// moves is found, a little later.
func TestAddressOfAResentState(t *testing.T) {
	n, _ := newKeyedListener(t)
	id, thief := wire.NodeID{9}, netip.MustParseAddrPort("10.0.0.66:9696")
	p := newPartner(t, n, epoch, id, 100)
	at := func(now time.Time, from, want netip.AddrPort) {
		t.Helper()
		n.receive(now, from, wire.Group.Addr(), p.Seal(p.state(now)))
		if s := n.nodes.byID[id]; s.address != want || s.heard != now {
			t.Errorf("it is at %v, heard at %v, want %v, %v", s.address, s.heard, want, now)
		}
	}
	for i := range 20 {
		now, from := epoch.Add(time.Duration(i)*time.Second), another
		if i%2 == 1 {
			from = thief
		}
		at(now, from, another)
	}
	other := netip.AddrPortFrom(another.Addr(), 4711)
	at(epoch.Add(20*time.Second), other, other)
	for i := range 5 {
		at(epoch.Add(time.Duration(20+i)*time.Second), thief, other)
	}
	at(epoch.Add(20*time.Second+addressHold), thief, thief)
}

// TestPlayedAfterSilence cuts us off from a node that ends meanwhile. Whoever recorded what it said then plays it to us when we
// are back: none of it is applied, and it does not seem to live.
func TestPlayedAfterSilence(t *testing.T) {
	n, m := newKeyedListener(t)
	id := wire.NodeID{9}
	p := newPartner(t, n, epoch, id, 100)
	var recorded [][]byte
	for i := range 60 { // we hear none of it
		now := epoch.Add(time.Duration(i) * time.Second)
		r := wire.Record{InfoHash: HashOf(i), Peer: PeerOf(i)}
		recorded = append(recorded, p.Seal(r.Append4(wire.AppendLive4(nil, id))), p.Seal(p.state(now)))
	}
	before := pictureOf(n, m, epoch)
	for i, b := range recorded {
		n.receive(epoch.Add(time.Hour/2+time.Duration(i)*time.Millisecond), another, wire.Group.Addr(), b)
	}
	if after := pictureOf(n, m, epoch); !before.equal(&after) {
		t.Errorf("changed %+v to %+v", before, after)
	}
}
